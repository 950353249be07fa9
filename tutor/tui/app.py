"""The app: one screen, its panels, and what the commands do. Widgets live in their own modules."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Footer, Markdown, OptionList, Static

from corpus import load_lessons
from tutor.agent.record import exchange
from tutor.agent.turn import Exchange
from tutor.engine.settings import Sampling
from tutor.sessions.export import conversation_json, conversation_markdown
from tutor.sessions.store import Store, StoreError
from tutor.settings import Settings, SettingsError, set_value
from tutor.tui import answering
from tutor.tui.commands import COMMANDS, find, help_text
from tutor.tui.composer import Composer
from tutor.tui.conversation import Conversation, SourceLink, Turn
from tutor.tui.decoding import DecodingPanel, Knob
from tutor.tui.lessons import LessonList
from tutor.tui.messages import Evidence, Failed, Finished, Loading, Words
from tutor.tui.reader import Reader
from tutor.tui.sessions import Choice, SessionList

if TYPE_CHECKING:
    from tutor.agent.tutor import Tutor

OpenTutor = Callable[[Callable[[str, float], None]], "Tutor"]
QUESTION_LIMIT = 4_000

WELCOME = """\
# Welcome

Ask anything about how language models work. The lessons' own sentences answer first; what the
small model adds stands below them, unchecked. Try one:

- Why does a high temperature make answers stranger?
- What is a token?
- Does a model learn from our chat?

**F2** lessons · **F3** decoding settings · **F1** help · **Esc** stops an answer
"""


class Help(ModalScreen[None]):
    """Keys and commands."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q", "dismiss", "back")]

    def compose(self) -> ComposeResult:
        with Vertical(id="help"):
            yield Markdown(help_text(), open_links=False)


