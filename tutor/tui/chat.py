"""The chat: one conversation of the store, asked and answered, kept as it happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical

from tutor.agent.branch import BranchError, picked
from tutor.agent.question import QuestionError, checked
from tutor.agent.record import answer_record, kept_record
from tutor.agent.trace import Trace, traced, unpack
from tutor.agent.turn import Exchange
from tutor.demos.demo import Shown
from tutor.engine.cancel import Cancel
from tutor.engine.events import TokenEvent
from tutor.engine.settings import Sampling
from tutor.sessions.store import Store, StoredMessage, StoreError
from tutor.settings import Settings
from tutor.text import plain
from tutor.tui import answering
from tutor.tui.ahead import ReadAhead
from tutor.tui.composer import Composer
from tutor.tui.conversation import REMEMBERED, Conversation, Earlier, Turn, exchanges
from tutor.tui.messages import CommandTyped, Evidence, Failed, Finished, Progress, Words
from tutor.tui.welcome import Example, Welcome

if TYPE_CHECKING:
    from tutor.agent.tutor import Tutor

OpenTutor = Callable[[Settings, Callable[[str, float], None]], "Tutor"]
"""Loads the tutor, which takes seconds; told a stage and its share from 0 to 1 as it goes on."""

_UNFINISHED = "this answer was not finished: ask again, then go on from it"


class Chat(Vertical):
    """The conversation above, the input below. `tutor` is None until the model is loaded."""

    def __init__(
        self, store: Store, sampling: Callable[[], Sampling], conversation: int | None
    ) -> None:
        super().__init__(id="middle")
        self.tutor: Tutor | None = None
        self.lesson: int | None = None
        self.conversation = conversation
        self.answering = False
        self.changing = asyncio.Lock()
        """Held by whoever changes which turns are shown, from its first step to its last."""
        self._store = store
        self.sampling = sampling
        self._cancel = Cancel()
        self._ahead = ReadAhead(self)
        self._waiting = ""
        """The question to ask as soon as the model is loaded, if the input still holds it then."""

    def compose(self) -> ComposeResult:
        yield Conversation()
        yield Composer()

    @property
    def composer(self) -> Composer:
        return self.query_one(Composer)

    @property
    def busy(self) -> str:
        """Why nothing can be asked right now, as a sentence; empty where it can."""
        if self.tutor is None:
            return "the model is still loading: try again in a moment"
        if self.answering:
            return "an answer is still being written: Esc stops it"
        # Another adapter than the learner's acts until it has ended.
        stopping = self.tutor.bench.turn.locked()
        return "what ran before is still stopping: try again in a moment" if stopping else ""

    # Which conversation is shown

    async def show(self, conversation: int | None) -> None:
        """Shows another conversation (None: a new one); a running answer is stopped.

        Raises StoreError; then the one that was shown still is.
        """
        messages = self._store.messages(conversation) if conversation else []
        self.stop()
        self.conversation = conversation
        self.composer.past = [m.text for m in messages if m.role == "user"]
        view = self.query_one(Conversation)
        await view.show(messages)
        if not messages:
            await view.mount(Welcome())
        self.composer.focus()

    async def on_earlier_wanted(self, event: Earlier.Wanted) -> None:
        event.stop()
        async with self.changing:
            with self._told():
                messages = self._store.messages(self.conversation) if self.conversation else []
                await self.query_one(Conversation).show_earlier(messages)

    # Asking

    async def on_composer_sent(self, event: Composer.Sent) -> None:
        event.stop()
        text = event.text.strip()
        if text.startswith("/"):
            self.composer.remember(text)
            self._command(text)
        elif text:
            await self.send(text)

    def _command(self, text: str) -> None:
        name, _, argument = text[1:].partition(" ")
        self.post_message(CommandTyped(name, argument.strip()))

    async def on_example_chosen(self, event: Example.Chosen) -> None:
        event.stop()
        await self.send(event.question)

    async def send(self, question: str) -> bool:
        """Asks, or says why not now and gives False; the input keeps what could not be sent."""
        try:
            question = checked(question)
        except QuestionError as error:
            self._complain(str(error))
            return False
        async with self.changing:
            if self.tutor is None:
                self._waiting = question
                self.composer.put(self.composer.text if self.composer.text.strip() else question)
                self._complain("the model is still loading: this is asked as soon as it is there")
                return False
            if busy := self.busy:
                self._complain(busy)
                return False
            self.composer.remember(question)
            with self._told():
                await self._ask(self.tutor, question)
                return True
        return False

    async def ask_waiting(self) -> None:
        """Asks what waited for the model, which is loaded now."""
        waiting, self._waiting = self._waiting, ""
        if waiting and self.composer.text.strip() == waiting:
            await self.send(waiting)

    async def ask_about(self, question: str) -> None:
        """Asks what was chosen elsewhere; a draft in the input stays there."""
        draft = self.composer.text
        asked = await self.send(question)
        self.composer.put(draft if asked or draft else question)

    async def keep_shown(self, line: str, shown: Shown) -> None:
        """A demonstration that was run elsewhere becomes a turn, for questions about it."""
        if self.tutor is None:
            return
        record = answer_record(self.tutor.showed(line, shown, self.sampling()))
        async with self.changing:
            with self._told():
                turn, conversation = await self._begin(line)
                self.composer.past.append(line)
                turn.message = self._store.add(conversation, "assistant", "")
                self._store.update(turn.message, record["answer"], answer=json.dumps(record))
                await turn.show_record(record)
            await self.query_one(Conversation).tidy()

    async def _begin(self, question: str) -> tuple[Turn, int]:
        """A new turn at the end, and the conversation that it is in."""
        if self.conversation is None:
            self.conversation = self._store.begin()
        self._store.add(self.conversation, "user", question)
        await self.query(Welcome).remove()
        return await self.query_one(Conversation).begin(question), self.conversation

    async def _ask(self, tutor: Tutor, question: str) -> None:
        """Raises StoreError; then the question is in the input again."""
        self._cancel = Cancel()
        self._ahead.stop()
        self.answering = True
        try:
            history = self.history()
            turn, conversation = await self._begin(question)
        except BaseException:
            self.answering = False
            self.composer.put(question)
            raise
        turn.show_state("…")
        self._work(
            partial(
                answering.answer,
                tutor,
                self._store,
                conversation,
                turn,
                history,
                self.lesson,
                self.sampling,
                self._cancel,
                self.post_message,
            )
        )

    def history(self) -> list[Exchange]:
        """The last turns of this conversation, oldest first. Raises StoreError."""
        if self.conversation is None:
            return []
        return exchanges(self._store.messages(self.conversation, newest=REMEMBERED))

    @work(thread=True, group="answer", exit_on_error=False)
    def _work(self, job: Callable[[], None]) -> None:
        job()

    @on(Composer.Drafted)
    @on(Example.Near)
    def _read_ahead(self, event: Composer.Drafted | Example.Near) -> None:
        event.stop()
        self._ahead.begin(event.text)

    async def on_evidence(self, event: Evidence) -> None:
        sources = [
            {"lesson": s.lesson, "section": s.section, "passage_id": s.passage_id}
            for s in event.retrieved.sources
        ]
        async with self.changing:
            if event.turn.is_attached:
                await event.turn.show_evidence(event.retrieved.text, sources)

    async def on_words(self, event: Words) -> None:
        async with self.changing:
            # The learner may have gone to another conversation in the meantime.
            if event.turn.is_attached:
                event.turn.show_state("")
                event.turn.add_words(event.fragment)
        self.post_message(Progress(event.turn, event.figures))

    async def on_finished(self, event: Finished) -> None:
        self.answering = False
        async with self.changing:
            if event.turn.is_attached:
                event.turn.show_state("")
                await event.turn.show_record(event.record)
            await self.query_one(Conversation).tidy()
        self.post_message(Progress(event.turn, event.figures))
        self._ahead.begin(self.composer.text)

    async def on_failed(self, event: Failed) -> None:
        if event.turn:
            self.answering = False
            async with self.changing:
                if event.turn.is_attached:
                    event.turn.show_state(event.reason)
                await self.query_one(Conversation).tidy()

    # Looking inside, and going on from there

    def trace(self, turn: Turn) -> Trace | None:
        """The trace of an answer: of a running one so far, or as it was stored."""
        if turn.prompt is not None and self.tutor is not None:
            return traced(turn.prompt, list(turn.events), self.tutor.engine.token_bytes)
        try:
            data = self._store.trace(turn.message) if turn.message is not None else None
            return unpack(data) if data else None
        except (ValueError, StoreError):
            return None

    async def branch(self, turn: Turn, fork: int, pick: int, limit: int | None = None) -> None:
        """Lets the answer go on from candidate `pick` at token `fork`, as a branch of its own."""
        async with self.changing:
            if (trace := self.trace(turn)) is not None:
                with self._told():
                    await self._go_on(turn, trace, picked(trace, fork, pick), fork, limit)

    async def step(self, turn: Turn) -> None:
        """One token more at the end of the answer."""
        async with self.changing:
            if (trace := self.trace(turn)) is not None and trace.events:
                with self._told():
                    await self._go_on(turn, trace, trace.events, None, 1)

    async def _go_on(
        self,
        turn: Turn,
        trace: Trace,
        said: Sequence[TokenEvent],
        fork: int | None,
        limit: int | None,
    ) -> None:
        record = turn.record
        if (busy := self.busy) or self.tutor is None or record is None or turn.message is None:
            self._complain(busy or _UNFINISHED)
            return
        if fork is not None:
            turn.message = self._store.branch(turn.message, fork)
        self._cancel = Cancel()
        self.answering = True
        turn.clear_words()
        turn.prompt, turn.events = trace.prompt, list(said)
        turn.add_words("".join(event.text for event in said))
        self._work(
            partial(
                answering.branch,
                self.tutor,
                self._store,
                turn,
                trace,
                said,
                record,
                self.sampling,
                self._cancel,
                self.post_message,
                limit,
            )
        )

    def branches(self, turn: Turn) -> list[StoredMessage]:
        """All answers of the turn, the first one first; none where the store cannot tell."""
        with self._told():
            return self._store.branches(turn.message) if turn.message is not None else []
        return []

    async def show_branch(self, turn: Turn, branch: StoredMessage) -> None:
        """Shows another answer of the turn, which history and export then take."""
        record = kept_record(branch.answer)
        if self.answering or record is None:
            self._complain(self.busy if self.answering else _UNFINISHED)
            return
        async with self.changing:
            with self._told():
                self._store.show_branch(branch.id)
                turn.clear_words()
                turn.message, turn.prompt = branch.id, None
                await turn.show_record(record)

    # Stopping and taking back

    def stop(self) -> None:
        """Stops the running answer at once, and asks nothing that waits."""
        self._cancel.set()
        self._waiting = ""

    async def retry(self) -> None:
        """Asks the last question again."""
        if (question := await self._take_back()) is not None and self.tutor:
            # The turn of a demonstration begins with the command that shows it again.
            if question.startswith("/"):
                self._command(question)
            else:
                await self._ask(self.tutor, question)

    async def edit(self) -> None:
        """Puts the last question back into the input, which must be empty."""
        if self.composer.text.strip():
            self._complain("the input holds a text already: send it or clear it first")
        elif (question := await self._take_back()) is not None:
            self.composer.put(question)

    async def _take_back(self) -> str | None:
        messages = self._store.messages(self.conversation) if self.conversation else []
        last = next((m for m in reversed(messages) if m.role == "user"), None)
        if (busy := self.busy) or last is None:
            self._complain(busy or "there is no question to take back yet")
            return None
        self._store.remove_from(last.id)
        await self.show(self.conversation)
        return last.text

    def last_turn(self) -> Turn | None:
        """The turn that the learner looks at: the focused one, else the newest."""
        for node in self.app.focused.ancestors_with_self if self.app.focused else ():
            if isinstance(node, Turn):
                return node
        turns = self.query(Turn)
        return turns.last() if turns else None

    def last_answer(self) -> str:
        """What the last turn shows, as harmless text; empty where there is none."""
        turns = self.query(Turn)
        if not turns:
            return ""
        # Where it is pasted, into a shell say, no filter of ours stands before it any more.
        return plain("\n\n".join(filter(None, (turns.last().evidence, turns.last().words))))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What cannot be stored or branched is told, and the rest is left undone."""
        try:
            yield
        except (StoreError, BranchError) as error:
            self._complain(str(error))

    def _complain(self, text: str) -> None:
        self.notify(text, severity="warning", markup=False)
