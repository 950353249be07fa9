from __future__ import annotations

import pytest

from tests.tui.driver import ask, told, wait_until
from tutor.agent.tutor import Tutor
from tutor.sessions.store import Store
from tutor.settings import Settings
from tutor.tui.app import TutorApp
from tutor.tui.conversation import SHOWN, Conversation, Earlier, SourceLink, Turn


@pytest.fixture
def app(store: Store, tutor: Tutor) -> TutorApp:
    return TutorApp(store, lambda settings, progress: tutor, Settings())


async def test_a_source_about_the_tutor_itself_says_that_it_stands_in_no_lesson(
    app: TutorApp,
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot, "How many layers do you have?")
        source = app.query(SourceLink).first()
        assert str(source.render()).startswith("[1] the tutor itself")
        source.focus()
        await pilot.press("enter")
        await wait_until(pilot, lambda: told(app, "it stands in no lesson"))


def long_conversation(store: Store, turns: int) -> None:
    conversation = store.begin()
    for n in range(turns):
        store.add(conversation, "user", f"question {n}")
        store.add(conversation, "assistant", f"answer {n}")


def questions_shown(app: TutorApp) -> list[str]:
    return [turn.question for turn in app.query(Turn)]


async def test_a_long_conversation_shows_its_newest_turns_and_more_when_asked(
    app: TutorApp, store: Store
) -> None:
    long_conversation(store, 25)
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(size=(120, 40)) as pilot:
        assert questions_shown(app) == [f"question {n}" for n in range(15, 25)]
        earlier = app.query_one(Earlier)
        assert "15 earlier turns" in str(earlier.render())
        earlier.focus()
        await pilot.press("enter")
        await wait_until(pilot, lambda: len(app.query(Turn)) == 20)
        assert questions_shown(app) == [f"question {n}" for n in range(5, 25)]
        await pilot.press("enter")
        await wait_until(pilot, lambda: len(app.query(Turn)) == 25)
        assert not earlier.display


async def test_a_conversation_that_grows_keeps_few_turns_on_the_screen(
    app: TutorApp, store: Store
) -> None:
    long_conversation(store, 1)
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(size=(120, 40)) as pilot:
        view = app.query_one(Conversation)
        for n in range(1, 3 * SHOWN + 1):
            await view.begin(f"question {n}")
        await pilot.pause()
        assert questions_shown(app) == [f"question {n}" for n in range(20, 31)]
        assert "20 earlier turns" in str(app.query_one(Earlier).render())
