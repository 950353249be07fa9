"""One question answered on a worker thread: events to the app, growth to the store."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

from textual.message import Message

from tutor.agent.record import answer_record
from tutor.agent.turn import Began, Delta, Done, Exchange, Retrieved
from tutor.agent.tutor import Tutor
from tutor.engine.settings import Sampling
from tutor.sessions.store import Store
from tutor.tui.conversation import Turn
from tutor.tui.messages import Evidence, Failed, Figures, Finished, Words

UPDATES_A_SECOND = 20
"""More would cost drawing time and show nothing that an eye can follow."""


def answer(
    tutor: Tutor,
    store: Store,
    conversation: int,
    turn: Turn,
    history: list[Exchange],
    lesson: int | None,
    sampling: Callable[[], Sampling],
    cancel: threading.Event,
    post: Callable[[Message], object],
) -> None:
    """Answers `turn.question`; what the learner sees is stored at least once a second."""
    message = store.add(conversation, "assistant", "", state="streaming")
    shown, words, unsent = "", "", ""
    prompt = Began(0, 0)
    drawn = kept = first = time.monotonic()
    try:
        for event in tutor.ask(turn.question, history, lesson, sampling, cancel):
            now = time.monotonic()
            if isinstance(event, Retrieved):
                shown = event.text
                store.update(message, shown, state="streaming")
                post(Evidence(turn, event))
            elif isinstance(event, Began):
                prompt = event
            elif isinstance(event, Delta):
                words += event.event.text
                unsent += event.event.text
                said = event.event.index
                if said == 0:
                    first = now
                if now - drawn >= 1 / UPDATES_A_SECOND:
                    drawn = now
                    speed = said / (now - first) if said else 0.0
                    post(Words(turn, unsent, _figures(tutor, prompt, said + 1, speed)))
                    unsent = ""
                if now - kept >= 1:
                    kept = now
                    store.update(message, _both(shown, words), state="streaming")
            elif isinstance(event, Done):
                record = answer_record(event.answer)
                stopped = event.answer.stop_reason == "cancelled"
                store.update(
                    message,
                    _both(shown, event.answer.model_text),
                    answer=json.dumps(record),
                    state="stopped" if stopped else "done",
                )
                speed = event.answer.timings.tokens_per_second
                said = event.answer.usage.completion_tokens
                post(Finished(turn, record, _figures(tutor, prompt, said, speed)))
    # Shown to the learner as one line; a traceback in the middle of a chat helps nobody.
    except Exception as error:
        store.update(message, _both(shown, words), state="stopped")
        post(Failed(turn, str(error) or type(error).__name__))


def _figures(tutor: Tutor, prompt: Began, said: int, speed: float) -> Figures:
    return Figures(prompt.prompt_tokens, prompt.cached_tokens, said, speed, tutor.n_ctx)


def _both(shown: str, words: str) -> str:
    return "\n\n".join(part.strip() for part in (shown, words) if part.strip())
