"""The app: one screen, its panels, and what the commands do. Widgets live in their own modules."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.filter import LineFilter
from textual.message import Message
from textual.screen import ModalScreen, Screen
from textual.widgets import OptionList

from corpus import load_lessons
from tutor.agent.turn import OWN
from tutor.demos.demo import DemoError
from tutor.engine.cores import give_way, share
from tutor.engine.errors import AdapterError
from tutor.sessions.export import write_conversation
from tutor.sessions.store import Store, StoreError
from tutor.settings import NONE, Settings, set_value
from tutor.tui.chat import Chat, OpenTutor
from tutor.tui.commands import COMMANDS, find
from tutor.tui.conversation import SourceLink
from tutor.tui.decoding import DecodingPanel, Knob
from tutor.tui.demonstrations import DemoList, demo_screen
from tutor.tui.harmless import Harmless
from tutor.tui.help import Help
from tutor.tui.inspector import Inspector
from tutor.tui.keys import Keys
from tutor.tui.lessons import LessonList
from tutor.tui.messages import CommandTyped, Did, Failed, Loading, Opened, Progress
from tutor.tui.picture import Picture
from tutor.tui.prompt_view import PromptView
from tutor.tui.prose import RICH_THEME
from tutor.tui.reader import Reader
from tutor.tui.sessions import Choice, SessionList
from tutor.tui.status import StatusLine
from tutor.tui.tunable import TunableApp
from tutor.tui.tuning import Keep, Tuning
from tutor.tui.welcome import Example


class TutorApp(TunableApp):
    """The tutor in a terminal."""

    TITLE = "Tutor"
    CSS_PATH = "tutor.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (160, "-huge")]  # noqa: RUF012 (as Textual types it)
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
        keep: Keep = lambda before, after: None,
        session_id: int | None = None,
    ) -> None:
        super().__init__()
        self.console.push_theme(RICH_THEME)
        self.store = store
        self.tuning = Tuning(settings, keep)
        self.lessons = load_lessons()
        if session_id is None and (known := store.conversations()):
            session_id = known[0].id
        self.chat = Chat(store, lambda: self.sampling, session_id)
        self._open_tutor = open_tutor
        self._harmless = Harmless()
        # A worker of Textual's would be waited for when the learner leaves during a long start.
        self._opening = threading.Thread(target=self._load, name="opening", daemon=True)

    # Layout and start

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's own, and ours: all that is drawn passes through them."""
        return [*super().get_line_filters(), self._harmless]

    def compose(self) -> ComposeResult:
        with Horizontal(id="main"):
            yield LessonList()
            yield self.chat
            yield DecodingPanel(self.settings)
        yield StatusLine()
        yield Keys()

    async def on_mount(self) -> None:
        if self.settings.theme in self.available_themes:
            self.theme = self.settings.theme
        self._show_lessons()
        if self.store.notice:
            self.notify(self.store.notice, severity="warning", markup=False, timeout=20)
        try:
            await self._show_conversation(self.chat.conversation)
        except StoreError as error:
            self.complain(str(error))
            await self._show_conversation(None)
        self.set_interval(0.25, self._share_cores)
        # Loading shares the interpreter with the screen: the first frame goes first.
        self.call_after_refresh(self._opening.start)

    def _share_cores(self) -> None:
        give_way()
        # What is asked next is read with as many threads as are free then.
        share().threads()

    @property
    def opening(self) -> bool:
        """Whether the tutor is still being opened, also after the app has ended."""
        return self._opening.is_alive()

    def _load(self) -> None:
        settings = self.settings
        try:
            try:
                self._tell(Opened(self._open_tutor(settings, self._report), settings))
            except AdapterError as error:
                base = set_value(settings, "adapter", NONE)
                tutor = self._open_tutor(base, self._report)
                self._tell(Opened(tutor, base, str(error), settings.adapter))
        # Whatever is wrong with the model or the index is told in the app, which stays usable.
        except Exception as error:
            self._tell(Failed(None, str(error) or type(error).__name__))

    def _tell(self, message: Message) -> None:
        with suppress(RuntimeError):  # the app has ended in the meantime
            self.post_message(message)

    def _report(self, stage: str, done: float) -> None:
        self._tell(Loading(stage, done))

    def on_loading(self, event: Loading) -> None:
        # Here and below: the app may be closing, its widgets gone, when a message arrives.
        if self.is_running:
            self.query_one(StatusLine).say(f"{event.stage} … {event.done:.0%}")

    def on_failed(self, event: Failed) -> None:
        if event.turn is None and self.is_running:
            self.query_one(StatusLine).say(event.reason)
            self.complain(event.reason)

    def _show_lessons(self) -> None:
        panel = self.query_one(LessonList)
        try:
            panel.read = self.store.read_sections()
        except StoreError as error:  # the ticks stay as they were
            self.complain(str(error))
        panel.show(self.lessons, self.chat.lesson)

    async def _show_conversation(self, id: int | None) -> None:
        title = self.store.conversation(id).title if id else ""
        await self.chat.show(id)
        self.sub_title = title

    def action_stop(self) -> None:
        """Escape: stops an answer, closes a drawer, and goes to the input."""
        self.chat.stop()
        for panel in self.query(".panel.-shown"):
            panel.remove_class("-shown")
        self.chat.composer.focus()

    async def action_quit(self) -> None:
        """Stops what runs and leaves; the store has everything already."""
        self.chat.stop()
        self.exit()

    # Events of the chat and the panels

    def on_command_typed(self, event: CommandTyped) -> None:
        self.action_command(event.name, event.argument)

    def on_progress(self, event: Progress) -> None:
        if not self.is_running:
            return
        self.query_one(StatusLine).show(event.figures)
        steps = [token.step for token in event.turn.events[-1:] if token.step]
        if not self.chat.answering:
            self.preview(self.sampling)
        elif steps and self.chat.tutor:
            text = self.chat.tutor.engine.token_text
            self.query_one(Picture).show(steps[0], text, drawn=True)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if isinstance(event.option_list, LessonList) and event.option.id:
            self._open_lesson(int(event.option.id))

    def on_source_link_opened(self, event: SourceLink.Opened) -> None:
        number = int(event.passage_id.partition("/")[0])
        if number == OWN:
            self.complain("this is about the tutor itself: it stands in no lesson")
        else:
            self._open_lesson(number, event.passage_id)

    def on_reader_demos_wanted(self, event: Reader.DemosWanted) -> None:
        self.push_screen(DemoList(self.chat, self.lessons, event.names))

    async def on_example_chosen(self, event: Example.Chosen) -> None:
        """A question below a demonstration goes to the tutor."""
        self._close_screens()
        await self.chat.ask_about(event.question)

    def _open_lesson(self, number: int, passage_id: str | None = None) -> None:
        lesson = next((found for found in self.lessons if found.number == number), None)
        if lesson is None:
            self.complain(f"there is no lesson {number}: choose 1 to {len(self.lessons)}")
            return
        self.chat.lesson = number

        def closed(question: str | None) -> None:
            self._show_lessons()
            self.chat.composer.focus()
            if question:
                self.chat.composer.put(question)

        self.push_screen(Reader(lesson, passage_id, self._mark_read), closed)

    def _mark_read(self, passage_id: str) -> None:
        try:
            self.store.mark_read(passage_id)
        except StoreError as error:
            self.complain(str(error))

    def on_did(self, event: Did) -> None:
        """Opens what a request asked for; Textual calls the base class's handler too."""
        if event.performed.screen and self.is_running:
            self.call_later(self.action_command, event.performed.screen, event.performed.about)

    # Commands

    def action_command(self, name: str, argument: str = "") -> None:
        """Does `/name argument`; keys, slash commands and the palette all end here."""
        if find(name) is None:
            self.complain(f"there is no command /{name}: F1 lists them")
            return
        if name != "quit":
            self._close_screens()
        self._do(partial(getattr(self, f"command_{name}"), argument))

    def _do(self, command: Callable[[], Any]) -> None:
        """Runs a command after those that were given before it; what goes wrong is told."""
        self.run_worker(self._run_command(command), group="command")

    async def _run_command(self, command: Callable[[], Any]) -> None:
        try:
            async with self.chat.changing:
                if (result := command()) is not None:
                    await result
        except (DemoError, StoreError, OSError) as error:
            self.complain(str(error))

    def _close_screens(self) -> None:
        while isinstance(self.screen, ModalScreen):
            self.pop_screen()

    def get_system_commands(self, screen: Screen[object]):  # type: ignore[no-untyped-def]
        """Textual's own palette entries and ours."""
        yield from super().get_system_commands(screen)
        for c in COMMANDS:
            if c.key or not c.argument:
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
            self.chat.composer.focus()

    def command_lesson(self, argument: str) -> None:
        if argument.isdecimal() and len(argument) < 4:
            self._open_lesson(int(argument))
        else:
            self.complain("which lesson? for example /lesson 6")

    def command_demo(self, argument: str) -> None:
        self.push_screen(demo_screen(self.chat, self.lessons, argument))

    def command_compare(self, argument: str) -> None:
        if (busy := self.chat.busy) or (tutor := self.chat.tutor) is None:
            self.complain(busy)
            return
        history = self.chat.history()
        while history and not argument and history[-1].request:
            history.pop()  # "side by side, please" is not what shall be compared
        last = history.pop().question if history and not argument else argument
        # It stands on the whole agent, which the first frame need not wait for.
        from tutor.tui.comparison import CompareScreen

        self.push_screen(CompareScreen(tutor, self.settings, last, history, self.chat.lesson))

    async def command_new(self, _: str) -> None:
        await self._show_conversation(None)

    def command_inspect(self, _: str) -> None:
        if (turn := self.chat.last_turn()) is None:
            self.complain("there is no answer to look into yet")
        else:
            self.push_screen(Inspector(self.chat, turn))

    def command_prompt(self, _: str) -> None:
        turn = self.chat.last_turn()
        trace = self.chat.trace(turn) if turn else None
        if trace is None:
            self.complain("there is no traced answer yet: ask something first")
        else:
            self.push_screen(PromptView(trace))

    def command_sessions(self, _: str) -> None:
        def closed(choice: Choice | None) -> None:
            if choice and choice[0] == "resume":
                self._do(partial(self._show_conversation, choice[1]))
            elif choice:
                self._do(partial(self._export, choice[1], "md"))

        self.push_screen(SessionList(self.store, self.chat.conversation), closed)

    def command_rename(self, argument: str) -> None:
        if self.chat.conversation is None or not argument:
            self.complain("ask something first, then name it: /rename TITLE")
            return
        self.store.rename(self.chat.conversation, argument)
        self.notify(f"renamed to {argument}", markup=False)

    def command_export(self, argument: str) -> None:
        if self.chat.conversation is None:
            self.complain("there is nothing to export yet")
        elif argument not in ("", "md", "json"):
            self.complain("export as md or json")
        else:
            self._export(self.chat.conversation, argument or "md")

    def _export(self, conversation: int, kind: str) -> None:
        path = write_conversation(self.store, conversation, kind, Path.cwd())
        self.notify(f"written to {path}", markup=False)

    async def command_retry(self, _: str) -> None:
        await self.chat.retry()

    async def command_edit(self, _: str) -> None:
        await self.chat.edit()

    def command_copy(self, _: str) -> None:
        if text := self.chat.last_answer():
            self.copy_to_clipboard(text)
            self.notify("answer copied")
        else:
            self.complain("there is no answer to copy yet")

    def command_theme(self, argument: str) -> None:
        if argument in self.available_themes:
            self.theme = argument
            self.set_setting("theme", argument)
        else:
            unknown = f"there is no theme {argument!r}: " if argument else ""
            self.complain(f"{unknown}choose one of {', '.join(sorted(self.available_themes))}")

    async def command_quit(self, _: str) -> None:
        await self.action_quit()
