"""Going on from inside an answer: from another token, or one token at a time."""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from tutor.agent.trace import TOP, Trace
from tutor.agent.turn import Timings, Usage
from tutor.engine.cancel import Cancel
from tutor.engine.events import GenerationStats, TokenEvent
from tutor.engine.settings import Sampling

if TYPE_CHECKING:
    from index.passages import Passage
    from tutor.agent.tutor import Tutor


class BranchError(Exception):
    """A branch that cannot be made; the message says why."""


def picked(trace: Trace, fork: int, id: int) -> tuple[TokenEvent, ...]:
    """The answer up to token `fork`, with `id` in its place.

    Raises BranchError where the answer was not traced there, or `id` is none of its candidates.
    """
    if not 0 <= fork < len(trace.events) or trace.events[fork].step is None:
        raise BranchError("this token was not traced: ask again, then branch")
    event = trace.events[fork]
    assert event.step is not None
    candidate = next((c for c in event.step.candidates if c.id == id), None)
    if candidate is None:
        raise BranchError("only a candidate of this step can be picked")
    chosen = replace(
        event,
        id=id,
        bytes=trace.pieces[id],
        logprob=math.log(max(candidate.p_full, 1e-30)),
        step=replace(event.step, chosen=id),
    )
    return decoded((*trace.events[:fork], chosen))


def decoded(events: Sequence[TokenEvent]) -> tuple[TokenEvent, ...]:
    """The events numbered anew, each with the text that becomes whole with it."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return tuple(
        replace(event, index=n, text=decoder.decode(event.bytes)) for n, event in enumerate(events)
    )


def go_on(
    tutor: Tutor,
    trace: Trace,
    said: Sequence[TokenEvent],
    sampling: Callable[[], Sampling],
    cancel: Cancel | None = None,
    limit: int | None = None,
) -> Iterator[TokenEvent | GenerationStats]:
    """What the model says after `said`: its new tokens, at most `limit`, then the figures."""

    def limited() -> Sampling:
        now = sampling()
        if limit is None:
            return now
        return now.model_copy(update={"max_tokens": len(said) + limit})

    generation = tutor.engine.generate(
        trace.prompt.tokens, limited, cancel, [event.id for event in said], TOP
    )
    for event in generation:
        # What is told as its settings are the learner's own, not the limit of a single step.
        yield replace(event, index=event.index + len(said), settings=sampling())
    yield generation.stats


def branched_record(
    tutor: Tutor,
    record: dict[str, Any],
    events: Sequence[TokenEvent],
    stats: GenerationStats,
    sampling: Sampling,
) -> dict[str, Any]:
    """The stored turn with the branch's words, figures, speaker and settings, not the old ones."""
    # The search behind it loads half a second of libraries: the app's first frame need not wait.
    from tutor.agent.ground import ground

    text = "".join(event.text for event in events).strip()
    shown = record["answer"] if record["answer_source"] != "model" else ""
    sentences = ground(text, shown, _passages(tutor, record), tutor.retriever.encoder)
    supported = sum(s.supported for s in sentences) / len(sentences) if sentences else None
    usage = Usage(stats.prompt_tokens, stats.cached_tokens, len(events))
    timings = Timings(0.0, stats.first_token_ms, stats.tokens_per_second, 0.0)
    adapter = stats.adapter
    return record | {
        "answer": shown or text,
        "model_text": text,
        "grounding": {"supported": supported, "sentences": [asdict(s) for s in sentences]},
        "model": tutor.info.name,
        "adapter": adapter.name if adapter else None,
        "adapter_scale": adapter.scale if adapter else 0.0,
        "settings": sampling.model_dump(),
        "usage": asdict(usage),
        "timings": asdict(timings),
        "stop_reason": stats.stop_reason,
    }


def _passages(tutor: Tutor, record: dict[str, Any]) -> list[Passage]:
    known = {passage.passage_id: passage for passage in tutor.retriever.passages}
    cited = (source["passage_id"] for source in record["sources"])
    return [known[id] for id in cited if id in known]
