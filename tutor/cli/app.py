"""`tutor` without a command: the app."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tutor.cli.main import UseError
from tutor.home import Home
from tutor.sessions.store import Store
from tutor.settings import Settings, from_environment, load, names, save, set_value


def run_app(arguments: argparse.Namespace) -> int:
    """Opens the app; it loads the model while it is already on screen."""
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        raise UseError("the app needs a terminal; without one use: tutor ask QUESTION")
    home = Home.locate().create()
    settings = from_environment(load(home.settings_file))
    store = Store(home.database)

    # What imports make stays until the end: looking through it again and again is lost time.
    gc.disable()
    from tutor.tui.app import TutorApp

    gc.freeze()
    gc.enable()

    def open_tutor(settings, progress):  # type: ignore[no-untyped-def]
        from tutor.agent.tutor import Tutor

        return Tutor.open(home, settings, progress)

    app = TutorApp(store, open_tutor, settings, partial(keep_changes, home.settings_file))
    try:
        app.run()
    finally:
        store.close()
    if app.opening:
        # Python cannot end in order while a thread is in native code. Nothing is lost: what is
        # prepared is put into its place only when it is whole.
        sys.stdout.flush()
        os._exit(0)
    return 0


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
