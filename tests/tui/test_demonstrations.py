"""The screen of demonstrations in the real app: predict, see, ask about what was seen."""

from __future__ import annotations

import json

import pytest
from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from corpus import load_lessons
from tests.tui.driver import say, wait_until
from tutor.agent.tutor import Tutor
from tutor.demos.demo import Run, Shown
from tutor.demos.registry import NAMES, demo
from tutor.drawing import draw
from tutor.sessions.store import Store
from tutor.settings import Settings, set_value
from tutor.tui.app import TutorApp
from tutor.tui.composer import Composer
from tutor.tui.conversation import SourceLink, Turn
from tutor.tui.demo_form import Choice, DemoForm, TextField
from tutor.tui.demo_result import FigureView, Result
from tutor.tui.demonstrations import DemoList, DemoView
from tutor.tui.reader import Reader
from tutor.tui.welcome import Example

SIZES = [(80, 24), (200, 50)]


@pytest.fixture
def app(store: Store, tutor: Tutor) -> TutorApp:
    return TutorApp(store, lambda settings, progress: tutor, set_value(Settings(), "max_tokens", 8))


def outcome(tutor: Tutor, name: str, **values: object) -> Shown:
    """The same demonstration run without the app."""
    found = demo(name)
    return found.run(tutor.bench, found.parse(values), Run())


