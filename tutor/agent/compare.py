"""The same question under several settings, decoded together, and where the answers part."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from index.material import gathered
from index.passages import Passage
from tutor.agent.compose import compose
from tutor.agent.ground import ground
from tutor.agent.question import checked
from tutor.agent.turn import Exchange, Sentence
from tutor.agent.tutor import PASSAGES, Tutor
from tutor.engine.cancel import Cancel
from tutor.engine.engine import Engine
from tutor.engine.errors import EngineError
from tutor.engine.events import ColumnEvent, GenerationStats, TokenEvent
from tutor.engine.settings import Sampling, changes
from tutor.engine.together import needed
from tutor.settings import NONE, SHIPPED, Settings, SettingsError, set_value

MOST_COLUMNS = 4
_TURNED = (*Sampling.model_fields, "adapter", "adapter_scale")


class CompareError(Exception):
    """A column that cannot be made; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Column:
    """What one of the compared answers is made under."""

    sampling: Sampling
    rag: bool = True
    adapter: str = SHIPPED
    adapter_scale: float = 1.0

    @property
    def variant(self) -> tuple[str, float]:
        """Who speaks; columns of one variant are decoded together."""
        return self.adapter, self.adapter_scale


@dataclass(frozen=True, slots=True)
class ColumnResult:
    """A finished column."""

    column: Column
    text: str
    events: tuple[TokenEvent, ...]
    stats: GenerationStats | None
    sentences: tuple[Sentence, ...]

    @property
    def mean_surprise(self) -> float:
        """Bits a token, under the model's full distribution; 0 for no token."""
        bits = [-event.logprob / math.log(2) for event in self.events]
        return sum(bits) / len(bits) if bits else 0.0


@dataclass(frozen=True, slots=True)
class Parting:
    """Where two columns first differ: the token's index, and why, in one sentence."""

    column: int
    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Compared:
    """All columns, and where each parts from the first (None: it never does)."""

    results: tuple[ColumnResult, ...]
    partings: tuple[Parting | None, ...]


def column_of(settings: Settings, text: str) -> Column:
    """A column from `name=value, name=value`; `rag=off` leaves the lessons out, `adapter=none` the
    adapter.

    Raises CompareError.
    """
    rag = True
    for change in filter(None, (part.strip() for part in text.split(","))):
        name, found, value = (part.strip() for part in change.partition("="))
        if not found:
            raise CompareError(f"{change!r} is no NAME=VALUE, as in temperature=1.5")
        if name == "rag":
            if value not in ("on", "off"):
                raise CompareError("rag is on or off")
            rag = value == "on"
        elif name.replace("-", "_") not in _TURNED:
            raise CompareError(
                f"{name} cannot differ between columns: choose one of rag, {', '.join(_TURNED)}"
            )
        else:
            try:
                settings = set_value(settings, name, value)
            except SettingsError as error:
                raise CompareError(str(error)) from error
    return Column(settings.sampling, rag, settings.adapter, settings.adapter_scale)


def difference(base: Column, other: Column) -> str:
    """What sets a column apart from the first, as `name value`."""
    told = [f"{name} {new}" for name, (_, new) in changes(base.sampling, other.sampling).items()]
    if base.rag != other.rag:
        told.append("with passages" if other.rag else "without passages")
    if base.variant != other.variant:
        told.append(
            f"adapter {other.adapter or 'as shipped'} x{other.adapter_scale:g}"
            if other.adapter != NONE
            else "no adapter"
        )
    return ", ".join(told) or "the settings as they are"