class TutorApp(App[None]):
    """The tutor in a terminal."""

    TITLE = "Tutor"
    CSS_PATH = "tutor.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 (as Textual types it)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "stop", show=False),
        *(
            Binding(
                c.key, f"command('{c.name}')", c.name, show=c.key.startswith("f"), priority=True
            )
            for c in COMMANDS
            if c.key
        ),
    ]

    def __init__(
        self,
        store: Store,
        open_tutor: OpenTutor,
        settings: Settings,
        keep: Callable[[Settings], None] = lambda settings: None,
        session_id: int | None = None,
    ) -> None:
        super().__init__()
        self.store = store
        self.settings = settings
        self.tutor: Tutor | None = None
        self.lessons = load_lessons()
        self.lesson: int | None = None
        self._open_tutor = open_tutor
        self._keep = keep
        self._conversation = session_id
        self._cancel = threading.Event()
        self._answering = False

    @property
    def sampling(self) -> Sampling:
        """The decoding settings as they count now; read at every token."""
        return self.settings.sampling

    # Layout and start

    def compose(self) -> ComposeResult:
        with Horizontal(id="main"):
            yield LessonList()
            with Vertical(id="middle"):
                yield Conversation(id="conversation", can_focus=True)
                yield Composer()
            yield DecodingPanel(self.sampling)
        yield Static("", id="status", markup=False)
        yield Footer()

    async def on_mount(self) -> None:
        if self.settings.theme in self.available_themes:
            self.theme = self.settings.theme
        self._show_lessons()
        self.query_one(Composer).focus()
        if self.store.notice:
            self.notify(self.store.notice, severity="warning", markup=False, timeout=20)
        if self._conversation is None and (known := self.store.conversations()):
            self._conversation = known[0].id
        await self._show_conversation()
        self._load()

    @work(thread=True, exit_on_error=False)
    def _load(self) -> None:
        try:
            self.tutor = self._open_tutor(self._report)
            self.post_message(Loading("ready", 1.0))
        # Whatever is wrong with the model or the index is told in the app, which stays usable.
        except Exception as error:
            self.post_message(Failed(None, str(error)))

    def _report(self, stage: str, done: float) -> None:
        self.post_message(Loading(stage, done))

    def on_loading(self, event: Loading) -> None:
        if self.tutor is None:
            self._status(f"{event.stage} … {event.done:.0%}")
        else:
            self._status(f"{self.tutor.info.name} is ready")

    def _status(self, text: str) -> None:
        self.query_one("#status", Static).update(text)

    def _show_lessons(self) -> None:
        self.query_one(LessonList).show(self.lessons, self.store.read_sections(), self.lesson)

    async def _show_conversation(self) -> None:
        view = self.query_one(Conversation)
        await view.clear()
        messages = self.store.messages(self._conversation) if self._conversation else []
        self.sub_title = (
            self.store.conversation(self._conversation).title if self._conversation else ""
        )
        composer = self.query_one(Composer)
        composer.past = [m.text for m in messages if m.role == "user"]
        if not messages:
            await view.mount(Markdown(WELCOME, classes="welcome", open_links=False))
        turn: Turn | None = None
        for message in messages:
            if message.role == "user":
                turn = await view.begin(message.text)
            elif turn and message.answer:
                await turn.show_record(json.loads(message.answer))
            elif turn:
                await turn.show_evidence(message.text, [])
                turn.show_state("stopped before its end")

    # Asking

    async def on_composer_sent(self, event: Composer.Sent) -> None:
        text = event.text.strip()
        composer = self.query_one(Composer)
        if not text:
            return
        if text.startswith("/"):
            composer.remember(text)
            name, _, argument = text[1:].partition(" ")
            self.action_command(name, argument.strip())
        elif len(text) > QUESTION_LIMIT:
            self._complain(
                f"the question has {len(text):,} characters; ask in at most {QUESTION_LIMIT:,}"
            )
        elif self.tutor is None:
            self._complain("the model is still loading: press Enter again in a moment")
        elif self._answering:
            self._complain("an answer is still being written: Esc stops it")
        else:
            composer.remember(text)
            await self._ask(text)

    async def _ask(self, question: str) -> None:
        assert self.tutor is not None
        if self._conversation is None:
            self._conversation = self.store.begin()
        history = self._history()
        self.store.add(self._conversation, "user", question)
        view = self.query_one(Conversation)
        for welcome in view.query(".welcome"):
            await welcome.remove()
        turn = await view.begin(question)
        turn.show_state("…")
        self._cancel = threading.Event()
        self._answering = True
        self._answer(turn, history, self._conversation, self._cancel)

    def _history(self) -> list[Exchange]:
        found, question = [], ""
        for message in self.store.messages(self._conversation) if self._conversation else []:
            if message.role == "user":
                question = message.text
            elif message.text:
                shown = json.loads(message.answer)["answer"] if message.answer else message.text
                found.append(exchange(question, shown, message.answer))
        return found

    @work(thread=True, group="answer", exit_on_error=False)
    def _answer(
        self, turn: Turn, history: list[Exchange], conversation: int, cancel: threading.Event
    ) -> None:
        assert self.tutor is not None
        answering.answer(
            self.tutor,
            self.store,
            conversation,
            turn,
            history,
            self.lesson,
            lambda: self.sampling,
            cancel,
            self.post_message,
        )

    async def on_evidence(self, event: Evidence) -> None:
        sources = [
            {"lesson": s.lesson, "section": s.section, "passage_id": s.passage_id}
            for s in event.retrieved.sources
        ]
        await event.turn.show_evidence(event.retrieved.text, sources)

    async def on_words(self, event: Words) -> None:
        event.turn.show_state("")
        await event.turn.show_words(event.text)

    async def on_finished(self, event: Finished) -> None:
        self._answering = False
        event.turn.show_state("")
        await event.turn.show_record(event.record)
        usage, timings = event.record["usage"], event.record["timings"]
        used = usage["prompt_tokens"] + usage["completion_tokens"]
        limit = self.tutor.n_ctx if self.tutor else 0
        full = round(10 * used / limit) if limit else 0
        self._status(
            f"{timings['tokens_per_second']:.0f} tok/s · "
            f"{usage['prompt_tokens']} + {usage['completion_tokens']} tokens "
            f"({usage['cached_tokens']} cached) · "
            f"context {'▓' * full}{'░' * (10 - full)} {used}/{limit} · {event.record['model']}"
        )

    def on_failed(self, event: Failed) -> None:
        self._answering = False
        if event.turn:
            event.turn.show_state(event.reason)
        else:
            self._status(event.reason)
            self._complain(event.reason)

    def action_stop(self) -> None:
        """Escape: stops an answer, else closes a drawer, else goes to the input."""
        if self._answering:
            self._cancel.set()
        for panel in self.query(".panel.-shown"):
            panel.remove_class("-shown")
        self.query_one(Composer).focus()

    async def action_quit(self) -> None:
        """Stops what runs and leaves; the store has everything already."""
        self._cancel.set()
        self.exit()

    # Events of panels

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if isinstance(event.option_list, LessonList) and event.option.id:
            self._open_lesson(int(event.option.id))

    def on_source_link_opened(self, event: SourceLink.Opened) -> None:
        self._open_lesson(int(event.passage_id.partition("/")[0]), event.passage_id)

    def on_knob_turned(self, event: Knob.Turned) -> None:
        self._set(event.name, event.value)

    def _open_lesson(self, number: int, passage_id: str | None = None) -> None:
        lesson = next((found for found in self.lessons if found.number == number), None)
        if lesson is None:
            self._complain(f"there is no lesson {number}: choose 1 to {len(self.lessons)}")
            return
        self.lesson = number

        def closed(question: str | None) -> None:
            self._show_lessons()
            self.query_one(Composer).focus()
            if question:
                self.query_one(Composer).put(question)

        self.push_screen(Reader(lesson, passage_id, self.store.mark_read), closed)

    def _set(self, name: str, value: Any) -> None:
        try:
            self.settings = set_value(self.settings, name, value)
            self._keep(self.settings)
        except SettingsError as error:
            self._complain(str(error))
        self.query_one(DecodingPanel).show(self.sampling)

    def _complain(self, text: str) -> None:
        self.notify(text, severity="warning", markup=False)

    # Commands

    def action_command(self, name: str, argument: str = "") -> None:
        """Does `/name argument`; keys, slash commands and the palette all end here."""
        if find(name) is None:
            self._complain(f"there is no command /{name}: F1 lists them")
            return
        if isinstance(self.screen, ModalScreen) and name != "quit":
            self.pop_screen()
        method = getattr(self, f"command_{name}")
        self.run_worker(self._run_command(method, argument), group="command")

    async def _run_command(self, method: Callable[[str], Any], argument: str) -> None:
        try:
            result = method(argument)
            if result is not None:
                await result
        except (StoreError, OSError) as error:
            self._complain(str(error))

    def get_system_commands(self, screen: Screen[object]):  # type: ignore[no-untyped-def]
        """Textual's own palette entries and ours."""
        yield from super().get_system_commands(screen)
        for c in COMMANDS:
            if not c.argument:
                yield SystemCommand(c.name, c.help, partial(self.action_command, c.name))

    def command_help(self, _: str) -> None:
        self.push_screen(Help())

    def command_lessons(self, _: str) -> None:
        self._toggle("#lessons")

    def command_decoding(self, _: str) -> None:
        self._toggle("#decoding")

    def _toggle(self, selector: str) -> None:
        panel = self.query_one(selector)
        shown = panel.display
        panel.set_class(shown, "-hidden")
        panel.set_class(not shown, "-shown")
        if not shown:
            target = panel if panel.can_focus else panel.query_one(Knob)
            self.call_after_refresh(target.focus)
        else:
            self.query_one(Composer).focus()

    def command_lesson(self, argument: str) -> None:
        if argument.isdecimal():
            self._open_lesson(int(argument))
        else:
            self._complain("which lesson? for example /lesson 6")

    def command_set(self, argument: str) -> None:
        name, _, value = argument.partition(" ")
        if name and value.strip():
            self._set(name, value.strip())
        else:
            self._complain("name a setting and a value, for example /set temperature 1.2")

    def command_reset(self, _: str) -> None:
        for name, value in Sampling().model_dump().items():
            self._set(name, value)

    async def command_new(self, _: str) -> None:
        self._cancel.set()
        self._conversation = None
        await self._show_conversation()
        self.query_one(Composer).focus()

    def command_sessions(self, _: str) -> None:
        def closed(choice: Choice | None) -> None:
            if choice and choice[0] == "resume":
                self._cancel.set()
                self._conversation = choice[1]
                self.run_worker(self._show_conversation())
            elif choice:
                self._export(choice[1], "md")

        self.push_screen(SessionList(self.store, self._conversation), closed)

    def command_rename(self, argument: str) -> None:
        if self._conversation is None or not argument:
            self._complain("ask something first, then name it: /rename TITLE")
            return
        self.store.rename(self._conversation, argument)
        self.notify(f"renamed to {argument}", markup=False)

    def command_export(self, argument: str) -> None:
        if self._conversation is None:
            self._complain("there is nothing to export yet")
        elif argument not in ("", "md", "json"):
            self._complain("export as md or json")
        else:
            self._export(self._conversation, argument or "md")

    def _export(self, conversation: int, kind: str) -> None:
        path = Path.cwd() / f"conversation-{conversation}.{kind}"
        if kind == "json":
            text = json.dumps(conversation_json(self.store, conversation), ensure_ascii=False)
        else:
            text = conversation_markdown(self.store, conversation)
        path.write_text(text, encoding="utf-8")
        self.notify(f"written to {path}", markup=False)

    async def command_retry(self, _: str) -> None:
        if (question := await self._take_back()) is not None:
            await self._ask(question)

    async def command_edit(self, _: str) -> None:
        if (question := await self._take_back()) is not None:
            self.query_one(Composer).put(question)
            self.query_one(Composer).focus()

    async def _take_back(self) -> str | None:
        """Removes the last turn and returns its question."""
        messages = self.store.messages(self._conversation) if self._conversation else []
        last = next((m for m in reversed(messages) if m.role == "user"), None)
        if last is None or self._answering or self.tutor is None:
            self._complain("there is no finished question to take back")
            return None
        self.store.remove_from(last.id)
        await self._show_conversation()
        return last.text

    def command_copy(self, _: str) -> None:
        turns = self.query(Turn)
        if not turns:
            self._complain("there is no answer to copy yet")
            return
        self.copy_to_clipboard(
            "\n\n".join(filter(None, (turns.last().evidence, turns.last().words)))
        )
        self.notify("answer copied")

    def command_theme(self, argument: str) -> None:
        if argument not in self.available_themes:
            self._complain(f"themes: {', '.join(sorted(self.available_themes))}")
            return
        self.theme = argument
        self._set("theme", argument)

    async def command_quit(self, _: str) -> None:
        await self.action_quit()
