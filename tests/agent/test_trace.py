from __future__ import annotations

import pytest

from tutor.agent.branch import BranchError, go_on, picked
from tutor.agent.trace import Trace, pack, traced, unpack
from tutor.agent.turn import Began, Delta
from tutor.agent.tutor import Tutor
from tutor.engine.events import GenerationStats, TokenEvent
from tutor.engine.settings import Sampling

GREEDY = Sampling(greedy=True, max_tokens=12)


@pytest.fixture(scope="module")
def trace(tutor: Tutor) -> Trace:
    events = list(tutor.ask("What is a token?", sampling=lambda: GREEDY, top=8))
    (prompt,) = (e.prompt for e in events if isinstance(e, Began))
    said = [e.event for e in events if isinstance(e, Delta)]
    return traced(prompt, said, tutor.engine.token_bytes)


def test_a_packed_trace_is_the_same_trace_to_six_digits(trace: Trace) -> None:
    again = unpack(pack(trace))
    assert again.prompt == trace.prompt and again.pieces == trace.pieces
    assert [e.id for e in again.events] == [e.id for e in trace.events]
    for before, after in zip(trace.events, again.events, strict=True):
        assert before.step and after.step
        assert after.logprob == pytest.approx(before.logprob, rel=1e-5)
        assert [c.id for c in after.step.candidates] == [c.id for c in before.step.candidates]


def test_a_trace_takes_a_few_hundred_bytes_a_token(trace: Trace) -> None:
    assert len(pack(trace)) < 1_000 * len(trace.events)


@pytest.mark.parametrize("data", [b"", b"garbage", b"x\x9cK\xcb"])
def test_what_is_no_trace_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a trace"):
        unpack(data)


def test_the_parts_of_the_prompt_add_up_and_hold_the_question(tutor: Tutor, trace: Trace) -> None:
    counts = trace.prompt.counts
    assert sum(counts.values()) == len(trace.prompt.tokens)
    question = next(p for p in trace.prompt.pieces if p.part == "question")
    assert "What is a token" in "".join(trace.text(id) for id in question.ids)


def test_a_branch_begins_with_the_candidate_that_was_picked(tutor: Tutor, trace: Trace) -> None:
    step = trace.events[3].step
    assert step is not None
    other = next(c.id for c in step.candidates if c.id != step.chosen)
    said = picked(trace, 3, other)
    assert [e.id for e in said] == [*(e.id for e in trace.events[:3]), other]
    *more, stats = go_on(tutor, trace, said, lambda: GREEDY)
    assert isinstance(stats, GenerationStats)
    assert [e.index for e in more if isinstance(e, TokenEvent)][:1] == [4]


def test_one_step_says_one_token(tutor: Tutor, trace: Trace) -> None:
    said = trace.events[:5]
    first, _ = go_on(tutor, trace, said, lambda: GREEDY, limit=1)
    assert isinstance(first, TokenEvent) and first.id == trace.events[5].id


def test_only_a_candidate_of_the_step_can_be_picked(trace: Trace) -> None:
    with pytest.raises(BranchError):
        picked(trace, 2, 49_151)
    with pytest.raises(BranchError):
        picked(trace, 10_000, 0)
