"""One answer made on a worker thread: events to the app, growth to the store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from textual.message import Message

from tutor.agent.branch import branched_record, decoded, go_on
from tutor.agent.record import answer_record, struck
from tutor.agent.trace import TOP, Trace, pack, traced
from tutor.agent.turn import Acted, Began, Delta, Done, Exchange, Performed, Retrieved
from tutor.engine.cancel import Cancel
from tutor.engine.events import GenerationStats, TokenEvent
from tutor.engine.settings import Sampling
from tutor.sessions.store import Store, StoreError
from tutor.tui.conversation import Turn
from tutor.tui.messages import Did, Evidence, Failed, Figures, Finished, Words

if TYPE_CHECKING:
    from tutor.agent.tutor import Tutor

UPDATES_A_SECOND = 20
"""More would cost drawing time and show nothing that an eye can follow."""

Post = Callable[[Message], object]


class _Growing:
    """An answer as it grows: drawn at most 20 times, stored at most once a second."""

    def __init__(self, tutor: Tutor, store: Store, turn: Turn, message: int, post: Post) -> None:
        self.shown = ""
        self.words = ""
        self._tutor, self._store, self._turn, self._post = tutor, store, turn, post
        self._message = message
        self._unsent = ""
        self._said = 0
        self._first = self._drawn = self._kept = time.monotonic()

    def add(self, event: TokenEvent) -> None:
        """One token more."""
        now = time.monotonic()
        self._turn.events.append(event)
        self.words += event.text
        self._unsent += event.text
        self._said += 1
        if self._said == 1:
            self._first = now
        if now - self._drawn >= 1 / UPDATES_A_SECOND:
            self._drawn = now
            elapsed = now - self._first
            self.post_words((self._said - 1) / elapsed if elapsed else 0.0)
        if now - self._kept >= 1:
            self._kept = now
            self.keep("streaming")

    def post_words(self, speed: float) -> None:
        self._post(Words(self._turn, self._unsent, self.figures(speed)))
        self._unsent = ""

    def figures(self, speed: float) -> Figures:
        prompt = self._turn.prompt
        return Figures(
            len(prompt.tokens) if prompt else 0,
            self._turn.cached_tokens,
            len(self._turn.events),
            speed,
            self._tutor.n_ctx,
            prompt.counts if prompt else {},
        )

    def keep(self, state: str, record: dict[str, Any] | None = None) -> None:
        """Stores what there is; with the record also the trace."""
        parts = (self.shown, struck(record) if record else self.words)
        text = "\n\n".join(part.strip() for part in parts if part.strip())
        answer = json.dumps(record) if record else ""
        self._store.update(self._message, text, answer=answer, state=state)
        if record and self._turn.prompt and self._turn.events:
            trace = traced(self._turn.prompt, self._turn.events, self._tutor.engine.token_bytes)
            self._store.keep_trace(self._message, pack(trace))

    def finish(self, record: dict[str, Any]) -> None:
        self.keep("stopped" if record["stop_reason"] == "cancelled" else "done", record)
        figures = self.figures(record["timings"]["tokens_per_second"])
        self._post(Finished(self._turn, record, figures))

    def fail(self, error: Exception) -> None:
        """Told to the learner as one line; a traceback in the middle of a chat helps nobody."""
        # The store may be what failed.
        with suppress(StoreError):
            self.keep("stopped")
        self._post(Failed(self._turn, str(error) or type(error).__name__))


def answer(
    tutor: Tutor,
    store: Store,
    conversation: int,
    turn: Turn,
    history: list[Exchange],
    lesson: int | None,
    sampling: Callable[[], Sampling],
    cancel: Cancel,
    post: Post,
) -> None:
    """Answers `turn.question`; what the learner sees is stored at least once a second."""
    try:
        turn.message = store.add(conversation, "assistant", "", state="streaming")
    except StoreError as error:
        post(Failed(turn, str(error)))
        return
    growing = _Growing(tutor, store, turn, turn.message, post)
    performed: Performed | None = None
    try:
        for event in tutor.ask(turn.question, history, lesson, sampling, cancel, top=TOP):
            if isinstance(event, Acted):
                performed = event.performed
                growing.shown = performed.text
            elif isinstance(event, Retrieved):
                growing.shown = event.text
                growing.keep("streaming")
                post(Evidence(turn, event))
            elif isinstance(event, Began):
                turn.prompt, turn.cached_tokens = event.prompt, event.cached_tokens
            elif isinstance(event, Delta):
                growing.add(event.event)
            elif isinstance(event, Done):
                growing.finish(answer_record(event.answer))
                # What it opens may want to answer itself: this turn has ended first.
                if performed is not None:
                    post(Did(turn, performed))
    except Exception as error:
        growing.fail(error)


def branch(
    tutor: Tutor,
    store: Store,
    turn: Turn,
    trace: Trace,
    said: Sequence[TokenEvent],
    record: dict[str, Any],
    sampling: Callable[[], Sampling],
    cancel: Cancel,
    post: Post,
    limit: int | None,
) -> None:
    """Goes on after `said` in the message that `turn` shows now."""
    assert turn.message is not None
    growing = _Growing(tutor, store, turn, turn.message, post)
    growing.shown = record["answer"] if record["answer_source"] != "model" else ""
    growing.words = "".join(event.text for event in said)
    try:
        for event in go_on(tutor, trace, said, sampling, cancel, limit):
            if isinstance(event, GenerationStats):
                turn.cached_tokens = event.cached_tokens
                turn.events[:] = decoded(turn.events)
                growing.finish(branched_record(tutor, record, turn.events, event, sampling()))
            else:
                growing.add(event)
    except Exception as error:
        growing.fail(error)
