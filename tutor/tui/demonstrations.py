"""Demonstrations in the app: the list by lesson, and one of them from its input to its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from corpus import Lesson
from tutor.demos.demo import Demo, DemoCancelled, DemoError, DemoInput, Prediction, Run, Shown
from tutor.demos.registry import NAMES, demo
from tutor.demos.typed import line_of, values_of
from tutor.demos.workbench import Workbench
from tutor.engine.cancel import Cancel
from tutor.text import plain
from tutor.tui.chat import Chat
from tutor.tui.demo_form import Choice, DemoForm
from tutor.tui.demo_result import Result
from tutor.tui.keys import Keys

Stage = Literal["form", "prediction", "running", "shown"]

_REFRESH_SECONDS = 0.1
_BAR = 20
_LINE = 500
_SKIP = 0
_STAGE_OF = {"guess": "prediction", "again": "shown"}
"""The actions that make sense at one stage only."""


class DemoList(ModalScreen[None]):
    """Demonstrations under their lessons; Enter or a click opens one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "back")]

    def __init__(self, chat: Chat, lessons: Sequence[Lesson], names: Sequence[str]) -> None:
        super().__init__()
        self._chat = chat
        self._demos = [demo(name) for name in names]
        self._titles = {lesson.number: lesson.title for lesson in lessons}

    def compose(self) -> ComposeResult:
        with Vertical(id="demos"):
            yield OptionList(*self._options(), markup=False)
            yield Static("", id="demo-about", markup=False)
        yield Keys()

    def _options(self) -> list[Option]:
        options: list[Option] = []
        above: int | None = None
        for found in self._demos:
            if found.lesson != above:
                above = found.lesson
                header = Text(f"{above:>2} {self._titles.get(above, '')}", "bold")
                options.append(Option(header, disabled=True))
            options.append(Option(Text(f"   {found.title}"), id=found.name))
        return options

    def on_mount(self) -> None:
        self.query_one(Vertical).border_title = "Demonstrations"
        options = self.query_one(OptionList)
        options.focus()
        options.action_first()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        found = next(d for d in self._demos if d.name == event.option.id)
        self.query_one("#demo-about", Static).update(f"{found.about}\n/demo {found.name}")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.app.push_screen(DemoView(self._chat, demo(str(event.option.id))))


