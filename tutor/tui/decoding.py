"""The decoding settings: a knob a line, presets, and what they do to the next token."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Collapsible, Static

from tutor.engine.settings import PRESETS, Sampling
from tutor.settings import Settings
from tutor.tui.picture import Picture

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
    "adapter_scale": (0.1, 0, 1),
}
_MORE_STEPS: dict[str, tuple[float, float, float]] = {
    "typical_p": (0.05, 0.05, 1),
    "presence_penalty": (0.1, -2, 2),
    "frequency_penalty": (0.1, -2, 2),
    "top_n_sigma": (0.1, 0, 5),
    "dry_multiplier": (0.1, 0, 2),
    "xtc_probability": (0.1, 0, 1),
    "xtc_threshold": (0.05, 0, 0.5),
    "mirostat_tau": (0.5, 0, 10),
}
_ALL_STEPS = _STEPS | _MORE_STEPS
_BAR = 10


class Knob(Static, can_focus=True):
    """One setting; Left and Right turn it, and so does a click on its halves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "less"),
        Binding("right", "turn(1)", "more"),
        Binding("u", "app.command('undo')", "undo"),
        Binding("up", "app.focus_previous", "knob above", show=False),
        Binding("down", "app.focus_next", "knob below", show=False),
    ]

    class Turned(Message):
        """The learner wants `name` to be `value`."""

        def __init__(self, name: str, value: Any) -> None:
            super().__init__()
            self.name = name
            self.value = value

    def __init__(self, setting: str, settings: Settings) -> None:
        super().__init__(id=f"knob-{setting.replace('_', '-')}")
        self.setting = setting
        self.settings = settings
        self._field = (Sampling if setting in Sampling.model_fields else Settings).model_fields[
            setting
        ]
        self.tooltip = self._field.description

    @property
    def value(self) -> Any:
        """The setting as it counts now."""
        decoding = self.setting in Sampling.model_fields
        return getattr(self.settings.sampling if decoding else self.settings, self.setting)

    def render(self) -> Text:
        value = self.value
        _, low, high = _ALL_STEPS[self.setting]
        shown = ("on" if value else "off") if isinstance(value, bool) else f"{value:g}"
        place = round((_BAR - 1) * min(max((value - low) / (high - low), 0), 1))
        changed = value != self._field.default
        bar = "─" * place + "●" + "─" * (_BAR - 1 - place)
        return Text(
            f"{self.setting:<17}{shown:>5} {bar}{'*' if changed else ' '}",
            style="bold" if changed else "",
        )

    def show(self, settings: Settings) -> None:
        self.settings = settings
        self.refresh()

    def action_turn(self, direction: int) -> None:
        value = self.value
        if isinstance(value, bool):
            self.post_message(self.Turned(self.setting, not value))
            return
        step = _ALL_STEPS[self.setting][0]
        turned = round((value + direction * step) / step) * step
        self.post_message(
            self.Turned(self.setting, int(turned) if isinstance(value, int) else round(turned, 4))
        )

    def on_click(self, event: events.Click) -> None:
        self.action_turn(1 if event.x >= self.size.width / 2 else -1)


class Preset(Static, can_focus=True):
    """All knobs at once, under a name."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "take these settings")]

    class Chosen(Message):
        """The learner wants the settings of preset `name`."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, name: str) -> None:
        super().__init__(name, markup=False)
        self.preset = name

    def action_choose(self) -> None:
        self.post_message(self.Chosen(self.preset))

    def on_click(self) -> None:
        self.action_choose()


class DecodingPanel(VerticalScroll, can_focus=False):
    """All knobs; a star marks what differs from the defaults."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(id="decoding", classes="panel")
        self.border_title = "Decoding"
        self._settings = settings

    def compose(self) -> ComposeResult:
        for name in _STEPS:
            yield Knob(name, self._settings)
        with Horizontal(id="presets"):
            for name in PRESETS:
                yield Preset(name)
        yield Picture()
        yield Static("", id="effect", markup=False)
        with Collapsible(title="more knobs", collapsed=True):
            for name in _MORE_STEPS:
                yield Knob(name, self._settings)
            yield Static("", id="order", markup=False)
        yield Static(
            "←→ or a click turns a knob, u takes it back; * differs from the default",
            classes="hint",
        )

    def on_mount(self) -> None:
        self.show(self._settings)

    def show(self, settings: Settings, effect: str = "") -> None:
        """The settings as they count now, and what the last change does."""
        for knob in self.query(Knob):
            knob.show(settings)
        for preset in self.query(Preset):
            preset.set_class(PRESETS[preset.preset] == settings.sampling, "-current")
        self.query_one("#order", Static).update(f"order: {' → '.join(settings.sampling.order)}")
        if effect:
            self.effect(effect)

    def effect(self, text: str) -> None:
        """Says what the last change does."""
        self.query_one("#effect", Static).update(text)
