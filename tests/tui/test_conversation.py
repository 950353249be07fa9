from __future__ import annotations

import json

import pytest
from textual.widgets import Static

from tests.tui import driver
from tests.tui.driver import told, wait_until
from tutor.agent.evaluate import ask
from tutor.agent.record import answer_record
from tutor.agent.tutor import Tutor
from tutor.sessions.store import Store
from tutor.settings import Settings, set_value
from tutor.tui.app import TutorApp
from tutor.tui.conversation import SHOWN, Conversation, Earlier, SourceLink, Turn
from tutor.tui.inspector import Inspector


@pytest.fixture
def app(store: Store, tutor: Tutor) -> TutorApp:
    return TutorApp(store, lambda settings, progress: tutor, Settings())


async def test_a_source_about_the_tutor_itself_says_that_it_stands_in_no_lesson(
    app: TutorApp,
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await driver.ask(pilot, "How many layers do you have?")
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
        assert questions_shown(app) == [f"question {n}" for n in range(20, 25)]
        earlier = app.query_one(Earlier)
        assert "20 earlier turns" in str(earlier.render())
        earlier.focus()  # which scrolls up to it
        await wait_until(pilot, lambda: len(app.query(Turn)) == 10)
        assert questions_shown(app) == [f"question {n}" for n in range(15, 25)]
        for shown in (15, 20, 25):
            await pilot.press("enter")
            await wait_until(pilot, lambda shown=shown: len(app.query(Turn)) == shown)  # type: ignore[misc]
        assert not earlier.display


async def test_in_a_conversation_of_2000_messages_the_newest_are_shown_and_one_goes_on(
    app: TutorApp, store: Store
) -> None:
    long_conversation(store, 1000)
    (known,) = store.conversations()
    app.chat.conversation = known.id
    async with app.run_test(size=(120, 40)) as pilot:
        assert questions_shown(app) == [f"question {n}" for n in range(995, 1000)]
        assert "995 earlier turns" in str(app.query_one(Earlier).render())
        await driver.ask(pilot, "What is a token?")
        assert questions_shown(app)[-1] == "What is a token?"
    assert store.conversation(known.id).messages == 2002


async def test_who_scrolls_up_to_the_first_turn_is_shown_earlier_ones(
    app: TutorApp, store: Store
) -> None:
    long_conversation(store, 2 * SHOWN + 2)
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(size=(80, 24)) as pilot:
        view = app.query_one(Conversation)
        for shown in (2 * SHOWN, 2 * SHOWN + 2):
            view.focus()
            await pilot.press("home")
            await wait_until(pilot, lambda shown=shown: len(app.query(Turn)) == shown)  # type: ignore[misc]
            # The turn that was read stays where it was looked at.
            await wait_until(pilot, lambda: view.scroll_y > 0)
        assert questions_shown(app)[0] == "question 0"


async def test_another_conversation_shows_its_newest_turns_wherever_the_last_was_scrolled(
    app: TutorApp, store: Store
) -> None:
    for _ in range(2):
        long_conversation(store, 3 * SHOWN)
    first, second = (known.id for known in store.conversations())
    app.chat.conversation = first
    async with app.run_test(size=(80, 24)) as pilot:
        view = app.query_one(Conversation)
        view.focus()
        await pilot.press("pageup")
        await wait_until(pilot, lambda: 0 < view.scroll_y < view.max_scroll_y)
        await app.chat.show(second)
        await pilot.pause(0.3)
        assert len(app.query(Turn)) == SHOWN
        assert view.scroll_y == view.max_scroll_y > 0


async def test_a_conversation_that_grows_keeps_few_turns_on_the_screen(
    app: TutorApp, store: Store
) -> None:
    long_conversation(store, 1)
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(size=(120, 40)) as pilot:
        view = app.query_one(Conversation)
        for n in range(1, 2 * SHOWN + 1):
            await view.begin(f"question {n}")
        await pilot.pause()
        await view.tidy()
        assert questions_shown(app) == [f"question {n}" for n in range(6, 11)]
        assert "6 earlier turns" in str(app.query_one(Earlier).render())


async def test_turns_that_are_read_stay_on_the_screen(app: TutorApp, store: Store) -> None:
    long_conversation(store, 3 * SHOWN)
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(size=(80, 24)) as pilot:
        view = app.query_one(Conversation)
        view.focus()
        await pilot.press("home")
        await wait_until(pilot, lambda: len(app.query(Turn)) == 2 * SHOWN)
        await view.tidy()
        assert len(app.query(Turn)) == 2 * SHOWN


async def test_a_turn_that_is_looked_into_stays(app: TutorApp, store: Store) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        view = app.query_one(Conversation)
        turns = [await view.begin(f"question {n}") for n in range(2 * SHOWN)]
        await wait_until(pilot, lambda: view.is_vertical_scroll_end)
        app.push_screen(Inspector(app.chat, turns[0]))
        await pilot.pause()
        await view.tidy()
        assert turns[0].is_attached
        await pilot.press("escape")
        await pilot.pause()
        await view.tidy()
        assert not turns[0].is_attached and turns[-1].is_attached


async def test_earlier_turns_that_cannot_be_read_are_told(app: TutorApp, store: Store) -> None:
    long_conversation(store, 25)
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(size=(120, 40)) as pilot:
        store.close()
        app.query_one(Earlier).focus()
        await pilot.press("enter")
        await wait_until(pilot, lambda: told(app, "closed database"))
        assert len(app.query(Turn)) == SHOWN and app.query_one(Earlier).display


@pytest.mark.parametrize("answer", ['{"answer": "A to', "[" * 100_000, "[]", "{}"])
async def test_a_damaged_answer_is_shown_by_its_text_and_can_be_asked_about(
    app: TutorApp, store: Store, answer: str
) -> None:
    conversation = store.begin()
    store.add(conversation, "user", "What is a token?")
    stored = store.add(conversation, "assistant", "")
    store.update(stored, "A token is a piece of text.", answer=answer)
    app.chat.conversation = conversation
    async with app.run_test(size=(120, 40)) as pilot:
        turn = app.query(Turn).last()
        assert turn.evidence == "A token is a piece of text."
        state = turn.query_one(".state", Static)
        assert "damaged: ask again" in str(state.render())
        (kept,) = app.chat.history()
        assert (kept.question, kept.answer) == ("What is a token?", "A token is a piece of text.")
        await pilot.press("f4")
        await wait_until(pilot, lambda: isinstance(app.screen, Inspector))


async def test_answers_of_two_apps_stand_below_their_own_questions(
    store: Store, tutor: Tutor
) -> None:
    settings = set_value(Settings(), "max_tokens", 4)
    questions = ("What is a token?", "How many layers do you have?")
    other = Store(store.path)
    conversation = store.begin()
    # Both ask before either is answered; the first one to ask is answered last.
    for kept, question in zip((store, other), questions, strict=True):
        kept.add(conversation, "user", question)
    for kept, question in zip((other, store), reversed(questions), strict=True):
        record = answer_record(ask(tutor, question, (), settings.sampling))
        kept.update(kept.add(conversation, "assistant", ""), "x", answer=json.dumps(record))
    other.close()
    app = TutorApp(store, lambda settings, progress: tutor, settings)
    async with app.run_test(size=(120, 40)):
        assert questions_shown(app) == list(questions)
        token, layers = app.query(Turn)
        assert "piece of text" in token.evidence and "30 layers" in layers.evidence
        assert [turn.question for turn in app.chat.history()] == list(questions)


async def test_two_apps_in_one_conversation_lose_nothing(store: Store, tutor: Tutor) -> None:
    settings = set_value(Settings(), "max_tokens", 4)
    conversation = store.begin()
    other = Store(store.path)
    apps = [TutorApp(s, lambda settings, progress: tutor, settings) for s in (store, other)]
    asked = ["What is a token?", "How many layers do you have?", "What is a logit?"]
    async with (
        apps[0].run_test(size=(120, 40)) as first,
        apps[1].run_test(size=(120, 40)) as second,
    ):
        for pilot, question in zip((first, second, first), asked, strict=True):
            turn = await driver.ask(pilot, question)
            # Each sees what it asked itself, and speaks with all in mind.
            assert turn.question == question
        for app in apps:
            assert app.chat.conversation == conversation
            assert [turn.question for turn in app.chat.history()] == asked
    other.close()
    assert [m.text for m in store.messages(conversation) if m.role == "user"] == asked


async def test_an_answer_that_is_cut_off_says_why(store: Store, tutor: Tutor) -> None:
    few = set_value(Settings(), "max_tokens", 4)
    app = TutorApp(store, lambda settings, progress: tutor, few)
    async with app.run_test(size=(120, 40)) as pilot:
        await driver.ask(pilot, "What is a token?")

        def state() -> str:
            return str(app.query(Turn).last().query_one(".state", Static).render())

        assert state() == "cut off: max_tokens is reached"
        await app.chat.show(app.chat.conversation)
        assert state() == "cut off: max_tokens is reached"


async def test_words_without_a_sentence_to_check_are_given_no_count(
    app: TutorApp, store: Store, tutor: Tutor
) -> None:
    record = answer_record(ask(tutor, "What is a token?", [], Settings().sampling))
    record |= {"model_text": "The notes do not say."}
    record["grounding"] |= {"sentences": []}
    conversation = store.begin()
    store.add(conversation, "user", "What is a token?")
    store.update(store.add(conversation, "assistant", ""), "x", answer=json.dumps(record))
    app.chat.conversation = conversation
    async with app.run_test(size=(120, 40)):
        label = app.query(Turn).last().query_one(".label", Static)
        assert str(label.render()) == "the model's own words (base model):"
