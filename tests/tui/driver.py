"""Drives the app as a learner does: types, waits for what shows, never sleeps a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable

from textual.pilot import Pilot

from tutor.tui.app import TutorApp
from tutor.tui.composer import Composer
from tutor.tui.conversation import SourceLink, Turn

QUESTION = "Why does a high temperature make answers stranger?"


async def wait_until(
    pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 60
) -> None:
    """Lets the app run until `condition` holds; fails when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await pilot.pause(0.02)


async def say(pilot: Pilot[None], text: str) -> None:
    app = pilot.app
    assert isinstance(app, TutorApp)
    await wait_until(pilot, lambda: app.chat.tutor is not None)
    app.query_one(Composer).load_text(text)
    app.query_one(Composer).focus()
    await pilot.press("enter")


async def ask(pilot: Pilot[None], text: str) -> Turn:
    await say(pilot, text)
    app = pilot.app
    assert isinstance(app, TutorApp)
    await wait_until(pilot, lambda: bool(app.query(SourceLink)) and not app.chat.answering)
    await pilot.pause()
    return app.query(Turn).last()


def told(app: TutorApp, text: str) -> bool:
    """Whether a line with that text was shown to the learner."""
    return any(text in notification.message for notification in app._notifications)
