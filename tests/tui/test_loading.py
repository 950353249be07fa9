"""What can be done while the model is still being loaded, and what has to wait for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.tui.driver import told, wait_until
from tutor.agent.tutor import Tutor
from tutor.sessions.store import Store
from tutor.settings import Settings
from tutor.tui.app import TutorApp
from tutor.tui.conversation import Turn


@pytest.fixture
def loaded() -> Iterator[threading.Event]:
    """Set by a test to let the model be there."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def app(store: Store, tutor: Tutor, loaded: threading.Event) -> TutorApp:
    def open_tutor(settings: Settings, progress: object) -> Tutor:
        loaded.wait(60)
        return tutor

    return TutorApp(store, open_tutor, Settings())


async def test_a_question_is_answered_when_the_model_is_there(
    app: TutorApp, loaded: threading.Event
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        app.chat.composer.put("What is a token?")
        await pilot.press("enter")
        await wait_until(pilot, lambda: told(app, "asked as soon as it is there"))
        assert app.chat.composer.text == "What is a token?"
        loaded.set()
        await wait_until(
            pilot, lambda: bool(app.query(Turn)) and bool(app.query(Turn).last().record)
        )
        assert app.chat.composer.text == ""


async def test_escape_takes_back_a_question_that_waits(
    app: TutorApp, loaded: threading.Event
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        app.chat.composer.put("What is a token?")
        await pilot.press("enter")
        await wait_until(pilot, lambda: told(app, "asked as soon as it is there"))
        await pilot.press("escape")
        loaded.set()
        await wait_until(pilot, lambda: app.chat.tutor is not None)
        await pilot.pause(0.2)
        assert app.chat.composer.text == "What is a token?"
        assert not app.query(Turn)


@pytest.mark.parametrize("command", ["compare", "retry"])
async def test_what_needs_the_model_says_that_it_is_still_loading(
    app: TutorApp, loaded: threading.Event, command: str
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_command(command)
        await wait_until(pilot, lambda: told(app, "the model is still loading"))
        loaded.set()
