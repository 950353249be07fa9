"""The help: all keys and commands, from their registry."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from tutor.tui.commands import help_text


class Help(ModalScreen[None]):
    """Keys and commands."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q", "dismiss", "back")]

    def compose(self) -> ComposeResult:
        # With pygments: the first frame goes without them.
        from textual.widgets import Markdown

        with Vertical(id="help"):
            yield Markdown(help_text(), open_links=False)