def text(app: TutorApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


def is_shown(app: TutorApp) -> bool:
    return bool(app.screen.query(".verdict"))


async def open_view(pilot: Pilot[None], app: TutorApp, line: str) -> DemoView:
    await say(pilot, f"/demo {line}")
    await wait_until(pilot, lambda: isinstance(app.screen, DemoView))
    assert isinstance(app.screen, DemoView)
    await pilot.pause()
    return app.screen


async def guess(pilot: Pilot[None], app: TutorApp, key: str) -> None:
    await wait_until(pilot, lambda: isinstance(app.focused, Choice) and app.focused.number == 1)
    await pilot.press(key)
    await wait_until(pilot, lambda: is_shown(app))


@pytest.mark.parametrize("size", SIZES)
async def test_f6_lists_every_demonstration_under_its_lesson(
    app: TutorApp, size: tuple[int, int]
) -> None:
    titles = {lesson.number: lesson.title for lesson in load_lessons()}
    async with app.run_test(size=size) as pilot:
        await pilot.press("f6")
        await wait_until(pilot, lambda: isinstance(app.screen, DemoList))
        rows, lesson = [], ""
        for option in app.screen.query_one(OptionList).options:
            if option.id is None:
                lesson = str(option.prompt).strip()
            else:
                rows.append((option.id, lesson))
        assert rows == [
            (name, f"{demo(name).lesson} {titles[demo(name).lesson]}") for name in NAMES
        ]
        await pilot.press("down", "enter")
        await wait_until(pilot, lambda: isinstance(app.screen, DemoView))
        await pilot.press("escape")
        await wait_until(pilot, lambda: isinstance(app.screen, DemoList))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("right", [True, False])
async def test_the_guess_comes_first_and_is_judged_by_what_happened(
    app: TutorApp, tutor: Tutor, size: tuple[int, int], right: bool
) -> None:
    expected = outcome(tutor, "network")
    choices = expected.prediction.choices
    number = (expected.right if right else (expected.right + 1) % len(choices)) + 1
    async with app.run_test(size=size) as pilot:
        view = await open_view(pilot, app, "network")
        await pilot.press("enter")
        await wait_until(pilot, lambda: isinstance(app.focused, Choice))
        told = [str(choice.render()) for choice in view.query("#prediction Choice")]
        assert told[:-1] == [f"{n}  {choice}" for n, choice in enumerate(choices, start=1)]
        assert not is_shown(app) and not app.query(Turn)
        await guess(pilot, app, str(number))
        verdict = text(app, ".verdict")
        assert verdict.startswith("✓" if right else "✗") and choices[expected.right] in verdict
        assert text(app, ".seen") == expected.seen
        assert text(app, ".provenance").startswith(f"{expected.provenance.model}, numpy")
        questions = tuple(example.question for example in view.query(Example))
        assert questions == expected.ask
        await wait_until(pilot, lambda: heights(view) == expected_heights(view, expected))


def heights(view: DemoView) -> list[int]:
    return [figure.size.height for figure in view.query(FigureView)]


def expected_heights(view: DemoView, shown: Shown) -> list[int]:
    """The lines of each figure as a terminal of the result's width shows them."""
    room = view.query_one(Result).scrollable_content_region.width
    console = Console(width=room)
    return [len(console.render_lines(draw(figure, room))) for figure in shown.figures]


async def test_the_guess_can_be_skipped_or_clicked(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        view = await open_view(pilot, app, "descent")
        await pilot.click(view.query_one(DemoForm).query_one(Choice))
        await guess(pilot, app, "s")
        assert text(app, ".verdict").startswith("It was:")
        await pilot.press("r", "enter")
        await wait_until(pilot, lambda: isinstance(app.focused, Choice))
        await pilot.click(list(view.query("#prediction Choice"))[1])
        await wait_until(pilot, lambda: "lower, but" in text(app, ".verdict"))


async def test_a_bad_value_is_told_in_its_place_and_stays(app: TutorApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        view = await open_view(pilot, app, "network")
        await pilot.press("9", "down")
        steps = list(view.query(Input))[2]
        steps.value = "5"
        await pilot.press("shift+tab", "enter")
        await wait_until(pilot, lambda: bool(view.query(".-wrong")))
        hidden = view.query(Input).first()
        assert "less than or equal to 8" in text(app, ".field-takes.-wrong")
        assert (hidden.value, steps.value, app.focused) == ("9", "5", hidden)
        await pilot.press("backspace", "2", "enter")
        await wait_until(pilot, lambda: isinstance(app.focused, Choice))
        assert "2 hidden units" in text(app, ".asked") and "5 steps" in text(app, ".asked")


async def test_what_only_the_model_knows_to_be_wrong_is_told_at_the_field(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        view = await open_view(pilot, app, "attention layer=99")
        await wait_until(pilot, lambda: isinstance(app.focused, Choice))
        await pilot.press("1")
        await wait_until(pilot, lambda: bool(view.query(".-wrong")))
        assert text(app, ".field-takes.-wrong") == "layer: there are 0 to 29, not 99"
        assert isinstance(app.focused, Input) and app.focused.value == "99"


async def test_a_text_that_is_too_long_stays_whole_and_is_told_in_a_line(app: TutorApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        view = await open_view(pilot, app, "tokens")
        field = view.query_one(TextField)
        field.load_text("ab " * 20_000)
        await pilot.press("enter")
        await wait_until(pilot, lambda: bool(view.query(".-wrong")))
        assert len(text(app, ".field-takes.-wrong")) < 160
        assert field.text == "ab " * 20_000


async def test_escape_stops_what_runs_and_keeps_the_input(app: TutorApp, tutor: Tutor) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        with tutor.bench.turn:
            view = await open_view(pilot, app, "network hidden=3")
            await wait_until(pilot, lambda: isinstance(app.focused, Choice))
            await pilot.press("1")
            await wait_until(pilot, lambda: "waiting for another" in text(app, "#demo-state"))
            await pilot.press("escape")
            await wait_until(pilot, lambda: text(app, "#demo-state") == "stopped")
        assert app.screen is view and view.query(Input).first().value == "3"
        assert not is_shown(app) and not app.query(Turn)


async def test_leaving_stops_what_runs(app: TutorApp, tutor: Tutor) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        with tutor.bench.turn:
            await open_view(pilot, app, "network hidden=3")
            await wait_until(pilot, lambda: isinstance(app.focused, Choice))
            await pilot.press("1", "escape", "escape")
            await wait_until(pilot, lambda: not isinstance(app.screen, DemoView))
            await wait_until(pilot, lambda: all(w.is_finished for w in app.workers))
        assert not app.query(Turn)


async def test_a_follow_up_has_what_was_seen_in_its_prompt(app: TutorApp, tutor: Tutor) -> None:
    seen = outcome(tutor, "network", hidden=0).seen
    async with app.run_test(size=(120, 40)) as pilot:
        await open_view(pilot, app, "network hidden=0")
        await guess(pilot, app, "2")
        await wait_until(pilot, lambda: bool(app.query(SourceLink)))
        told, answer = app.store.messages(1)
        assert told.text == "/demo network hidden=0" and seen in answer.text
        assert json.loads(answer.answer)["answer_source"] == "demo"
        assert app.query(SourceLink).first().passage_id == (
            "3/why-can-a-network-without-a-hidden-layer-not-learn-xor"
        )
        await pilot.press("escape")
        await say(pilot, "why is that?")
        await wait_until(pilot, lambda: len(app.query(Turn)) == 2)
        turn = app.query(Turn).last()
        await wait_until(pilot, lambda: turn.record is not None)
        assert turn.prompt is not None
        history = [
            id for piece in turn.prompt.pieces if piece.part == "history" for id in piece.ids
        ]
        assert seen in b"".join(map(tutor.engine.token_bytes, history)).decode()
        assert "straight line" in turn.evidence


async def test_a_demonstration_is_run_again_with_other_input(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        view = await open_view(pilot, app, "network")
        await pilot.press("enter")
        await guess(pilot, app, "1")
        await pilot.press("r", "0", "enter")
        await wait_until(pilot, lambda: isinstance(app.focused, Choice))
        await pilot.press("1")
        await wait_until(pilot, lambda: "a straight line" in text(app, ".seen"))
        await wait_until(pilot, lambda: len(app.query(Turn)) == 2)
        assert [turn.question for turn in app.query(Turn)] == [
            "/demo network",
            "/demo network hidden=0",
        ]
        assert app.screen is view


async def test_asking_again_opens_the_demonstration_of_the_turn(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await open_view(pilot, app, "network hidden=1")
        await guess(pilot, app, "s")
        await wait_until(pilot, lambda: bool(app.query(Turn)))
        await pilot.press("escape", "ctrl+r")
        await wait_until(pilot, lambda: isinstance(app.focused, Choice))
        assert app.screen.query(Input).first().value == "1" and not app.query(Turn)


async def test_a_question_below_the_result_goes_to_the_tutor(app: TutorApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        view = await open_view(pilot, app, "network")
        app.query_one(Composer).load_text("a draft")
        await pilot.press("enter")
        await guess(pilot, app, "1")
        example = view.query(Example).first()
        example.focus()
        await pilot.press("enter")
        await wait_until(pilot, lambda: len(app.query(Turn)) == 2)
        assert app.query(Turn).last().question == example.question
        assert len(app.screen_stack) == 1
        await wait_until(pilot, lambda: app.query_one(Composer).text == "a draft")
        await wait_until(pilot, lambda: not app.chat.answering)


@pytest.mark.parametrize("size", SIZES)
async def test_d_in_a_lesson_opens_its_demonstrations(app: TutorApp, size: tuple[int, int]) -> None:
    async with app.run_test(size=size) as pilot:
        app.action_command("lesson", "4")
        await wait_until(pilot, lambda: isinstance(app.screen, Reader))
        named = [demo.name for demo in load_lessons()[3].demos]
        assert len(app.screen.query(".invite")) == len(named)
        assert str(len(named)) in str(app.screen.query_one("#page").border_subtitle)
        await pilot.press("d")
        await wait_until(pilot, lambda: isinstance(app.screen, DemoList))
        options = app.screen.query_one(OptionList).options
        assert [option.id for option in options if option.id] == named
        await pilot.press("escape")
        assert isinstance(app.screen, Reader)


async def test_tab_completes_the_name_of_a_demonstration(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        app.query_one(Composer).focus()
        await pilot.press(*["slash", *"demo", "space", *"atten", "tab"])
        assert app.query_one(Composer).text == "/demo attention "


@pytest.mark.parametrize(
    ("line", "told"),
    [("nothing", "choose one of"), ("descent 0.5", "takes no text")],
)
async def test_a_demonstration_that_cannot_be_opened_is_told(
    app: TutorApp, line: str, told: str
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await say(pilot, f"/demo {line}")
        await wait_until(pilot, lambda: len(app._notifications) > 0)
        assert any(told in note.message for note in app._notifications)
        assert not isinstance(app.screen, DemoView)
