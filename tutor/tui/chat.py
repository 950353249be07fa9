"""The chat: one conversation of the store, asked and answered, kept as it happens."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from tutor.agent.question import QuestionError, checked
from tutor.agent.record import exchange
from tutor.agent.turn import Exchange
from tutor.engine.settings import Sampling
from tutor.sessions.store import Store
from tutor.tui import answering
from tutor.tui.composer import Composer
from tutor.tui.conversation import Conversation, Turn
from tutor.tui.messages import Evidence, Failed, Figures, Finished, Words
from tutor.tui.welcome import Example, Welcome

if TYPE_CHECKING:
    from tutor.agent.tutor import Tutor


class Chat(Vertical):
    """The conversation above, the input below. `tutor` is None until the model is loaded."""

    class CommandTyped(Message):
        """The learner typed `/name argument`."""

        def __init__(self, name: str, argument: str) -> None:
            super().__init__()
            self.name = name
            self.argument = argument

    class Progress(Message):
        """New figures of the running or finished answer."""

        def __init__(self, figures: Figures) -> None:
            super().__init__()
            self.figures = figures

    def __init__(
        self, store: Store, sampling: Callable[[], Sampling], conversation: int | None
    ) -> None:
        super().__init__(id="middle")
        self.tutor: Tutor | None = None
        self.lesson: int | None = None
        self.conversation = conversation
        self.answering = False
        self._store = store
        self._sampling = sampling
        self._cancel = threading.Event()

    def compose(self) -> ComposeResult:
        yield Conversation(id="conversation", can_focus=True)
        yield Composer()

    @property
    def composer(self) -> Composer:
        return self.query_one(Composer)

    # Which conversation is shown

    async def show(self, conversation: int | None) -> None:
        """Shows another conversation (None: a new one); a running answer is stopped."""
        self.stop()
        self.conversation = conversation
        view = self.query_one(Conversation)
        await view.clear()
        messages = self._store.messages(conversation) if conversation else []
        self.composer.past = [m.text for m in messages if m.role == "user"]
        if not messages:
            await view.mount(Welcome())
        turn: Turn | None = None
        for message in messages:
            if message.role == "user":
                turn = await view.begin(message.text)
            elif turn and message.answer:
                await turn.show_record(json.loads(message.answer))
            elif turn:
                await turn.show_evidence(message.text, [])
                turn.show_state("stopped before its end")
        self.composer.focus()

    # Asking

    async def on_composer_sent(self, event: Composer.Sent) -> None:
        event.stop()
        text = event.text.strip()
        if text.startswith("/"):
            self.composer.remember(text)
            name, _, argument = text[1:].partition(" ")
            self.post_message(self.CommandTyped(name, argument.strip()))
        elif text:
            await self.send(text)

    async def on_example_chosen(self, event: Example.Chosen) -> None:
        event.stop()
        await self.send(event.question)

    async def send(self, question: str) -> None:
        """Asks, or says why not now; the input keeps what could not be sent."""
        try:
            question = checked(question)
        except QuestionError as error:
            self._complain(str(error))
            return
        if self.tutor is None:
            self._complain("the model is still loading: press Enter again in a moment")
        elif self.answering:
            self._complain("an answer is still being written: Esc stops it")
        else:
            self.composer.remember(question)
            await self._ask(self.tutor, question)

    async def _ask(self, tutor: Tutor, question: str) -> None:
        if self.conversation is None:
            self.conversation = self._store.begin()
        history = self._history()
        self._store.add(self.conversation, "user", question)
        await self.query(Welcome).remove()
        turn = await self.query_one(Conversation).begin(question)
        turn.show_state("…")
        self._cancel = threading.Event()
        self.answering = True
        self._answer(tutor, turn, history, self.conversation, self._cancel)

    def _history(self) -> list[Exchange]:
        found, question = [], ""
        for message in self._store.messages(self.conversation) if self.conversation else []:
            if message.role == "user":
                question = message.text
            elif message.text:
                shown = json.loads(message.answer)["answer"] if message.answer else message.text
                found.append(exchange(question, shown, message.answer))
        return found

    @work(thread=True, group="answer", exit_on_error=False)
    def _answer(
        self,
        tutor: Tutor,
        turn: Turn,
        history: list[Exchange],
        conversation: int,
        cancel: threading.Event,
    ) -> None:
        answering.answer(
            tutor,
            self._store,
            conversation,
            turn,
            history,
            self.lesson,
            self._sampling,
            cancel,
            self.post_message,
        )

    async def on_evidence(self, event: Evidence) -> None:
        sources = [
            {"lesson": s.lesson, "section": s.section, "passage_id": s.passage_id}
            for s in event.retrieved.sources
        ]
        if event.turn.is_attached:
            await event.turn.show_evidence(event.retrieved.text, sources)

    async def on_words(self, event: Words) -> None:
        # The learner may have gone to another conversation in the meantime.
        if event.turn.is_attached:
            event.turn.show_state("")
            await event.turn.add_words(event.fragment)
        self.post_message(self.Progress(event.figures))

    async def on_finished(self, event: Finished) -> None:
        self.answering = False
        if event.turn.is_attached:
            event.turn.show_state("")
            await event.turn.show_record(event.record)
        self.post_message(self.Progress(event.figures))

    async def on_failed(self, event: Failed) -> None:
        if event.turn:
            self.answering = False
            if event.turn.is_attached:
                await event.turn.end_words()
                event.turn.show_state(event.reason)

    # Stopping and taking back

    def stop(self) -> bool:
        """Stops the running answer at once; False where none runs."""
        self._cancel.set()
        return self.answering

    async def retry(self) -> None:
        """Asks the last question again."""
        if (question := await self._take_back()) is not None and self.tutor:
            await self._ask(self.tutor, question)

    async def edit(self) -> None:
        """Puts the last question back into the input."""
        if (question := await self._take_back()) is not None:
            self.composer.put(question)

    async def _take_back(self) -> str | None:
        messages = self._store.messages(self.conversation) if self.conversation else []
        last = next((m for m in reversed(messages) if m.role == "user"), None)
        if last is None or self.answering or self.tutor is None:
            self._complain("there is no finished question to take back")
            return None
        self._store.remove_from(last.id)
        await self.show(self.conversation)
        return last.text

    def last_answer(self) -> str:
        """What the last turn shows, as text; empty where there is none."""
        turns = self.query(Turn)
        if not turns:
            return ""
        return "\n\n".join(filter(None, (turns.last().evidence, turns.last().words)))

    def _complain(self, text: str) -> None:
        self.notify(text, severity="warning", markup=False)
