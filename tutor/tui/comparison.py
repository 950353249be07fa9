"""Answers side by side: one question under two to four settings, decoded together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tutor.agent.compare import (
    MOST_COLUMNS,
    Column,
    ColumnResult,
    Compared,
    CompareError,
    Parting,
    column_of,
    compare,
    difference,
)
from tutor.agent.turn import Exchange
from tutor.engine.cancel import Cancel
from tutor.engine.events import TokenEvent
from tutor.settings import Settings
from tutor.text import visible
from tutor.tui.keys import Keys
from tutor.tui.steady import Steady

if TYPE_CHECKING:
    from tutor.agent.tutor import Tutor

_REFRESH_SECONDS = 0.05
_SUGGESTED = ("", "temperature=1.5", "rag=off", "greedy=true")


class ColumnView(Vertical):
    """One answer: what it is made under, its text, its figures."""

    def __init__(self, number: int) -> None:
        super().__init__(classes="compared")
        self.number = number

    def compose(self) -> ComposeResult:
        yield Input(_SUGGESTED[self.number], placeholder="the settings as they are")
        with VerticalScroll():
            yield Steady("", classes="compared-text", markup=False)
        yield Steady("", classes="compared-figures", markup=False)

    @property
    def changes(self) -> str:
        return self.query_one(Input).value

    def show(self, events: Sequence[TokenEvent], parted: int | None = None) -> None:
        """The text so far; the token where it parts from the first column is marked."""
        text = Text()
        for event in events:
            shown = visible(event.text, keep=" \n")
            text.append(shown or ("·" if event.index == parted else ""))
            if event.index == parted:
                text.stylize("reverse bold", len(text) - max(len(shown), 1))
        self.query_one(".compared-text", Steady).update(text)

    def tell(self, text: str) -> None:
        self.query_one(".compared-figures", Steady).update(text)


class CompareScreen(ModalScreen[None]):
    """Enter asks in all columns at once; Escape stops, then closes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "stop, back"),
        Binding("f5", "dismiss", "back", show=False),
        Binding("ctrl+right", "columns(1)", "column more", priority=True),
        Binding("ctrl+left", "columns(-1)", "column less", priority=True),
    ]

    class Ended(Message):
        """All columns are finished."""

        def __init__(self, compared: Compared) -> None:
            super().__init__()
            self.compared = compared

    class Failed(Message):
        """It could not be done."""

        def __init__(self, reason: str) -> None:
            super().__init__()
            self.reason = reason

    def __init__(
        self,
        tutor: Tutor,
        settings: Settings,
        question: str,
        history: Sequence[Exchange],
        lesson: int | None,
    ) -> None:
        super().__init__()
        self._tutor = tutor
        self._settings = settings
        self._question = question
        self._history = history
        self._lesson = lesson
        self._cancel: Cancel | None = None
        self._said: list[list[TokenEvent]] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="compare"):
            yield Input(self._question, placeholder="a question", id="compare-question")
            with Horizontal(id="columns"):
                yield ColumnView(0)
                yield ColumnView(1)
            yield Static(
                "Enter asks in all columns. A column takes NAME=VALUE, ..., rag=off or adapter=none",
                id="compare-told",
                markup=False,
            )
        yield Keys()

    def on_mount(self) -> None:
        self.query_one("#compare", Vertical).border_title = "Compare"
        self.query_one("#compare-question", Input).focus()
        self.set_interval(_REFRESH_SECONDS, self._draw)

    def on_unmount(self) -> None:
        if self._cancel:
            self._cancel.set()

    @property
    def _views(self) -> list[ColumnView]:
        return list(self.query(ColumnView))

    async def action_columns(self, by: int) -> None:
        views = self._views
        if self._cancel or not 2 <= len(views) + by <= MOST_COLUMNS:
            return
        if by > 0:
            await self.query_one("#columns", Horizontal).mount(ColumnView(len(views)))
        else:
            await views[-1].remove()

    def action_stop(self) -> None:
        """Stops what runs; a second time, or where nothing runs, goes back."""
        if self._cancel and not self._cancel.is_set():
            self._cancel.set()
        else:
            self.dismiss()

    def on_input_submitted(self) -> None:
        if self._cancel:
            return
        try:
            columns = [column_of(self._settings, view.changes) for view in self._views]
        except CompareError as error:
            self._tell(str(error))
            return
        for view, column in zip(self._views, columns, strict=True):
            view.tell(difference(columns[0], column))
        self._said = [[] for _ in columns]
        self._cancel = Cancel()
        self._tell("reading the prompt …")
        self._run(self.query_one("#compare-question", Input).value, columns, self._cancel)

    @work(thread=True, exit_on_error=False)
    def _run(self, question: str, columns: list[Column], cancel: Cancel) -> None:
        try:
            for event in compare(
                self._tutor, question, columns, self._history, self._lesson, cancel
            ):
                if isinstance(event, Compared):
                    self.post_message(self.Ended(event))
                else:
                    self._said[event.column].append(event.event)
        # Whatever is wrong is told in place: the learner may ask something else.
        except Exception as error:
            self.post_message(self.Failed(str(error) or type(error).__name__))

    def _draw(self) -> None:
        if self._cancel:
            for view, events in zip(self._views, self._said, strict=True):
                view.show(list(events))

    def on_compare_screen_failed(self, event: Failed) -> None:
        self._cancel = None
        self._tell(event.reason)

    def on_compare_screen_ended(self, event: Ended) -> None:
        stopped = self._cancel is not None and self._cancel.is_set()
        self._cancel = None
        results, partings = event.compared.results, event.compared.partings
        first = min((p.index for p in partings if p), default=None)
        for view, result, parting in zip(self._views, results, partings, strict=True):
            view.show(result.events, parting.index if parting else first)
            view.tell(_figures(results[0].column, result, parting))
        told = [
            f"{parting.column + 1} parts from 1 at token {parting.index + 1}: {parting.reason}"
            for parting in partings
            if parting
        ]
        self._tell("stopped" if stopped else "\n".join(told) or "all columns say the same")

    def _tell(self, text: str) -> None:
        self.query_one("#compare-told", Static).update(text)


def _figures(base: Column, result: ColumnResult, parting: Parting | None) -> str:
    held = sum(sentence.supported for sentence in result.sentences)
    speed = result.stats.tokens_per_second if result.stats else 0.0
    return (
        f"{difference(base, result.column)}\n{len(result.events)} tokens · {speed:.0f} tok/s · "
        f"{result.mean_surprise:.2f} bits a token · {held} of {len(result.sentences)} sentences "
        "supported"
    )
