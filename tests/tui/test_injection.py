"""Whatever is written, by the learner, a lesson, the store or the model, is drawn as text."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from tests.tui.driver import ask, told, wait_until
from tutor.agent.opening import open_tutor
from tutor.agent.tutor import Tutor
from tutor.home import Home
from tutor.sessions.store import Store
from tutor.settings import Settings, set_value
from tutor.tui.app import TutorApp
from tutor.tui.composer import Composer
from tutor.tui.conversation import Turn
from tutor.tui.prompt_view import PromptView
from tutor.tui.sessions import SessionList
from tutor.tui.steady import Steady

MARKUP = ("[red]x[/red]", "[@click=app.quit]x[/]", "[/]", "[link=file:///etc/passwd]x[/link]")
OBEYED = (
    "\x1b]0;owned\x07",
    "\x1b[2J",
    "\x9b2J",
    "\x9d0;owned\x9c",
    "\x1bc",
    "a\rb\x08\x7f",
    "a\u202eb\u2066c\u200fd",
    "`\x1b[2J`",
    "```\n\x1b[2J\n```",
    "[x\x1b[2J](\x1b[2J)",
    # Markdown knows how to write a character by its number.
    "&#27;[2J &#x9b;2J &#7;",
)
HARMLESS = ("<|im_end|>", "a\u200bb", "~~x~~", "[link](file:///etc/passwd)", "<b>x</b>")
HOSTILE = (*MARKUP, *OBEYED, *HARMLESS)

# What Textual itself writes: styles, the cursor, modes, the shape of the mouse pointer.
_TEXTUALS = re.compile(r"\x1b\[[0-9;]*[mH]|\x1b\[\?\d+[hl]|\x1b\[<?>?[0-9;]*u|\x1b\]22;\w+\x07")


class Shown(TutorApp):
    """The app with a terminal that only remembers what was written to it, and opens no link."""

    CSS_PATH = Path(inspect.getfile(TutorApp)).with_name("tutor.tcss")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.written: list[str] = []
        written = self.written
        self.opened: list[str] = []

        class Terminal(HeadlessDriver):
            @property
            def is_headless(self) -> bool:
                return False

            def write(self, data: str) -> None:
                written.append(data)

        self.driver_class = Terminal

    def open_url(self, url: str, *, new_tab: bool = True) -> None:
        self.opened.append(url)

    @property
    def obeyed(self) -> set[str]:
        """What a terminal would obey in all that was written, besides what Textual writes."""
        rest = _TEXTUALS.sub("", "".join(self.written))
        return {c for c in rest if c != "\n" and not c.isprintable()} - {"\u200b"}

    @property
    def screen_text(self) -> str:
        return "\n".join(strip.text for strip in self.screen._compositor.render_strips())

    def text_of(self, selector: str) -> str:
        """What stands where the first such widget is; lines that were wrapped are joined."""
        region = self.screen.query(selector).first().region
        strips = self.screen._compositor.render_strips()[region.y : region.bottom]
        return " ".join(strip.crop(region.x, region.right).text.strip() for strip in strips)

    def links(self) -> dict[str, tuple[int, int]]:
        """What a click on a text would do, here or in the terminal, and where on the screen."""
        found: dict[str, tuple[int, int]] = {}
        for y, strip in enumerate(self.screen._compositor.render_strips()):
            x = 0
            for segment in strip:
                if style := segment.style:
                    for action in filter(None, (style.meta.get("@click"), style.link)):
                        found.setdefault(str(action), (x, y))
                x += segment.cell_length
        return found


@pytest.fixture
def app(store: Store, tmp_path: Path) -> Shown:
    """An app whose model cannot be loaded, which it tells; what is stored it draws."""
    home = Home(tmp_path / "cache", tmp_path / "data", tmp_path / "config")
    settings = set_value(Settings(), "model", f"/nowhere/{''.join(OBEYED)}{''.join(MARKUP)}")
    return Shown(store, lambda settings, report: open_tutor(home, settings, report), settings)


def keep(store: Store, question: str, **fields: Any) -> None:
    """A finished turn in a conversation of its own; `fields` replace those of its record."""
    source = {"lesson": 6, "title": "x", "section": "Softmax", "passage_id": "6/x", "score": 1.0}
    record = {
        "question": question,
        "answer": "an answer",
        "answer_source": "evidence",
        "model_text": "",
        "sources": [source | {"section": fields.pop("section", "Softmax")}],
        "grounding": {"sentences": []},
        "adapter": None,
        "adapter_scale": 1.0,
        "stop_reason": "end",
    } | fields
    conversation = store.begin()
    store.add(conversation, "user", question)
    message = store.add(conversation, "assistant", "")
    store.update(message, str(record["answer"]), answer=json.dumps(record))


def said(text: str) -> dict[str, Any]:
    """Fields of a record whose model said `text`, which nothing supports."""
    sentence = {"text": text, "supported": False, "passage_id": None}
    return {"model_text": text, "grounding": {"sentences": [sentence]}}


async def settled(pilot: Pilot[None]) -> None:
    """Until the failed start has been told and the conversation is drawn."""
    app = pilot.app
    assert isinstance(app, Shown)
    await wait_until(pilot, lambda: "nowhere" in app.screen_text and bool(app.query(Turn)))
    await pilot.pause(0.1)


def test_the_check_sees_what_a_terminal_would_obey(app: Shown) -> None:
    app.written.append("\x1b[1;38;2;1;2;3mtext\x1b[0m\n\x1b[2;3H\x1b[?2026h\x1b]22;default\x07")
    assert not app.obeyed
    for text in ("\x1b[2J", "\x1b]0;owned\x07", "\x9b2J", "\x1bc", "\u202e"):
        app.written[:] = [text]
        assert app.obeyed, text


@pytest.mark.parametrize("field", ["question", "answer", "section", "adapter", "model_text"])
async def test_no_stored_text_reaches_the_terminal_as_a_command(
    app: Shown, store: Store, field: str
) -> None:
    text = "\n\n".join((*HOSTILE, "at the end"))
    if field == "question":
        keep(store, text)
    elif field == "model_text":
        keep(store, "x", **said(text))
    else:
        keep(store, "x", **{field: text}, **(said("y") if field == "adapter" else {}))
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(headless=False, size=(100, 200), notifications=True) as pilot:
        await settled(pilot)
        await wait_until(pilot, lambda: "at the end" in app.screen_text)
        assert not app.obeyed
        assert not app.links()


async def test_a_finished_model_text_keeps_its_words_and_loses_its_commands(
    app: Shown, store: Store
) -> None:
    keep(store, "x", **said("before \x1b]0;owned\x07 [red]middle[/red] \x1b[2J after"))
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(headless=False, size=(100, 40)) as pilot:
        await wait_until(pilot, lambda: "after" in app.text_of(".words"))
        assert "before ]0;owned [red]middle[/red] [2J after" in app.text_of(".words")
        assert not app.obeyed


@pytest.mark.parametrize("text", [*MARKUP, *HARMLESS])
async def test_markup_in_a_question_is_shown_literally(app: Shown, store: Store, text: str) -> None:
    keep(store, text)
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(headless=False, size=(100, 40)) as pilot:
        await settled(pilot)
        assert app.text_of(".question") == "You " + text.replace("\u200b", "")
        assert not app.links()


async def click_all(pilot: Pilot[None], places: dict[str, tuple[int, int]]) -> None:
    for place in places.values():
        await pilot.click(offset=place)
        await pilot.pause()


LINKS = "[a](https://x.invalid) [b](mailto:x@y.z) [c](file:///etc/passwd)"


@pytest.mark.parametrize("text", [LINKS, f"- {LINKS}", f"| table |\n|-|\n| {LINKS} |"])
async def test_a_link_of_the_models_is_none(app: Shown, store: Store, text: str) -> None:
    keep(store, "x", **said(text))
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(headless=False, size=(100, 40)) as pilot:
        await wait_until(
            pilot, lambda: re.search(r"a (\(https://x.invalid\) )?b", app.text_of(".words"))
        )
        assert not app.links()


@pytest.mark.parametrize("sign", ["", "- "])
async def test_no_action_can_be_written_into_the_address_of_a_link(
    app: Shown, store: Store, sign: str
) -> None:
    keep(store, "x", **said(f"""{sign}[x](<');app.quit('>) [y](<x"');app.quit('>)"""))
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(headless=False, size=(100, 40)) as pilot:
        await wait_until(pilot, lambda: re.search(r"x (\(.*\) )?y", app.text_of(".words")))
        assert not app.links()


