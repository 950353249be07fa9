from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual import events
from textual.pilot import Pilot

from tests.tui.driver import wait_until
from tutor.agent.tutor import Tutor
from tutor.sessions.store import Store
from tutor.settings import Settings, set_value
from tutor.tui import composer
from tutor.tui.ahead import ReadAhead
from tutor.tui.app import TutorApp
from tutor.tui.conversation import Turn
from tutor.tui.welcome import Example

PREFIX = 40
"""More tokens than every prompt begins with."""


@pytest.fixture
def app(store: Store, tutor: Tutor) -> TutorApp:
    return TutorApp(store, lambda settings, progress: tutor, set_value(Settings(), "max_tokens", 8))


@asynccontextmanager
async def opened(app: TutorApp) -> AsyncIterator[Pilot[int]]:
    """The app with its tutor, whose memory is empty."""
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: app.chat.tutor is not None)
        assert app.chat.tutor
        app.chat.tutor.engine.forget()
        yield pilot


def read(tutor: Tutor) -> int:
    return len(tutor.engine._memory)


async def test_what_is_typed_is_read_ahead_and_its_answer_reads_only_the_rest(
    app: TutorApp, tutor: Tutor
) -> None:
    async with opened(app) as pilot:
        await pilot.press(*"What does the KV cache ")
        await wait_until(pilot, lambda: read(tutor) > PREFIX)
        await pilot.press(*"keep?", "enter")
        await wait_until(pilot, lambda: bool(app.query(Turn)) and not app.chat.answering)
        assert app.query(Turn).last().cached_tokens > PREFIX


async def test_a_draft_that_waits_for_the_end_of_an_answer_is_read_then(
    app: TutorApp, tutor: Tutor
) -> None:
    async with opened(app) as pilot:
        await pilot.press(*"What is a token?", "enter", *"What does LoRA train?")
        await wait_until(pilot, lambda: bool(app.query(Turn)) and not app.chat.answering)
        prompt = app.query(Turn).last().prompt
        assert prompt is not None
        tokens = prompt.tokens
        await wait_until(pilot, lambda: tutor.engine._memory.ids[: len(tokens)] != tokens)
        assert app.chat.composer.text == "What does LoRA train?"


async def test_a_command_is_not_read_ahead(app: TutorApp, tutor: Tutor) -> None:
    async with opened(app) as pilot:
        await pilot.press(*"/compare What is a token ")
        await pilot.pause(0.5)
        assert read(tutor) == 0


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read ahead because the learner pauses."""
    monkeypatch.setattr(composer, "PAUSE", 600.0)


async def test_what_is_pasted_is_read_ahead_at_once(
    app: TutorApp, tutor: Tutor, no_pause: None
) -> None:
    async with opened(app) as pilot:
        app.post_message(events.Paste("What does the KV cache keep"))
        await wait_until(pilot, lambda: read(tutor) > PREFIX)
        assert app.chat.composer.text == "What does the KV cache keep"


async def test_the_end_of_a_question_is_read_before_it_is_sent(
    app: TutorApp, tutor: Tutor, no_pause: None
) -> None:
    async with opened(app) as pilot:
        await pilot.press(*"overfitting?")
        await wait_until(pilot, lambda: read(tutor) > PREFIX)


async def test_half_a_word_is_not_read_ahead_before_a_pause(
    app: TutorApp, tutor: Tutor, no_pause: None
) -> None:
    async with opened(app) as pilot:
        await pilot.press(*"overfitting")
        await pilot.pause(0.5)
        assert read(tutor) == 0


async def test_of_words_that_come_at_once_only_the_last_draft_is_searched(
    app: TutorApp, tutor: Tutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts: list[str] = []
    monkeypatch.setattr(Tutor, "read_ahead", lambda self, draft, *given: drafts.append(draft))
    async with opened(app) as pilot:
        ahead = ReadAhead(app.chat)
        for draft in ("What ", "What is ", "What is a "):
            ahead.begin(draft)
        await wait_until(pilot, lambda: bool(drafts))
        assert drafts == ["What is a "]


async def test_an_example_is_read_ahead_when_the_pointer_comes_to_it(
    app: TutorApp, tutor: Tutor
) -> None:
    async with opened(app) as pilot:
        example = app.query(Example).first()
        await pilot.hover(example)
        await wait_until(pilot, lambda: read(tutor) > PREFIX)
        await pilot.click(example)
        await wait_until(pilot, lambda: bool(app.query(Turn)) and not app.chat.answering)
        assert app.query(Turn).last().cached_tokens > PREFIX


async def test_an_example_is_read_ahead_when_the_focus_comes_to_it(
    app: TutorApp, tutor: Tutor
) -> None:
    async with opened(app) as pilot:
        app.query(Example).last().focus()
        await wait_until(pilot, lambda: read(tutor) > PREFIX)
