from __future__ import annotations

import re
import threading

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from tests.tui.driver import QUESTION, ask, say, told, wait_until
from tutor.agent.tutor import Tutor
from tutor.engine.errors import EngineError
from tutor.sessions.store import Store
from tutor.settings import Settings, set_value
from tutor.tui.app import TutorApp
from tutor.tui.commands import COMMANDS
from tutor.tui.composer import Composer
from tutor.tui.conversation import SourceLink, Turn
from tutor.tui.messages import Figures, Words
from tutor.tui.reader import Reader
from tutor.tui.sessions import SessionList
from tutor.tui.status import StatusLine
from tutor.tui.welcome import Example, Welcome


@pytest.fixture
def app(store: Store, tutor: Tutor) -> TutorApp:
    return TutorApp(
        store, lambda settings, progress: tutor, set_value(Settings(), "max_tokens", 24)
    )


def talk_on(app: TutorApp) -> None:
    """Sets the knobs so that an answer goes on: nearly uniform draws miss the end token."""
    for name, value in {
        "max_tokens": 1500,
        "temperature": 5,
        "top_k": 0,
        "top_p": 1,
        "min_p": 0,
    }.items():
        app.tuning.set(name, value)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_a_question_is_answered_from_a_lesson_and_shows_its_source(
    app: TutorApp, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        turn = await ask(pilot, QUESTION)
        assert "flattens the distribution" in turn.evidence
        assert app.query(SourceLink).first().passage_id.startswith("6/")
        assert "tok/s" in str(app.query_one("#status", Static).render())


async def test_pressing_a_source_opens_the_lesson_at_the_passage(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot, QUESTION)
        app.query(SourceLink).first().focus()
        await pilot.press("enter")
        await wait_until(pilot, lambda: isinstance(app.screen, Reader))
        assert len(app.screen.query(".cited")) == 1
        outline = app.screen.query_one("#outline", OptionList)
        await wait_until(pilot, lambda: bool(outline.highlighted))
        cited = app.screen.passage_id  # type: ignore[attr-defined]
        await wait_until(pilot, lambda: cited in app.store.read_sections())
        await pilot.press("escape")
        assert not isinstance(app.screen, Reader)


async def test_escape_stops_an_answer_and_keeps_what_was_said(app: TutorApp) -> None:
    talk_on(app)
    async with app.run_test(size=(120, 40)) as pilot:
        await say(pilot, QUESTION)
        await wait_until(
            pilot, lambda: bool(app.query(Turn)) and app.query(Turn).last().words != ""
        )
        await pilot.press("escape")
        await wait_until(pilot, lambda: not app.chat.answering)
        stored = app.store.messages(1)[-1]
        assert stored.state == "stopped" and "flattens" in stored.text


async def test_a_setting_changes_by_slash_command_and_by_key(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await say(pilot, "/set temperature 1.2")
        await wait_until(pilot, lambda: app.sampling.temperature == 1.2)
        app.query_one("#knob-temperature").focus()
        await pilot.press("right")
        await wait_until(pilot, lambda: app.sampling.temperature == 1.3)


async def test_a_wrong_setting_changes_nothing(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        before = app.settings
        await say(pilot, "/set temperature 9")
        await wait_until(pilot, lambda: len(app._notifications) > 0)
        assert app.settings == before


async def test_the_conversation_is_there_again_after_a_restart(
    app: TutorApp, store: Store, tutor: Tutor
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        first = await ask(pilot, QUESTION)
        evidence = first.evidence
    again = TutorApp(store, lambda settings, progress: tutor, Settings())
    async with again.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: bool(again.query(SourceLink)))
        assert again.query(Turn).last().evidence == evidence


async def test_markup_and_control_characters_are_shown_as_text(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot, "[bold]what is a token[/bold]\x1b[31m?")
        shown = str(app.query(".question").last(Static).render())
        assert "[bold]what is a token[/bold]" in shown and "\x1b" not in shown


async def test_a_question_that_is_too_long_stays_in_the_input(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await say(pilot, "x " * 25_000)
        await wait_until(pilot, lambda: len(app._notifications) > 0)
        assert len(app.query_one(Composer).text) == 50_000
        assert not app.query(Turn)


async def test_panels_are_drawers_in_a_narrow_terminal(app: TutorApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        assert not app.query_one("#lessons").display
        await pilot.press("f2")
        await wait_until(pilot, lambda: app.query_one("#lessons").display)
        await pilot.press("escape")
        await wait_until(pilot, lambda: not app.query_one("#lessons").display)


async def test_tab_completes_a_slash_command(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        app.query_one(Composer).focus()
        await pilot.press("slash", "d", "e", "c", "tab")
        assert app.query_one(Composer).text == "/decoding "


async def test_a_new_conversation_begins_with_the_welcome(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot, QUESTION)
        await pilot.press("ctrl+n")
        await wait_until(pilot, lambda: bool(app.query(Welcome)))
        assert not app.query(Turn)


async def test_an_example_of_the_welcome_is_asked_when_pressed(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: app.chat.tutor is not None)
        await pilot.pause()
        await pilot.click(app.query(Example).first())
        await wait_until(pilot, lambda: bool(app.query(SourceLink)) and not app.chat.answering)
        assert app.query(Turn).last().question == QUESTION


async def test_the_status_line_counts_while_the_answer_streams(app: TutorApp) -> None:
    talk_on(app)
    seen: set[str] = set()
    async with app.run_test(size=(120, 40)) as pilot:
        await say(pilot, QUESTION)

        def counted_three_times() -> bool:
            seen.add(str(app.query_one(StatusLine).render()))
            return len([line for line in seen if "tok/s" in line]) > 3

        await wait_until(pilot, counted_three_times)
        assert app.chat.answering
        await pilot.press("escape")


async def test_another_conversation_can_be_opened_while_an_answer_streams(app: TutorApp) -> None:
    talk_on(app)
    async with app.run_test(size=(120, 40)) as pilot:
        await say(pilot, QUESTION)
        await wait_until(
            pilot, lambda: bool(app.query(Turn)) and app.query(Turn).last().words != ""
        )
        await pilot.press("ctrl+n")
        await wait_until(pilot, lambda: not app.chat.answering and bool(app.query(Welcome)))
        assert app.store.messages(1)[-1].state == "stopped"


async def test_keys_beyond_the_limit_of_a_question_are_refused(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        app.chat.composer.load_text("x" * 4_000)
        app.chat.composer.focus()
        await pilot.press("y")
        assert len(app.chat.composer.text) == 4_000
        await wait_until(pilot, lambda: len(app._notifications) > 0)


async def test_a_terminal_made_tiny_and_large_again_loses_nothing(app: TutorApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await ask(pilot, QUESTION)
        for size in ((1, 1), (3, 2), (200, 50), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        turn = app.query(Turn).last()
        assert "flattens the distribution" in turn.evidence and turn.region.width > 40
        assert app.query_one(Composer).has_focus


def questions(app: TutorApp) -> list[str]:
    return [message.text for message in app.store.messages(1) if message.role == "user"]


async def test_asking_again_twice_quickly_takes_only_the_last_question_back(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot, QUESTION)
        await ask(pilot, "What is a token?")
        app.action_command("retry")
        app.action_command("retry")
        await wait_until(pilot, lambda: told(app, "still being written"))
        await wait_until(pilot, lambda: not app.chat.answering)
        assert questions(app) == [QUESTION, "What is a token?"]
        assert app.store.messages(1)[-1].state == "done"


async def test_words_that_arrive_while_the_app_closes_do_it_no_harm(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        turn = await ask(pilot, QUESTION)
        for _ in range(300):  # so many that the widgets are gone before all are shown
            app.chat.post_message(Words(turn, "a", Figures(1, 0, 1, 1.0, 2048)))
    assert not app.is_running  # what went wrong in it would have been raised here


async def test_editing_twice_quickly_takes_only_the_last_question_back(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot, QUESTION)
        await ask(pilot, "What is a token?")
        app.action_command("edit")
        app.action_command("edit")
        await wait_until(pilot, lambda: told(app, "the input holds a text already"))
        assert app.query_one(Composer).text == "What is a token?"
        assert questions(app) == [QUESTION]


async def test_a_store_that_fails_while_an_answer_streams_ends_the_answer(app: TutorApp) -> None:
    talk_on(app)
    async with app.run_test(size=(120, 40)) as pilot:
        await say(pilot, QUESTION)
        await wait_until(
            pilot, lambda: bool(app.query(Turn)) and app.query(Turn).last().words != ""
        )
        app.store.close()
        await wait_until(pilot, lambda: not app.chat.answering)
        state = app.query(Turn).last().query_one(".state", Static)
        await wait_until(pilot, lambda: "closed database" in str(state.render()))
        await app.chat.step(app.query(Turn).last())
        await wait_until(pilot, lambda: told(app, "this answer was not finished"))


async def test_a_question_that_cannot_be_stored_stays_in_the_input(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: app.chat.tutor is not None)
        app.store.close()
        await say(pilot, QUESTION)
        await wait_until(pilot, lambda: told(app, "closed database"))
        assert app.query_one(Composer).text == QUESTION
        assert not app.chat.answering


async def test_a_section_that_cannot_be_marked_as_read_can_be_read(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_command("lesson", "6")
        await wait_until(pilot, lambda: isinstance(app.screen, Reader))
        outline = app.screen.query_one("#outline", OptionList)
        await wait_until(pilot, lambda: outline.highlighted is not None)
        app.store.close()
        await pilot.press("down")
        await wait_until(pilot, lambda: told(app, "closed database"))
        assert isinstance(app.screen, Reader)


async def test_a_store_that_cannot_be_read_at_the_start_is_told_and_the_app_runs(
    app: TutorApp,
) -> None:
    # Known when the app was made, gone when it draws.
    app.store.add(app.store.begin(), "user", "What is a token?")
    app.chat.conversation = 1
    app.store.close()
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: told(app, "closed database"))
        assert app.query(Welcome) and app.chat.conversation is None
        lessons = app.query_one("#lessons", OptionList)
        assert lessons.option_count == 13


async def test_ticks_that_cannot_be_read_stay_as_they_were(app: TutorApp) -> None:
    app.store.mark_read("1/what-is-a-model")
    app.store.mark_read(app.lessons[0].sections[0].passage_id)
    async with app.run_test(size=(120, 40)) as pilot:
        lessons = app.query_one("#lessons", OptionList)
        assert "◐" in str(lessons.get_option_at_index(0).prompt)
        app.action_command("lesson", "2")
        await wait_until(pilot, lambda: isinstance(app.screen, Reader))
        app.store.close()
        await pilot.press("escape")
        await wait_until(pilot, lambda: told(app, "closed database"))
        assert "◐" in str(lessons.get_option_at_index(0).prompt)
        assert "▸" in str(lessons.get_option_at_index(1).prompt)


async def test_a_conversation_that_cannot_be_opened_leaves_the_open_one(
    app: TutorApp, store: Store
) -> None:
    for question in ("What is a token?", "What is a logit?"):
        store.add(store.begin(), "user", question)
    app.chat.conversation = 2
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await wait_until(pilot, lambda: isinstance(app.screen, SessionList))
        store.close()
        await pilot.press("down", "enter")
        await wait_until(pilot, lambda: told(app, "closed database"))
        assert app.chat.conversation == 2
        assert [turn.question for turn in app.query(Turn)] == ["What is a logit?"]


@pytest.mark.parametrize("number", ["9" * 5_000, "99", "٣" * 5_000, "-1", "x"])
async def test_a_lesson_that_is_no_lesson_is_said_to_be_none(app: TutorApp, number: str) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_command("lesson", number)
        await wait_until(pilot, lambda: told(app, "lesson"))
        (notification,) = app._notifications
        assert len(notification.message) < 100 and not isinstance(app.screen, Reader)


@pytest.mark.parametrize("command", ["compare", "edit", "retry", "rename a", "export", "sessions"])
async def test_a_command_that_needs_a_store_that_fails_is_told(app: TutorApp, command: str) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: app.chat.tutor is not None)
        app.chat.conversation = app.store.begin()
        app.store.close()
        app.action_command(*command.split())
        await wait_until(pilot, lambda: told(app, "closed database"))
        assert app.is_running


def test_leaving_during_the_start_does_not_wait_for_its_end(store: Store) -> None:
    held, opened = threading.Event(), []

    def open_tutor(settings: Settings, progress: object) -> Tutor:
        held.wait(60)
        opened.append(settings)
        raise EngineError("nobody waits for this")

    async def leave(pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+q")

    app = TutorApp(store, open_tutor, Settings())
    app.run(headless=True, auto_pilot=leave)
    assert not opened
    held.set()


async def test_undo_gives_the_colours_back_too(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        before = app.theme
        app.action_command("theme", "textual-light")
        await wait_until(pilot, lambda: app.theme == "textual-light")
        app.action_command("undo")
        await wait_until(pilot, lambda: app.theme == before)
        assert app.settings.theme == before


@pytest.mark.parametrize("command", ["theme", "preset"])
async def test_a_name_that_is_unknown_is_said_to_be(app: TutorApp, command: str) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_command(command, "nope")
        await wait_until(pilot, lambda: told(app, f"there is no {command} 'nope': choose one of"))


async def test_a_notice_does_not_hide_what_is_typed(app: TutorApp) -> None:
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        app.complain("a notice")
        await wait_until(pilot, lambda: bool(app.screen.query("Toast")))
        await pilot.pause()
        toast, composer = app.screen.query("Toast").first(), app.chat.composer
        assert toast.region.height and not toast.region.overlaps(composer.region)


async def test_the_keys_stand_in_the_footer_as_in_the_list_of_commands(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)):
        shown = [key for key in app.screen.active_bindings if re.fullmatch(r"f\d", key)]
        assert shown == [c.key for c in COMMANDS if c.key and c.key.startswith("f")]
