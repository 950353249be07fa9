"""The glass box in the real app: inspector, branches, prompt, knobs, comparison."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from textual.widgets import Input, OptionList, Static, Tree

from tests.tui.driver import QUESTION, ask, say, wait_until
from tutor.agent.tutor import Tutor
from tutor.engine.settings import PRESETS
from tutor.sessions.store import Store
from tutor.settings import Settings, set_value
from tutor.tui.app import TutorApp
from tutor.tui.branches import BranchTree
from tutor.tui.comparison import ColumnView, CompareScreen
from tutor.tui.inspector import Inspector
from tutor.tui.picture import Picture
from tutor.tui.prompt_view import PromptView
from tutor.tui.strip import TokenStrip


@pytest.fixture
def app(store: Store, tutor: Tutor) -> TutorApp:
    return TutorApp(
        store, lambda settings, progress: tutor, set_value(Settings(), "max_tokens", 24)
    )


def shown(app: TutorApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_f4_shows_an_answer_token_by_token(app: TutorApp, size: tuple[int, int]) -> None:
    async with app.run_test(size=size) as pilot:
        turn = await ask(pilot, QUESTION)
        await pilot.press("f4")
        await wait_until(pilot, lambda: isinstance(app.screen, Inspector))
        await wait_until(pilot, lambda: "token 1 of" in shown(app, "#token"))
        assert f"token 1 of {len(turn.events)}" in shown(app, "#token")
        await pilot.press("right", "right")
        await wait_until(pilot, lambda: "token 3 of" in shown(app, "#token"))
        assert f"id {turn.events[2].id}" in shown(app, "#token")
        assert app.screen.query_one(OptionList).option_count > 5
        await pilot.press("escape")
        assert not isinstance(app.screen, Inspector)


async def test_a_click_on_a_token_chooses_it(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        turn = await ask(pilot, QUESTION)
        await pilot.press("f4")
        await wait_until(pilot, lambda: isinstance(app.screen, Inspector))
        first = len(turn.events[0].bytes.decode())
        await wait_until(pilot, lambda: "token 1 of" in shown(app, "#token"))
        await pilot.click(TokenStrip, offset=(first + 2, 0))
        await wait_until(pilot, lambda: "token 2 of" in shown(app, "#token"))


async def test_an_alternative_goes_on_as_a_branch_that_the_tree_shows(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        turn = await ask(pilot, QUESTION)
        before = [event.id for event in turn.events]
        await pilot.press("f4")
        await wait_until(pilot, lambda: isinstance(app.screen, Inspector))
        await pilot.press("right", "down", "enter")
        await wait_until(pilot, lambda: len(app.chat.branches(turn)) == 2)
        await wait_until(pilot, lambda: not app.chat.answering)
        assert turn.events[0].id == before[0] and turn.events[1].id != before[1]
        await pilot.press("b")
        await wait_until(pilot, lambda: isinstance(app.screen, BranchTree))
        tree = app.screen.query_one(Tree)
        first = tree.root.children[0]
        assert [str(child.label)[:14] for child in first.children] == ["▸ from token 2"]
        tree.move_cursor(first)
        await pilot.press("enter")
        await wait_until(pilot, lambda: isinstance(app.screen, Inspector))
        await wait_until(pilot, lambda: turn.message == app.chat.branches(turn)[0].id)


async def test_step_mode_says_one_token_more(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        turn = await ask(pilot, QUESTION)
        app.tuning.set("max_tokens", 200)
        said = len(turn.events)
        await pilot.press("f4")
        await wait_until(pilot, lambda: isinstance(app.screen, Inspector))
        await pilot.press("s")
        await wait_until(pilot, lambda: len(turn.events) != said and not app.chat.answering)
        assert len(turn.events) == said + 1


async def test_yesterdays_answer_can_still_be_opened(store: Store, tutor: Tutor) -> None:
    first = TutorApp(
        store, lambda settings, progress: tutor, set_value(Settings(), "max_tokens", 8)
    )
    async with first.run_test(size=(120, 40)) as pilot:
        said = len((await ask(pilot, QUESTION)).events)
    again = TutorApp(store, lambda settings, progress: tutor, Settings())
    async with again.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: again.chat.tutor is not None)
        await pilot.press("f4")
        await wait_until(pilot, lambda: isinstance(again.screen, Inspector))
        await wait_until(pilot, lambda: f"token 1 of {said}" in shown(again, "#token"))


async def test_f7_shows_the_exact_prompt_with_its_special_tokens(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        turn = await ask(pilot, QUESTION)
        await pilot.press("f7")
        await wait_until(pilot, lambda: isinstance(app.screen, PromptView))
        assert turn.prompt is not None
        assert f"{len(turn.prompt.tokens)} tokens" in shown(app, "#prompt-counts")
        assert "<|im_start|>system" in shown(app, "#prompt-text")


async def test_a_knob_moves_the_picture_of_the_next_token_and_undo_takes_it_back(
    app: TutorApp,
) -> None:
    async with app.run_test(size=(200, 50)) as pilot:
        await ask(pilot, QUESTION)
        await wait_until(pilot, lambda: "next token" in str(app.query_one(Picture).render()))
        before = str(app.query_one(Picture).render())
        app.action_command("set", "temperature 2")
        await wait_until(pilot, lambda: "entropy" in shown(app, "#effect"))
        assert "temperature 0.7 → 2" in shown(app, "#effect")
        assert str(app.query_one(Picture).render()) != before
        app.action_command("undo")
        await wait_until(pilot, lambda: app.sampling.temperature == 0.7)
        await wait_until(pilot, lambda: str(app.query_one(Picture).render()) == before)


async def test_a_preset_is_taken_by_key_and_keeps_the_seed(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        app.tuning.set("seed", 7)
        await pilot.pause()
        list(app.query("Preset"))[2].focus()
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.sampling.temperature == PRESETS["wild"].temperature)
        assert app.sampling.seed == 7


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_f5_compares_the_last_question_side_by_side(
    app: TutorApp, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await ask(pilot, QUESTION)
        await pilot.press("f5")
        await wait_until(pilot, lambda: isinstance(app.screen, CompareScreen))
        assert app.screen.query_one("#compare-question", Input).value == QUESTION
        await pilot.press("enter")
        ended = ("parts from", "say the same")
        await wait_until(pilot, lambda: any(t in shown(app, "#compare-told") for t in ended))
        texts = [
            str(v.query_one(".compared-text", Static).render())
            for v in app.screen.query(ColumnView)
        ]
        assert len(texts) == 2 and all(text.strip() for text in texts)


async def test_side_by_side_in_plain_words_compares_the_question_before_it(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot, QUESTION)
        await say(pilot, "show me both answers side by side")
        await wait_until(pilot, lambda: isinstance(app.screen, CompareScreen))
        assert app.screen.query_one("#compare-question", Input).value == QUESTION


async def test_side_by_side_with_a_question_compares_that_question(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await say(pilot, "side by side with different temperatures: what is a logit?")
        await wait_until(pilot, lambda: isinstance(app.screen, CompareScreen))
        assert app.screen.query_one("#compare-question", Input).value == "what is a logit?"


async def test_a_wrong_column_is_told_and_nothing_runs(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot, QUESTION)
        await pilot.press("f5")
        await wait_until(pilot, lambda: isinstance(app.screen, CompareScreen))
        list(app.screen.query(ColumnView))[1].query_one(Input).value = "temperature=-1"
        await pilot.press("enter")
        await wait_until(pilot, lambda: "greater than" in shown(app, "#compare-told"))


async def test_a_fault_of_any_kind_ends_a_comparison_and_is_told(
    app: TutorApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Iterator[object]:
        raise OSError("the disk is gone")

    monkeypatch.setattr("tutor.tui.comparison.compare", broken)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: app.chat.tutor is not None)
        app.action_command("compare", QUESTION)
        await wait_until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await pilot.press("enter")
        await wait_until(pilot, lambda: "the disk is gone" in shown(app, "#compare-told"))
        await pilot.press("escape")
        await wait_until(pilot, lambda: not isinstance(app.screen, CompareScreen))


async def test_a_second_escape_leaves_a_comparison_that_does_not_stop(
    app: TutorApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, held = threading.Event(), threading.Event()

    def deaf(*_: object) -> Iterator[object]:
        begun.set()
        held.wait(60)
        return iter(())

    monkeypatch.setattr("tutor.tui.comparison.compare", deaf)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: app.chat.tutor is not None)
        app.action_command("compare", QUESTION)
        await wait_until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await pilot.press("enter")
        await wait_until(pilot, begun.is_set)
        await pilot.press("escape")
        assert isinstance(app.screen, CompareScreen)
        await pilot.press("escape")
        await wait_until(pilot, lambda: not isinstance(app.screen, CompareScreen))
        held.set()


async def test_a_request_in_plain_words_turns_the_knob(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await say(pilot, "please set the temperature to 1.2")
        await wait_until(pilot, lambda: app.sampling.temperature == 1.2)