class DemoView(ModalScreen[None]):
    """One demonstration: its input, the learner's guess, then what happens."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "stop, back"),
        Binding("r", "again", "again, with other input"),
        Binding("s", f"guess({_SKIP})", "skip the guess"),
        *(Binding(str(n), f"guess({n})", show=False) for n in range(1, 6)),
    ]

    class Showed(Message):
        """It ran to its end; `line` is the command that shows it again."""

        def __init__(self, shown: Shown, line: str) -> None:
            super().__init__()
            self.shown = shown
            self.line = line

    class Ended(Message):
        """It ended without a result, for a reason told in one line, at the field that it names."""

        def __init__(self, reason: str, field: str = "") -> None:
            super().__init__()
            self.reason = reason
            self.field = field

    def __init__(
        self, chat: Chat, found: Demo[Any], values: Mapping[str, str] | None = None
    ) -> None:
        """With values the guess is asked for at once."""
        super().__init__()
        self._chat = chat
        self._demo = found
        self._given = dict(values or {})
        self._stage: Stage = "form"
        self._values: dict[str, str] = {}
        self._inputs: DemoInput | None = None
        self._prediction: Prediction | None = None
        self._guess: int | None = None
        self._cancel = Cancel()
        self._progress = ("", 0.0)

    def compose(self) -> ComposeResult:
        with Horizontal(id="demo"):
            with Vertical(id="demo-asked"):
                yield Static(self._demo.about, id="demo-told", markup=False)
                yield Static("", id="demo-state", markup=False)
                with VerticalScroll(can_focus=False):
                    yield DemoForm(self._demo, self._given)
                    yield Vertical(id="prediction")
            yield Result()
        yield Keys()

    async def on_mount(self) -> None:
        self.query_one("#demo").border_title = f"Lesson {self._demo.lesson} · {self._demo.title}"
        self.set_interval(_REFRESH_SECONDS, self._draw_progress)
        self._go_to("form")
        if self._given:
            await self._predict(self._given)

    def on_unmount(self) -> None:
        self._cancel.set()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return _STAGE_OF.get(action, self._stage) == self._stage

    def _go_to(self, stage: Stage, told: str = "") -> None:
        self._stage = stage
        self.query_one("#demo").set_classes(f"-{stage}")
        form = self.query_one(DemoForm)
        form.disabled = stage != "form"
        self.query_one("#demo-state", Static).update(plain(told))
        self.refresh_bindings()
        if stage == "form":
            form.take_focus()
        elif stage == "shown":
            self.query_one(Result).focus()

    # From the input to the guess

    async def on_demo_form_submitted(self) -> None:
        await self._predict(self.query_one(DemoForm).values)

    async def _predict(self, values: dict[str, str]) -> None:
        try:
            self._inputs = self._demo.parse(values)
        except DemoError as error:
            self._refuse(str(error), error.field)
            return
        self.query_one(DemoForm).tell("")
        self._values = values
        self._prediction = self._demo.predict(self._inputs)
        box = self.query_one("#prediction", Vertical)
        await box.remove_children()
        await box.mount_all(
            [
                Static(plain(self._prediction.question), classes="asked", markup=False),
                *(
                    Choice(n, f"{n}  {choice}")
                    for n, choice in enumerate(self._prediction.choices, start=1)
                ),
                Choice(_SKIP, "s  show it without a guess"),
            ]
        )
        self._go_to("prediction")
        box.query(Choice).first().focus()

    def _refuse(self, reason: str, field: str = "") -> None:
        """Back to the form, which keeps what was typed."""
        self._go_to("form")
        if not self.query_one(DemoForm).tell(reason, field):
            self.query_one("#demo-state", Static).update(plain(reason))

    def on_choice_chosen(self, event: Choice.Chosen) -> None:
        event.stop()
        if self._stage == "prediction":
            self.action_guess(event.number)

    def action_guess(self, number: int) -> None:
        """Takes the guess (from 1; 0 is none) and lets it happen."""
        if self._prediction is None or number > len(self._prediction.choices):
            return
        if (tutor := self._chat.tutor) is None or self._inputs is None:
            self._go_to("prediction", "the model is still loading: choose again in a moment")
            return
        self._guess = None if number == _SKIP else number - 1
        self._cancel = Cancel()
        self._progress = ("beginning", 0.0)
        self._go_to("running")
        line = f"/demo {self._demo.name} {line_of(self._demo, self._values)}".strip()
        # It will stand in the conversation: a book that was pasted would push all else out.
        line = line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"
        self._run(tutor.bench, self._inputs, line, self._cancel)

    # From the guess to what happens

    @work(thread=True, exit_on_error=False)
    def _run(self, bench: Workbench, inputs: DemoInput, line: str, cancel: Cancel) -> None:
        try:
            shown = self._demo.run_alone(bench, inputs, Run(self._report, cancel))
            self.post_message(self.Showed(shown, line))
        except DemoCancelled:
            self.post_message(self.Ended("stopped"))
        except DemoError as error:
            self.post_message(self.Ended(str(error), error.field))
        # Whatever is wrong is told in place: the learner may try other input.
        except Exception as error:
            self.post_message(self.Ended(str(error) or type(error).__name__))

    def _report(self, stage: str, done: float) -> None:
        self._progress = (stage, done)

    def _draw_progress(self) -> None:
        if self._stage != "running":
            return
        stage, done = self._progress
        filled = round(_BAR * done)
        told = "stopping" if self._cancel.is_set() else "Esc stops it"
        self.query_one("#demo-state", Static).update(
            f"{'▓' * filled}{'░' * (_BAR - filled)} {done:.0%} {plain(stage)} … {told}"
        )

    async def on_demo_view_showed(self, event: Showed) -> None:
        await self.query_one(Result).show(event.shown, self._guess)
        self._go_to("shown")
        await self._chat.keep_shown(event.line, event.shown)

    def on_demo_view_ended(self, event: Ended) -> None:
        self._refuse(event.reason, event.field)

    def action_again(self) -> None:
        self._go_to("form")

    def action_stop(self) -> None:
        """Stops what runs; a second time, or where nothing runs, goes back."""
        if self._stage == "prediction":
            self._go_to("form")
        elif self._stage == "running" and not self._cancel.is_set():
            self._cancel.set()
        else:
            self.dismiss()


def demo_screen(chat: Chat, lessons: Sequence[Lesson], argument: str) -> ModalScreen[None]:
    """What `/demo NAME INPUT` opens; the list without a name. Raises DemoError."""
    name, _, line = argument.partition(" ")
    if not name:
        return DemoList(chat, lessons, NAMES)
    found = demo(name)
    return DemoView(chat, found, values_of(found, line))
