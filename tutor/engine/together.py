"""Several answers decoded together: one batch a step, one sequence of the memory a column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tutor.engine.events import Adapter, ColumnEvent, GenerationStats, StopReason
from tutor.engine.generation import Comparison
from tutor.engine.memory import common_prefix
from tutor.engine.model import N_BATCH, Aborted, Logits, Model
from tutor.engine.sampler import SamplerChain
from tutor.engine.settings import Sampling
from tutor.engine.voice import Voice


@dataclass
class _Column:
    sequence: int
    prompt: list[int]
    sampling: Sampling
    voice: Voice
    last: int = -1
    stop: StopReason | None = None

    @property
    def position(self) -> int:
        """Of the token said last."""
        return len(self.prompt) + self.voice.count - 1


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
        _Column(n, prompt, sampling, Voice(model, make_chain(), comparison.top))
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
            _say(column, model.logits(), comparison)
        while running := [c for c in columns if c.stop is None]:
            if comparison.cancelled:
                raise Aborted
            model.decode_rows([(c.last, c.position, c.sequence) for c in running])
            for row, column in enumerate(running):
                _say(column, model.logits(row), comparison)
    finally:
        for column in columns:
            column.voice.close()
    return tuple(_stats(column, comparison.began, shared, adapter) for column in columns)


def _say(column: _Column, logits: Logits, comparison: Comparison) -> None:
    """Draws the column's next token, or ends the column."""
    if column.voice.count >= column.sampling.max_tokens:
        column.stop = "length"
        return
    event = column.voice.say(logits, column.sampling)
    if event is None:
        column.stop = "end"
        return
    column.last = event.id
    comparison.put(ColumnEvent(column.sequence, event))


def _stats(column: _Column, began: float, shared: int, adapter: Adapter | None) -> GenerationStats:
    return GenerationStats(
        len(column.prompt),
        shared,
        column.voice.count,
        column.voice.first_token_ms(began),
        column.voice.tokens_per_second,
        column.stop or "cancelled",
        adapter,
    )
