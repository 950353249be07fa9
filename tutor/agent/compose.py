"""The prompt of one turn: what is stable first, then the notes, or without notes the history.

Beside notes the model is told of no earlier question: the search knows what a follow-up stands on,
and so small a model says more of its notes without (docs/experiments.md). What was just done on
request it is told where the search leads back to it, the first paragraph: what was seen, without
the tables. Where it speaks by itself, the older turns stay the same from one question to the next
and are not read again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate, groupby
from operator import itemgetter

import prompts
from tutor.agent.prompt import Part, Piece, Prompt
from tutor.agent.turn import Exchange
from tutor.engine.engine import Engine
from tutor.engine.errors import EngineError
from tutor.engine.events import Message
from tutor.engine.memory import common_prefix

_BLOCK = 4
"""Exchanges that are dropped at once, so that what the prompt begins with holds for some turns."""


def compose(
    engine: Engine,
    question: str,
    notes: Sequence[str],
    history: Sequence[Exchange],
    room: int,
    found: Collection[str] = (),
) -> Prompt:
    """The prompt with `room` tokens kept for the answer, but never over half of the context.

    `found` are the ids of the passages that the notes come from. What does not fit goes: the last
    notes, or the oldest exchanges, in blocks while more than one block is left. Raises EngineError where the question alone does not fit.
    """
    if notes:
        history = [e for e in history[-1:] if e.request and e.passage_id in found]
    limit = engine.n_ctx - min(room, engine.n_ctx // 2)
    n, oldest = len(history), _oldest(engine, history, limit)
    starts = {*range(0, n, _BLOCK), *range(max(n - _BLOCK, 0), n + 1)}
    for first in sorted(start for start in starts if start >= oldest):
        prompt = _render(engine, question, notes, history[first:], first, 0)
        if len(prompt.tokens) <= limit:
            return prompt
    for kept in range(len(notes) - 1, -1, -1):
        prompt = _render(engine, question, notes[:kept], (), len(history), len(notes) - kept)
        if len(prompt.tokens) <= limit:
            return prompt
    raise EngineError(
        f"the question needs {len(prompt.tokens)} tokens and the context has room for {limit}: "
        "shorten it, or raise n_ctx"
    )


def stable_prefix(engine: Engine) -> list[int]:
    """The tokens that every prompt with notes begins with while there is no history."""
    one, other = (_render(engine, word, [word], (), 0, 0).tokens for word in ("one", "other"))
    return one[: common_prefix(one, other)]


def _oldest(engine: Engine, history: Sequence[Exchange], limit: int) -> int:
    """The first exchange that can stay: with those after it, words alone, it is within the limit."""
    tokens = 0
    for n, exchange in reversed(list(enumerate(history))):
        tokens += sum(engine.count(message.content) for message in _told(exchange))
        if tokens > limit:
            return n + 1
    return 0


def _told(exchange: Exchange) -> list[Message]:
    answer = exchange.answer.partition("\n\n")[0] if exchange.request else exchange.answer
    return [Message("user", exchange.question), Message("assistant", answer)]


def _render(
    engine: Engine,
    question: str,
    notes: Sequence[str],
    history: Sequence[Exchange],
    dropped_exchanges: int,
    dropped_notes: int,
) -> Prompt:
    messages = [Message("system", prompts.render("system"))]
    for exchange in history:
        messages += _told(exchange)
    template = "question" if notes else "bare"
    messages.append(Message("user", prompts.render(template, question=question, notes=notes)))
    pieces: list[Piece] = []
    for segment in engine.render_chat(messages):
        if segment.message is None:
            pieces.append(Piece("template", segment.ids))
        elif segment.message == 0:
            pieces.append(Piece("system", segment.ids))
        elif segment.message < len(messages) - 1:
            pieces.append(Piece("history", segment.ids))
        else:
            pieces += _last_message(engine, segment.ids, question, notes)
    return Prompt(tuple(pieces), dropped_exchanges, dropped_notes)


def _last_message(
    engine: Engine, ids: Sequence[int], question: str, notes: Sequence[str]
) -> list[Piece]:
    """The learner's message told apart by bytes: a token belongs where its middle stands."""
    each = [engine.token_bytes(id) for id in ids]
    data = b"".join(each)
    # One more: a token of no bytes may stand last.
    owner: list[Part] = ["instructions"] * (len(data) + 1)
    for part, texts in (("passages", notes), ("question", [question])):
        start = 0
        for text in texts:
            wanted = text.encode("utf-8", "replace")
            # The question stands last: passages may hold its very words.
            at = data.rfind(wanted) if part == "question" else data.find(wanted, start)
            if at >= 0:
                start = at + len(wanted)
                owner[at:start] = [part] * len(wanted)  # type: ignore[list-item]
    starts = accumulate(map(len, each), initial=0)
    parts = [owner[start + len(token) // 2] for token, start in zip(each, starts, strict=False)]
    runs = groupby(zip(parts, ids, strict=True), key=itemgetter(0))
    return [Piece(part, tuple(id for _, id in run)) for part, run in runs]