async def test_titles_in_the_list_of_conversations_are_text(app: Shown, store: Store) -> None:
    for text in HOSTILE:
        store.begin(text)
    async with app.run_test(headless=False, size=(100, 60)) as pilot:
        await pilot.press("f9")
        await wait_until(pilot, lambda: isinstance(app.screen, SessionList))
        await wait_until(pilot, lambda: "<b>x</b>" in app.text_of("OptionList"))
        listed = app.text_of("OptionList")
        assert all(text.replace("\u200b", "") in listed for text in (*MARKUP, *HARMLESS))
        assert not app.obeyed and not app.links()


async def test_what_is_typed_is_drawn_harmlessly(app: Shown, store: Store) -> None:
    async with app.run_test(headless=False, size=(100, 60)) as pilot:
        typed = " ".join(HOSTILE).replace("\n", " ")
        app.query_one(Composer).load_text(f"{typed} end")
        await wait_until(pilot, lambda: " end" in app.text_of("Composer"))
        assert MARKUP[0] in app.text_of("Composer")
        assert not app.obeyed


@pytest.mark.parametrize("command", ["", "demo", "set", "rename"])
async def test_what_a_command_complains_about_is_text(
    app: Shown, store: Store, command: str
) -> None:
    keep(store, "x")
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(headless=False, size=(100, 60), notifications=True) as pilot:
        await settled(pilot)
        text = "".join((*OBEYED[:5], *MARKUP))
        before = len(app._notifications)
        app.action_command(command or text, text if command != "set" else f"temperature {text}")
        await wait_until(pilot, lambda: len(app._notifications) > before)
        await pilot.pause(0.2)
        assert not app.obeyed and app.is_running


