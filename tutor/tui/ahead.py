"""Reading ahead: what an answer will stand on is read while its question is still being typed."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from tutor.engine.cancel import Cancel
from tutor.engine.errors import EngineError
from tutor.sessions.store import StoreError

if TYPE_CHECKING:
    from tutor.agent.tutor import Tutor
    from tutor.tui.chat import Chat


class ReadAhead:
    """What the tutor reads for the newest draft; for an older one it stops."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._cancel = Cancel()

    def stop(self) -> None:
        """The tutor has something else to do; what was read stays in its memory."""
        self._cancel.set()

    def begin(self, draft: str) -> None:
        """Reads for this draft, if the tutor is free and it may become a question."""
        self.stop()
        tutor = self._chat.tutor
        if tutor is None or self._chat.busy or not draft.strip() or draft.startswith("/"):
            return
        self._cancel = Cancel()
        self._chat.run_worker(
            partial(self._read, tutor, draft, self._cancel),
            thread=True,
            group="ahead",
            exit_on_error=False,
        )

    def _read(self, tutor: Tutor, draft: str, cancel: Cancel) -> None:
        # Words that come at once each begin one, and all but the last are done with by now.
        if cancel.is_set():
            return
        with suppress(StoreError, EngineError):  # whoever asks the question is told
            history, lesson = self._chat.history(), self._chat.lesson
            tutor.read_ahead(draft, history, lesson, self._chat.sampling(), cancel)
