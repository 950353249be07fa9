"""The exact prompt of an answer: every token, what it is there for, and what did not fit."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tutor.agent.prompt import Part
from tutor.agent.trace import Trace
from tutor.text import visible
from tutor.tui.keys import Keys

COLOURS: dict[Part, str] = {
    "template": "#d16ba5",
    "system": "#9db4d6",
    "history": "#b3b3b3",
    "passages": "#e0a458",
    "question": "#6fbf8b",
    "instructions": "#5b8dd9",
}


class PromptView(ModalScreen[None]):
    """What the model really read; `t` shows it token by token."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f7", "dismiss", "back"),
        Binding("t", "tokens", "tokens or text"),
    ]

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace
        self._tokens = False

    def compose(self) -> ComposeResult:
        with Vertical(id="prompt-view"):
            yield Static(self._counts(), id="prompt-counts", markup=False)
            with VerticalScroll(can_focus=True):
                yield Static("", id="prompt-text", markup=False)
        yield Keys()

    def on_mount(self) -> None:
        self.query_one(Vertical).border_title = "The exact prompt"
        self.query_one(VerticalScroll).focus()
        self._show()

    def _counts(self) -> Text:
        prompt = self._trace.prompt
        text = Text(f"{len(prompt.tokens)} tokens: ")
        for part, count in prompt.counts.items():
            text.append(f"{part} {count}  ", Style(color=COLOURS[part], bold=True))
        if prompt.dropped_exchanges or prompt.dropped_notes:
            text.append(
                f"\ndid not fit: {prompt.dropped_exchanges} earlier turns, "
                f"{prompt.dropped_notes} passages"
            )
        return text

    def _show(self) -> None:
        text = Text()
        for piece in self._trace.prompt.pieces:
            style = Style(color=COLOURS[piece.part], bold=piece.part == "template")
            if not self._tokens:
                # Whole pieces are decoded: a character may be split between two tokens.
                data = b"".join(self._trace.pieces[id] for id in piece.ids)
                text.append(visible(data.decode("utf-8", "replace"), keep=" \n"), style)
                continue
            for id in piece.ids:
                text.append(visible(self._trace.text(id)), style)
                text.append(f" {id} ", Style(dim=True))
                text.append("│", Style(dim=True))
        self.query_one("#prompt-text", Static).update(text)

    def action_tokens(self) -> None:
        self._tokens = not self._tokens
        self._show()
