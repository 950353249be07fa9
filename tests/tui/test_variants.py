from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.tui.driver import QUESTION, ask, say, wait_until
from tutor.agent.tutor import Tutor
from tutor.engine.events import Adapter
from tutor.sessions.store import Store
from tutor.settings import Settings, set_value
from tutor.tui.app import TutorApp
from tutor.tui.decoding import Knob
from tutor.tui.status import StatusLine


@pytest.fixture
def app(store: Store, tutor: Tutor) -> Iterator[TutorApp]:
    def opened(settings: Settings, progress: object) -> Tutor:
        tutor.use(settings.adapter, settings.adapter_scale)
        return tutor

    with tutor.engine.adapter_kept():
        yield TutorApp(store, opened, set_value(Settings(), "max_tokens", 8))


def acting(app: TutorApp) -> Adapter | None:
    return app.chat.tutor.engine.adapter if app.chat.tutor else None


async def test_one_key_swaps_the_shipped_adapter_out_and_in_again(app: TutorApp) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        await wait_until(pilot, lambda: acting(app) is not None)
        status = app.query_one(StatusLine)
        await wait_until(pilot, lambda: "+ tutor x1" in str(status.render()))
        await pilot.press("f8")
        await wait_until(pilot, lambda: acting(app) is None)
        await wait_until(pilot, lambda: "+ tutor" not in str(status.render()))
        await pilot.press("f8")
        await wait_until(pilot, lambda: acting(app) is not None)


async def test_each_answer_tells_which_variant_spoke(app: TutorApp) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        turn = await ask(pilot, QUESTION)
        assert "(adapter tutor x1)" in str(turn.query_one(".label").render())
        await pilot.press("f8")
        await wait_until(pilot, lambda: acting(app) is None)
        await pilot.press("ctrl+r")
        await wait_until(pilot, lambda: bool(app.chat.last_turn() and not app.chat.answering))
        await wait_until(
            pilot,
            lambda: "(base model)" in str(app.chat.last_turn().query_one(".label").render()),  # type: ignore[union-attr]
        )


async def test_the_slider_turns_how_strongly_the_adapter_acts(app: TutorApp) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        await wait_until(pilot, lambda: acting(app) is not None)
        app.query_one("#knob-adapter-scale", Knob).focus()
        await pilot.press("left", "left")
        await wait_until(pilot, lambda: (a := acting(app)) is not None and a.scale == 0.8)
        await pilot.press("u")
        await wait_until(pilot, lambda: (a := acting(app)) is not None and a.scale == 0.9)


async def test_an_adapter_that_cannot_speak_is_told_and_nothing_changes(app: TutorApp) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        await wait_until(pilot, lambda: acting(app) is not None)
        await say(pilot, "/adapter nobody")
        await wait_until(pilot, lambda: any("nobody" in n.message for n in app._notifications))
        await wait_until(pilot, lambda: app.settings.adapter == "")
        assert acting(app) is not None


async def test_the_adapter_is_swapped_in_plain_words(app: TutorApp) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        await say(pilot, "switch to the base model")
        await wait_until(pilot, lambda: app.chat.tutor is not None and acting(app) is None)
        await say(pilot, "turn the adapter on again")
        await wait_until(pilot, lambda: acting(app) is not None)


async def test_an_adapter_that_is_swapped_out_during_the_start_does_not_speak(
    store: Store, tutor: Tutor
) -> None:
    began, held = threading.Event(), threading.Event()

    def opened(settings: Settings, progress: object) -> Tutor:
        tutor.use(settings.adapter, settings.adapter_scale)
        began.set()
        held.wait(60)
        return tutor

    with tutor.engine.adapter_kept():
        app = TutorApp(store, opened, Settings())
        async with app.run_test(size=(160, 40)) as pilot:
            await wait_until(pilot, began.is_set)
            await pilot.press("f8")
            await wait_until(pilot, lambda: app.settings.adapter == "none")
            assert tutor.engine.adapter is not None
            held.set()
            await wait_until(pilot, lambda: app.chat.tutor is not None and acting(app) is None)


async def test_an_adapter_that_cannot_be_opened_is_told_and_stays_in_the_file(
    store: Store, tutor: Tutor
) -> None:
    kept = []

    def opened(settings: Settings, progress: object) -> Tutor:
        tutor.use(settings.adapter, settings.adapter_scale)
        return tutor

    with tutor.engine.adapter_kept():
        settings = set_value(Settings(), "adapter", "nobody")
        app = TutorApp(store, opened, settings, lambda before, after: kept.append(after))
        async with app.run_test(size=(160, 40)) as pilot:
            await wait_until(pilot, lambda: any("nobody" in n.message for n in app._notifications))
            await wait_until(pilot, lambda: app.settings.adapter == "none")
            assert acting(app) is None and kept == []
            await pilot.press("f8")
            await wait_until(pilot, lambda: acting(app) is not None)
