"""Several answers decoded together: one batch a step, one sequence of the memory a column."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutor.engine.events import Adapter, ColumnEvent, GenerationStats, StopReason, TokenEvent
from tutor.engine.generation import Comparison
from tutor.engine.model import N_BATCH, Model
from tutor.engine.sampler import SamplerChain
from tutor.engine.settings import Sampling
from tutor.engine.trace import Stage, log_normaliser_and_entropy, summarise


@dataclass
class _Column:
    sequence: int
    prompt: list[int]
    sampling: Sampling
    chain: SamplerChain
    decoder: Any = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))
    said: int = 0
    last: int = -1
    first_at: float = 0.0
    last_at: float = 0.0
    stop: StopReason | None = None

    @property
    def position(self) -> int:
        """Of the token said last."""
        return len(self.prompt) + self.said - 1


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences share at their beginning."""
    length = 0
    for x, y in zip(a, b):  # noqa: B905 (the shorter one decides)
        if x != y:
            break
        length += 1
    return length


def shared_prefix(prompts: Sequence[Sequence[int]]) -> list[int]:
    """What all prompts begin with, but never the whole of one: its last token needs its logits."""
    first = list(prompts[0][:-1])
    return first[: min(common_prefix(first, prompt[:-1]) for prompt in prompts)]


def needed(columns: Sequence[tuple[Sequence[int], Sampling]]) -> int:
    """Tokens in memory once all have ended; what the prompts share is there once."""
    shared = len(shared_prefix([prompt for prompt, _ in columns]))
    own = (len(prompt) - shared + sampling.max_tokens for prompt, sampling in columns)
    return shared + sum(own)


def decode_together(
    model: Model,
    make_chain: Callable[[], SamplerChain],
    comparison: Comparison,
    shared: int,
    adapter: Adapter | None,
) -> tuple[GenerationStats, ...]:
    """Decodes all columns until each has ended; `shared` tokens are in sequence 0 already.

    Puts a ColumnEvent a token. Raises Aborted where the comparison is cancelled.
    """
    columns = [
        _Column(n, prompt, sampling, make_chain())
        for n, (prompt, sampling) in enumerate(comparison.columns)
    ]
    try:
        for column in columns[1:]:
            model.copy_sequence(0, column.sequence)
        for column in columns:
            rows = [
                (column.prompt[n], n, column.sequence) for n in range(shared, len(column.prompt))
            ]
            for start in range(0, len(rows), N_BATCH):
                model.decode_rows(rows[start : start + N_BATCH])
            _say(model, column, -1, comparison)
        while running := [c for c in columns if c.stop is None]:
            model.decode_rows([(c.last, c.position, c.sequence) for c in running])
            for row, column in enumerate(running):
                _say(model, column, row, comparison)
    finally:
        for column in columns:
            column.chain.close()
    return tuple(_stats(column, comparison.began, shared, adapter) for column in columns)


def _say(model: Model, column: _Column, row: int, comparison: Comparison) -> None:
    """Draws the column's next token from a row of the batch, or ends the column."""
    if column.said >= column.sampling.max_tokens:
        column.stop = "length"
        return
    logits = model.logits(row)
    normaliser, entropy = log_normaliser_and_entropy(logits)
    stages: list[Stage] | None = [] if comparison.top else None
    id = column.chain.sample(logits, column.sampling, stages, brief=True)
    if model.is_end(id):
        column.stop = "end"
        return
    step = summarise(id, logits, stages, comparison.top, normaliser, entropy) if stages else None
    data = model.token_bytes(id)
    logprob = float(logits[id]) - normaliser
    event = TokenEvent(
        column.said, id, data, column.decoder.decode(data), logprob, entropy, column.sampling, step
    )
    column.last_at = time.perf_counter()
    if column.said == 0:
        column.first_at = column.last_at
    column.last = id
    column.said += 1
    comparison.put(ColumnEvent(column.sequence, event))


def _stats(column: _Column, began: float, shared: int, adapter: Adapter | None) -> GenerationStats:
    elapsed = column.last_at - column.first_at
    return GenerationStats(
        len(column.prompt),
        shared,
        column.said,
        1000 * (column.first_at - began) if column.said else 0.0,
        (column.said - 1) / elapsed if column.said > 1 and elapsed > 0 else 0.0,
        column.stop or "cancelled",
        adapter,
    )
