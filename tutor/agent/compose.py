"""The prompt of one turn: what is stable first, then as much history as fits, then the notes.

The order serves the engine's prefix cache: the system line and the older turns stay the same from
one question to the next and are not read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import prompts
from tutor.agent.turn import Exchange
from tutor.engine.engine import Engine
from tutor.engine.errors import EngineError
from tutor.engine.events import Message


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids ready for the engine, and what had to stay outside."""

    tokens: list[int]
    dropped_exchanges: int
    dropped_notes: int


def compose(
    engine: Engine,
    question: str,
    notes: Sequence[str],
    history: Sequence[Exchange],
    room: int,
) -> Prompt:
    """The prompt with `room` tokens kept for the answer, but never over half of the context.

    The oldest exchanges go first, then the last notes. Raises EngineError where the question
    alone does not fit.
    """
    limit = engine.n_ctx - min(room, engine.n_ctx // 2)
    for first in range(len(history) + 1):
        tokens = _render(engine, question, notes, history[first:])
        if len(tokens) <= limit:
            return Prompt(tokens, first, 0)
    for kept in range(len(notes) - 1, -1, -1):
        tokens = _render(engine, question, notes[:kept], ())
        if len(tokens) <= limit:
            return Prompt(tokens, len(history), len(notes) - kept)
    raise EngineError(
        f"the question needs {len(tokens)} tokens and the context has room for {limit}: "
        "shorten it, or raise n_ctx"
    )


def _render(
    engine: Engine, question: str, notes: Sequence[str], history: Sequence[Exchange]
) -> list[int]:
    messages = [Message("system", prompts.render("system"))]
    for exchange in history:
        messages += [Message("user", exchange.question), Message("assistant", exchange.answer)]
    template = "question" if notes else "bare"
    messages.append(Message("user", prompts.render(template, question=question, notes=notes)))
    return engine.render_chat(messages)
