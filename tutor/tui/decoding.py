"""The decoding settings: a knob a line, turned by arrow keys or by mouse."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static

from tutor.engine.settings import Sampling

# A press of an arrow key moves a knob by this much, between these ends of its bar.
_STEPS: dict[str, tuple[float, float, float]] = {
    "temperature": (0.1, 0, 2),
    "top_k": (5, 0, 100),
    "top_p": (0.05, 0.05, 1),
    "min_p": (0.01, 0, 0.5),
    "repeat_penalty": (0.05, 0.5, 2),
    "seed": (1, 0, 100),
    "max_tokens": (16, 16, 512),
    "greedy": (1, 0, 1),
}
_BAR = 10


class Knob(Static, can_focus=True):
    """One setting; Left and Right turn it, and so does a click on its halves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "less"),
        Binding("right", "turn(1)", "more"),
    ]

    class Turned(Message):
        """The learner wants `name` to be `value`."""

        def __init__(self, name: str, value: Any) -> None:
            super().__init__()
            self.name = name
            self.value = value

    def __init__(self, setting: str, sampling: Sampling) -> None:
        super().__init__(id=f"knob-{setting.replace('_', '-')}")
        self.setting = setting
        self.sampling = sampling
        self.tooltip = Sampling.model_fields[setting].description

    def render(self) -> Text:
        value = getattr(self.sampling, self.setting)
        _, low, high = _STEPS[self.setting]
        shown = ("on" if value else "off") if isinstance(value, bool) else f"{value:g}"
        place = round((_BAR - 1) * min(max((value - low) / (high - low), 0), 1))
        changed = value != Sampling.model_fields[self.setting].default
        bar = "─" * place + "●" + "─" * (_BAR - 1 - place)
        return Text(
            f"{self.setting:<15}{shown:>6} {bar}{'*' if changed else ' '}",
            style="bold" if changed else "",
        )

    def show(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self.refresh()

    def action_turn(self, direction: int) -> None:
        value = getattr(self.sampling, self.setting)
        if isinstance(value, bool):
            self.post_message(self.Turned(self.setting, not value))
            return
        step = _STEPS[self.setting][0]
        turned = round((value + direction * step) / step) * step
        self.post_message(
            self.Turned(self.setting, int(turned) if isinstance(value, int) else round(turned, 4))
        )

    def on_click(self, event: events.Click) -> None:
        self.action_turn(1 if event.x >= self.size.width / 2 else -1)


class DecodingPanel(VerticalScroll, can_focus=False):
    """All knobs; a star marks what differs from the defaults."""

    def __init__(self, sampling: Sampling) -> None:
        super().__init__(id="decoding", classes="panel")
        self.border_title = "Decoding"
        self._sampling = sampling

    def compose(self) -> ComposeResult:
        for name in Sampling.model_fields:
            yield Knob(name, self._sampling)
        yield Static("←→ or a click turns a knob;\n* differs from the default", classes="hint")

    def show(self, sampling: Sampling) -> None:
        """The settings as they count now."""
        for knob in self.query(Knob):
            knob.show(sampling)
