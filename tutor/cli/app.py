"""`tutor` without a command: the app."""

from __future__ import annotations

import argparse
import sys

from tutor.cli.main import UseError
from tutor.home import Home
from tutor.sessions.store import Store
from tutor.settings import from_environment, load, save


def run_app(arguments: argparse.Namespace) -> int:
    """Opens the app; it loads the model while it is already on screen."""
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        raise UseError("the app needs a terminal; without one use: tutor ask QUESTION")
    home = Home.locate().create()
    settings = from_environment(load(home.settings_file))
    store = Store(home.database)

    from tutor.tui.app import TutorApp

    def open_tutor(settings, progress):  # type: ignore[no-untyped-def]
        from tutor.agent.tutor import Tutor

        return Tutor.open(home, settings, progress)

    try:
        TutorApp(store, open_tutor, settings, lambda s: save(s, home.settings_file)).run()
    finally:
        store.close()
    return 0
