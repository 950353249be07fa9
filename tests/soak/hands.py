"""Hands and eyes on the running app: keys as a terminal sends them, timed until the screen shows."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable

from textual import events
from textual.message import Message
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from tutor.tui.app import TutorApp
from tutor.tui.messages import Failed

KEPT = 40
"""Steps that are told when something fails."""
KEY_SECONDS = 10.0
"""A key that shows nothing for so long is told as one without effect."""
TURN_SECONDS = 180.0
"""An answer that has not ended by then never will."""


class SoakError(Exception):
    """What the driver saw go wrong."""


class Hands:
    """Presses keys in `app`, and watches what it does."""

    def __init__(self, app: TutorApp, seed: int) -> None:
        self.app = app
        self.pilot: Pilot[None]
        self.random = random.Random(seed)
        self.steps: deque[str] = deque(maxlen=KEPT)
        self.waits: list[tuple[float, str]] = []
        """Milliseconds from key to screen since the last figures, and of what."""
        self.ineffective: Counter[str] = Counter()
        self.faults: list[str] = []
        self._shown: Callable[[], bool] | None = None
        self._seen = asyncio.Event()
        self._at = 0.0
        app.post_display_hook = self._drawn  # type: ignore[method-assign]

    # Watching

    def _drawn(self) -> None:
        """Called by Textual each time that it has drawn."""
        if self._shown is not None and self._holds(self._shown):
            self._at = time.perf_counter()
            self._shown = None
            self._seen.set()

    def _holds(self, condition: Callable[[], bool]) -> bool:
        # What is asked for may be on a screen that is not there yet.
        try:
            return condition()
        except Exception:
            return False

    def on_message(self, message: Message) -> None:
        """Textual's hook for every message: what failed on a worker thread is told nowhere else."""
        if isinstance(message, Worker.StateChanged) and message.state is WorkerState.ERROR:
            error = message.worker.error
            told = "".join(traceback.format_exception(error)) if error else "a worker failed"
            self.faults.append(told)
        elif isinstance(message, Failed):
            self.faults.append(f"the turn failed: {message.reason}")

    def check(self) -> None:
        """Raises SoakError where something has gone wrong."""
        if self.app._exception:
            raise SoakError("the app ended") from self.app._exception
        if self.faults:
            raise SoakError(self.faults[0])

    # Steps

    def note(self, step: str) -> None:
        self.steps.append(step)

    async def key(self, key: str, shown: Callable[[], bool], character: str | None = None) -> None:
        """One key, timed until the screen is drawn with `shown`."""
        self.check()
        self.note(f"press {key}")
        self._seen.clear()
        self._shown = shown
        sent = time.perf_counter()
        self.app.post_message(events.Key(key, character))
        try:
            await asyncio.wait_for(self._seen.wait(), KEY_SECONDS)
            self.waits.append((1000 * (self._at - sent), self.steps[-1]))
        except asyncio.TimeoutError:
            self._shown = None
            if not self._holds(shown):
                self.ineffective[f"{key} on {type(self.app.screen).__name__}"] += 1

    async def press(self, *keys: str) -> None:
        """Keys that may well do nothing where they are pressed: not timed."""
        for key in keys:
            self.check()
            self.note(f"press {key}")
            self.app.post_message(events.Key(key, key if len(key) == 1 else None))
            await self.pilot.pause(0.05)

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Lets the app run until the condition holds; False when it did not in time."""
        end = time.monotonic() + seconds
        while not self._holds(condition):
            self.check()
            if time.monotonic() > end:
                return False
            await self.pilot.pause(0.02)
        return True

    async def focus(self, widget: Widget) -> None:
        widget.focus()
        await self.until(lambda: widget.has_focus, 2)

    async def say(self, text: str) -> None:
        """The first letters by key, the rest pasted, then Enter."""
        composer = self.app.chat.composer
        composer.load_text("")
        await self.focus(composer)
        self.note(f"say {text[:60]!r}")
        typed = next(
            (n for n, c in enumerate(text) if not (c.isascii() and c.isalnum())), len(text)
        )
        for n, letter in enumerate(text[: min(typed, 4)], start=1):
            await self.key(letter, lambda n=n: len(composer.text) == n, letter)  # type: ignore[misc]
        composer.post_message(events.Paste(text[min(typed, 4) :]))
        await self.until(lambda: len(composer.text) >= len(text.strip()), 5)
        told = len(self.app._notifications)
        await self.key(
            "enter", lambda: composer.text == "" or len(self.app._notifications) != told, "\r"
        )

    async def open(self, key: str) -> bool:
        """A key that opens a screen, or says why not; True where it was opened."""
        before, told = self.app.screen, len(self.app._notifications)
        await self.key(
            key, lambda: self.app.screen is not before or len(self.app._notifications) != told
        )
        return isinstance(self.app.screen, ModalScreen)

    async def close(self) -> None:
        """Back to the conversation, whatever is open."""
        end = time.monotonic() + TURN_SECONDS
        while isinstance(self.app.screen, ModalScreen):
            if time.monotonic() > end:
                raise SoakError(f"{type(self.app.screen).__name__} does not close on Escape")
            await self.press("escape")
            await self.pilot.pause(0.1)

    async def settle(self) -> None:
        """Waits until the answer has ended and nothing is open."""
        await self.close()
        if not await self.until(lambda: not self.app.chat.answering, TURN_SECONDS):
            raise SoakError("the answer never ended")
        await self.pilot.pause(0.05)