def compare(
    tutor: Tutor,
    question: str,
    columns: Sequence[Column],
    history: Sequence[Exchange] = (),
    lesson: int | None = None,
    cancel: Cancel | None = None,
    top: int = 10,
) -> Iterator[ColumnEvent | Compared]:
    """Streams the tokens of all columns, then one Compared.

    Columns of different adapters share no cache and speak one after another. Raises QuestionError
    for a bad question, AdapterError, and EngineError for fewer than two or more than four columns.
    """
    if not 2 <= len(columns) <= MOST_COLUMNS:
        raise EngineError(f"compare 2 to {MOST_COLUMNS} answers, not {len(columns)}")
    question = checked(question)
    context = history[-1].topic if history else ""
    found = tutor.retriever.search(question, PASSAGES, lesson, context)
    passages = [hit.passage for hit in found.hits]
    notes = gathered(tutor.retriever, found, context).notes
    asked = _asked(tutor.engine, question, notes, passages, columns, history)
    said: list[list[TokenEvent]] = [[] for _ in columns]
    stats: list[GenerationStats | None] = [None] * len(columns)
    cancel = cancel or Cancel()
    # A demonstration, too, lets another adapter act than the learner's until it has ended.
    with tutor.bench.turn, tutor.engine.adapter_kept():
        for variant in dict.fromkeys(column.variant for column in columns):
            tutor.use(*variant)
            places = [n for n, column in enumerate(columns) if column.variant == variant]
            comparison = tutor.engine.compare([asked[n] for n in places], cancel, top)
            for event in comparison:
                place = places[event.column]
                said[place].append(event.event)
                yield replace(event, column=place)
            for place, figures in zip(places, comparison.stats, strict=False):
                stats[place] = figures
    results = []
    for n, column in enumerate(columns):
        text = "".join(event.text for event in said[n]).strip()
        sentences = ground(text, " ".join(notes), passages, tutor.retriever.encoder)
        results.append(ColumnResult(column, text, tuple(said[n]), stats[n], sentences))
    partings = tuple(
        parting(tutor, n, results[0], result) if n else None for n, result in enumerate(results)
    )
    yield Compared(tuple(results), partings)


def _asked(
    engine: Engine,
    question: str,
    notes: Sequence[str],
    passages: Sequence[Passage],
    columns: Sequence[Column],
    history: Sequence[Exchange],
) -> list[tuple[list[int], Sampling]]:
    """The prompts, all after the same history: as much of it as all have room for together."""
    room = sum(column.sampling.max_tokens for column in columns)
    kinds = {column.rag for column in columns}
    found = {passage.passage_id for passage in passages}
    while True:
        prompts = {
            rag: compose(engine, question, notes if rag else [], history, room, found)
            for rag in kinds
        }
        asked = [(prompts[column.rag].tokens, column.sampling) for column in columns]
        dropped = max(prompt.dropped_exchanges for prompt in prompts.values())
        if not history or (not dropped and needed(asked) < engine.n_ctx):
            return asked
        history = history[dropped or 1 :]


def parting(tutor: Tutor, n: int, first: ColumnResult, other: ColumnResult) -> Parting | None:
    """Where column `n` parts from the first, told by the numbers of that step."""
    for index, (a, b) in enumerate(zip(first.events, other.events, strict=False)):
        if a.id != b.id:
            if first.column.rag != other.column.rag:
                reason = "one of them has read the passages and the other has not"
            elif first.column.variant != other.column.variant:
                reason = f"other weights speak; {_why(tutor, a, b)}"
            else:
                reason = _why(tutor, a, b)
            return Parting(n, index, reason)
    if len(first.events) != len(other.events):
        shorter = min(len(first.events), len(other.events))
        return Parting(n, shorter, "up to here they are the same; one of them ends here")
    return None


def _why(tutor: Tutor, a: TokenEvent, b: TokenEvent) -> str:
    def told(event: TokenEvent, id: int) -> str:
        candidate = next(
            (c for c in (event.step.candidates if event.step else ()) if c.id == id), None
        )
        text = repr(tutor.engine.token_text(id))
        if candidate is None:
            return f"{text} (far down the list)"
        if candidate.cut_by:
            return f"{text} ({candidate.p_full:.1%}, cut by {candidate.cut_by})"
        return f"{text} ({candidate.p_full:.1%}, {candidate.p_final:.1%} after the chain)"

    return (
        f"the same text stands before it; the first drew {told(a, a.id)} over {told(a, b.id)}, "
        f"this one {told(b, b.id)} over {told(b, a.id)}"
    )