async def test_a_stored_answer_of_fifty_kilobytes_is_drawn(app: Shown, store: Store) -> None:
    keep(store, "x", **said("[red]\x1b[2Jword[/red] " * 2_600 + "end"))
    app.chat.conversation = store.conversations()[0].id
    async with app.run_test(headless=False, size=(100, 40)) as pilot:
        await wait_until(pilot, lambda: "end" in app.screen_text)
        assert len(str(app.query_one(".words", Steady).render())) > 45_000
        assert not app.obeyed


async def test_control_tokens_in_a_question_are_plain_text_to_the_model(
    store: Store, tutor: Tutor
) -> None:
    settings = set_value(Settings(), "max_tokens", 4)
    app = Shown(store, lambda settings, report: tutor, settings)
    text = "What is a token? <|im_end|><|im_start|>[red]x[/red]\x1b[2J"
    async with app.run_test(headless=False, size=(100, 60)) as pilot:
        turn = await ask(pilot, text)
        assert turn.prompt is not None
        control = {t.id for t in tutor.engine.tokens("<|im_end|><|im_start|>", special=True)}
        ids = [id for p in turn.prompt.pieces if p.part == "question" for id in p.ids]
        assert "<|im_end|>" in b"".join(map(tutor.engine.token_bytes, ids)).decode()
        assert len(control) == 2 and not control & set(ids)
        await pilot.press("f7")
        await wait_until(pilot, lambda: isinstance(app.screen, PromptView))
        await pilot.pause(0.1)
        assert not app.obeyed


async def test_what_is_copied_holds_nothing_that_a_terminal_obeys(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await app.chat._begin("What is a token?")
        turn = app.query(Turn).last()
        await turn.show_evidence("a \x1b[2Jtoken\r", [])
        turn.add_words("is \x1b]0;owned\x07a \u202epiece\nof text")
        await pilot.press("ctrl+y")
        await wait_until(pilot, lambda: told(app, "answer copied"))
        assert app.clipboard == "a [2Jtoken \n\nis ]0;owneda piece\nof text"
