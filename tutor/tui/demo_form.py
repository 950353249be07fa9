"""A demonstration's input as a form: a line for each field, with what it takes or what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Select, Static, TextArea

from tutor.demos.demo import Demo
from tutor.demos.typed import choices, takes, usual
from tutor.text import plain


class Choice(Static, can_focus=True):
    """One of several things to press: by Enter, by a click."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "choose"),
        Binding("up", "app.focus_previous", "above", show=False),
        Binding("down", "app.focus_next", "below", show=False),
    ]

    class Chosen(Message):
        """The learner chose that number."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, number: int, text: str) -> None:
        super().__init__(plain(text), markup=False)
        self.number = number

    def action_choose(self) -> None:
        self.post_message(self.Chosen(self.number))

    def on_click(self) -> None:
        self.action_choose()


class ShortField(Input):
    """A value of one line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "field above", show=False),
        Binding("down", "app.focus_next", "field below", show=False),
    ]


class TextField(TextArea):
    """A text of the learner's: Enter goes on, Ctrl+J begins a new line."""

    class Entered(Message):
        """The learner pressed Enter."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key not in ("enter", "ctrl+j"):
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()
        if event.key == "enter":
            self.post_message(self.Entered())
        else:
            self.insert("\n")


class FormField(Vertical):
    """One field: its name, what is typed, and below it what it takes or what is wrong."""

    def __init__(self, found: Demo[Any], field: str, typed: str, default: str) -> None:
        super().__init__(classes="field")
        self.field = field
        self.default = default
        info = found.input.model_fields[field]
        self._takes = takes(info)
        self._widget: ShortField | TextField | Select[str]
        if few := choices(info):
            # What is none of them is told by the demonstration; it cannot stand in a list of them.
            value = typed if typed in few else default
            pairs = [(choice, choice) for choice in few]
            self._widget = Select(pairs, value=value, allow_blank=False, compact=True)
        elif field == found.text:
            self._widget = TextField(typed, compact=True)
        else:
            self._widget = ShortField(typed, compact=True)

    def compose(self) -> ComposeResult:
        with Horizontal(classes="field-line"):
            yield Static(self.field, classes="field-name", markup=False)
            yield self._widget
        yield Static(self._takes, classes="field-takes", markup=False)

    @property
    def typed(self) -> str:
        widget = self._widget
        return widget.text if isinstance(widget, TextField) else str(widget.value)

    def tell(self, wrong: str) -> None:
        """Shows what is wrong with the value, or again what the field takes."""
        takes = self.query_one(".field-takes", Static)
        takes.set_class(bool(wrong), "-wrong")
        takes.update(plain(wrong) or self._takes)

    def take_focus(self) -> None:
        self._widget.focus()


class DemoForm(Vertical):
    """All fields of a demonstration; a value that is wrong stays where it was typed."""

    class Submitted(Message):
        """The learner wants to go on with what is typed."""

    def __init__(self, found: Demo[Any], typed: Mapping[str, str]) -> None:
        super().__init__()
        self._fields = [
            FormField(found, name, typed.get(name, default), default)
            for name, default in usual(found).items()
        ]

    def compose(self) -> ComposeResult:
        yield from self._fields
        yield Choice(0, "▸ predict, then see (Enter)")

    @property
    def values(self) -> dict[str, str]:
        """What differs from the defaults, by field."""
        return {f.field: f.typed for f in self._fields if f.typed != f.default}

    def take_focus(self) -> None:
        if self._fields:
            self._fields[0].take_focus()
        else:
            self.query_one(Choice).focus()

    def tell(self, wrong: str, at: str = "") -> bool:
        """Shows what is wrong at the field of that name; False if there is none.

        Empty: nothing is wrong any more.
        """
        found = next((field for field in self._fields if field.field == at), None)
        for field in self._fields:
            field.tell(wrong if field is found else "")
        if found:
            found.take_focus()
        return found is not None

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted())

    def on_text_field_entered(self, event: TextField.Entered) -> None:
        event.stop()
        self.post_message(self.Submitted())

    def on_choice_chosen(self, event: Choice.Chosen) -> None:
        event.stop()
        self.post_message(self.Submitted())
