"""Where the learner types: Enter sends, Ctrl+J breaks the line, Ctrl+U clears, Up and Down recall."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widgets import TextArea

from tutor.agent.question import QUESTION_LIMIT
from tutor.tui.commands import completions

PAUSE = 0.3
"""Seconds without a key: longer than between the keys of a word."""


class Composer(TextArea):
    """A text area that grows with its text and sends it."""

    class Sent(Message):
        """The learner pressed Enter on `text`."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Drafted(Message):
        """A word of `text` was ended, text was pasted, or the learner pauses."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(id="composer", placeholder="ask, or /help", show_line_numbers=False)
        # Textual's own meaning of these keys is never reached, but puts them first in the footer.
        for key in ("f6", "f7"):
            self._bindings.key_to_bindings.pop(key, None)
        self.past: list[str] = []
        self._back = 0
        self._length = 0
        self._pause: Timer | None = None

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Sent(self.text))
        elif event.key in ("ctrl+j", "shift+enter"):
            event.stop()
            event.prevent_default()
            self.insert("\n")
        elif event.key == "ctrl+u":
            # Textual's own stops at the beginning of a wrapped line.
            event.stop()
            event.prevent_default()
            self.delete((0, 0), self.cursor_location)
        elif event.key == "tab" and self.text.startswith("/"):
            event.stop()
            event.prevent_default()
            self._complete()
        elif (event.key == "up" and self.cursor_location[0] == 0 and self._recall(1)) or (
            event.key == "down" and self._at_last_line and self._recall(-1)
        ):
            event.stop()
            event.prevent_default()
        elif event.is_printable and len(self.text) >= QUESTION_LIMIT:
            # A terminal without bracketed paste types a pasted book key by key, each key wrapping
            # all of it anew; nobody types that much by hand.
            event.stop()
            event.prevent_default()
            self.app.clear_notifications()
            self.app.notify(f"the input is full at {QUESTION_LIMIT:,} characters", markup=False)
        else:
            await super()._on_key(event)

    def on_text_area_changed(self) -> None:
        if self._pause:
            self._pause.stop()
        drafted = self.Drafted(self.text)
        grown, self._length = len(self.text) - self._length, len(self.text)
        if grown > 1 or not self.text[-1:].isalnum():
            self.post_message(drafted)
        else:
            self._pause = self.set_timer(PAUSE, lambda: self.post_message(drafted))

    def render_line(self, y: int) -> Strip:
        # Textual wraps the placeholder, which fails at a width of nothing.
        return super().render_line(y) if self.content_size.width > 0 else Strip.blank(0)

    @property
    def _at_last_line(self) -> bool:
        return self.cursor_location[0] == self.document.line_count - 1

    def _recall(self, step: int) -> bool:
        back = self._back + step
        if not 0 <= back <= len(self.past):
            return False
        self._back = back
        self.put(self.past[-back] if back else "")
        return True

    def _complete(self) -> None:
        found = completions(self.text)
        if len(found) == 1:
            self.put(found[0] + " ")
        elif found:
            self.app.notify("  ".join(found), markup=False)

    def put(self, text: str) -> None:
        """Replaces the text and puts the cursor at its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    def remember(self, text: str) -> None:
        """Clears the field after `text` was sent."""
        self.past.append(text)
        self._back = 0
        self.load_text("")
