"""`tutor` without a command: the app."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from tutor.cli.main import UseError
from tutor.engine.imports import made_to_stay
from tutor.home import Home
from tutor.sessions.store import Store
from tutor.settings import Settings, from_environment, load, names, save, set_value

if TYPE_CHECKING:
    from tutor.agent.tutor import Tutor
    from tutor.tui.app import TutorApp

PATIENCE = 5.0
"""Seconds that the app has to leave when a signal ends it."""
_LOOK = 1.0
"""Seconds from look to look whether the terminal is still there."""


def run_app(arguments: argparse.Namespace) -> int:
    """Opens the app; it loads the model while it is already on screen."""
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        raise UseError("the app needs a terminal; without one use: tutor ask QUESTION")
    home = Home.locate().create()
    settings = from_environment(load(home.settings_file))
    store = Store(home.database)

    with made_to_stay():
        from tutor.tui.app import TutorApp

    opened: list[Tutor] = []

    def open_tutor(settings: Settings, progress: Callable[[str, float], None]) -> Tutor:
        with made_to_stay():
            from tutor.agent.opening import open_tutor

            opened.append(open_tutor(home, settings, progress))
        return opened[-1]

    app = TutorApp(store, open_tutor, settings, partial(keep_changes, home.settings_file))
    try:
        status = asyncio.run(_until_left(app))
    finally:
        for tutor in opened:
            tutor.close()
        store.close()
    if app.opening:
        # Python cannot end in order while a thread is in native code. Nothing is lost: what is
        # prepared is put into its place only when it is whole.
        sys.stdout.flush()
        os._exit(status)
    return status


async def _until_left(app: TutorApp) -> int:
    """Runs the app. A signal ends it as its key does, so that the terminal is as it was before."""
    loop = asyncio.get_running_loop()
    status = 0

    def leave() -> None:
        app.chat.stop()
        app.exit()

    def ended(number: int, frame: FrameType | None) -> None:
        nonlocal status
        status = 128 + number
        # Drawing waits without end where the terminal itself has gone.
        last = threading.Timer(PATIENCE, os._exit, [status])
        last.daemon = True
        last.start()
        loop.call_soon_threadsafe(leave)

    for name in ("SIGTERM", "SIGHUP", "SIGINT"):
        if hasattr(signal, name):  # Windows knows no SIGHUP
            signal.signal(getattr(signal, name), ended)

    def watch() -> None:
        # A hangup is told to the shell that the app runs in, which may keep it to itself.
        while os.isatty(sys.stdin.fileno()):
            time.sleep(_LOOK)
        ended(getattr(signal, "SIGHUP", 1), None)

    threading.Thread(target=watch, name="terminal", daemon=True).start()
    await app.run_async()
    return status or app.return_code or 0


def keep_changes(file: Path, before: Settings, after: Settings) -> None:
    """Writes into the file what a change turned, and nothing that only this start goes by.

    Raises SettingsError.
    """
    old, new = _values(before), _values(after)
    kept = load(file)
    for name in names():
        if old[name] != new[name]:
            kept = set_value(kept, name, new[name])
    save(kept, file)


def _values(settings: Settings) -> dict[str, Any]:
    return settings.model_dump() | settings.sampling.model_dump()
