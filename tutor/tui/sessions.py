"""The list of conversations: resume, search, rename, export, delete."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from tutor.sessions.store import Store, StoreError
from tutor.text import plain
from tutor.tui.keys import Keys

Choice = tuple[Literal["resume", "export"], int]


class SessionList(ModalScreen[Choice | None]):
    """Closes with what to resume or export, or with nothing; deletes and renames by itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "back"),
        Binding("ctrl+t", "rename", "rename to the text above"),
        Binding("ctrl+s", "export", "export"),
        Binding("delete", "delete", "delete (twice)"),
    ]

    def __init__(self, store: Store, current: int | None) -> None:
        super().__init__()
        self._store = store
        self._current = current
        self._doomed: int | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="sessions"):
            yield Input(placeholder="search titles and texts, or type a new name")
            yield OptionList(markup=False)
        yield Keys()

    def on_mount(self) -> None:
        self.query_one(Vertical).border_title = "Conversations"
        self._fill()
        self.query_one(OptionList).focus()

    def _fill(self, search: str = "") -> None:
        options = self.query_one(OptionList)
        try:
            conversations = self._store.conversations(search)
        except StoreError as error:  # what is listed stays
            self._complain(error)
            return
        options.clear_options()
        for found in conversations:
            here = "▸" if found.id == self._current else " "
            title = plain(found.title) or "(empty)"
            options.add_option(
                Option(f"{here} {title}  ({found.messages} messages)", id=str(found.id))
            )
        options.highlighted = 0 if options.option_count else None

    @property
    def _chosen(self) -> int | None:
        options = self.query_one(OptionList)
        if options.highlighted is None:
            return None
        return int(options.get_option_at_index(options.highlighted).id or 0)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def on_input_submitted(self) -> None:
        self.query_one(OptionList).focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(("resume", int(event.option.id or 0)))

    def action_rename(self) -> None:
        name = self.query_one(Input).value.strip()
        options = self.query_one(OptionList)
        if self._chosen is None or not name:
            self.notify("type the new name above, then choose a conversation and press Ctrl+T")
            return
        try:
            self._store.rename(self._chosen, name)
        except StoreError as error:
            self._complain(error)
            return
        at = options.highlighted
        self.query_one(Input).value = ""
        self._fill()
        options.highlighted = at

    def action_export(self) -> None:
        if self._chosen is not None:
            self.dismiss(("export", self._chosen))

    def action_delete(self) -> None:
        chosen = self._chosen
        if chosen is None:
            return
        if chosen == self._current:
            self.notify("this conversation is open: begin a new one first (Ctrl+N)")
        elif chosen != self._doomed:
            self._doomed = chosen
            self.notify("press Delete again to delete this conversation for good")
        else:
            try:
                self._store.delete(chosen)
            except StoreError as error:
                self._complain(error)
            else:
                self._fill(self.query_one(Input).value)

    def _complain(self, error: StoreError) -> None:
        self.notify(str(error), severity="warning", markup=False)
