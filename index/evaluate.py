"""Judges the search on gold questions: the right passage, the answering sentences, the scope.

Everything here is deterministic and needs no language model; what the model makes of the passages
is judged in tutor.agent.evaluate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import ir_measures
import numpy as np
from ir_measures import RR, Success

from corpus.gold import GoldQuestion, states
from index.evidence import evidence
from index.retriever import Found, Retriever
from index.scope import in_scope

DEPTH = 10
"""Passages that are looked at; a right one below counts as not found."""
EVIDENCE = 3
"""Sentences picked as evidence."""
_RESAMPLES = 2_000
_SEED = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the search made of one gold question. The measures are 0 or 1, but `rr`."""

    question: GoldQuestion
    found: Found
    hit_at_1: float
    hit_at_3: float
    rr: float
    evidence: float
    """Whether the picked sentences state every fact."""
    refused: bool
    scope_score: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95% bootstrap interval; the interval is empty for fewer than two."""

    mean: float
    low: float
    high: float
    n: int


def evaluate(
    retriever: Retriever,
    questions: Sequence[GoldQuestion],
    progress: Callable[[float], None] | None = None,
) -> list[Outcome]:
    """Searches for every question as the tutor would, with a follow-up's history before it."""
    report = progress or (lambda done: None)
    rows = []
    for n, question in enumerate(questions, start=1):
        rows.append((question, *_search(retriever, question)))
        report(n / len(questions))
    measured = _measure((question, found) for question, found, _ in rows)
    outcomes = []
    for question, found, context in rows:
        picked = evidence(retriever, question.question, found.hits[:3], EVIDENCE, context)
        text = " ".join(e.sentence for e in picked)
        decision = in_scope(found)
        hit_at_1, hit_at_3, rr = measured.get(question.id, (0.0, 0.0, 0.0))
        outcomes.append(
            Outcome(
                question,
                found,
                hit_at_1,
                hit_at_3,
                rr,
                float(bool(question.facts) and all(states(text, f) for f in question.facts)),
                not decision.answerable,
                decision.score,
            )
        )
    return outcomes


def _search(retriever: Retriever, question: GoldQuestion) -> tuple[Found, str]:
    context = question.history[-1] if question.history else ""
    return retriever.search(question.question, DEPTH, context=context), context


def _measure(rows: Iterable[tuple[GoldQuestion, Found]]) -> dict[str, tuple[float, float, float]]:
    """hit@1, hit@3 and reciprocal rank by question id, by ir_measures."""
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    for question, found in rows:
        if question.answerable:
            qrels[question.id] = dict.fromkeys(question.relevant, 1)
            run[question.id] = {h.passage.passage_id: 1 / h.rank for h in found.hits}
    measures = [Success @ 1, Success @ 3, RR @ DEPTH]
    values: dict[tuple[str, str], float] = {
        (m.query_id, str(m.measure)): m.value for m in ir_measures.iter_calc(measures, qrels, run)
    }
    return {
        id: (
            values[id, str(measures[0])],
            values[id, str(measures[1])],
            values[id, str(measures[2])],
        )
        for id in qrels
    }


def estimate(values: Sequence[float]) -> Estimate:
    """The mean and its 95% percentile bootstrap interval, the same at every call."""
    if not values:
        return Estimate(0.0, 0.0, 0.0, 0)
    sample = np.asarray(values, dtype=float)
    picks = np.random.default_rng(_SEED).integers(len(sample), size=(_RESAMPLES, len(sample)))
    low, high = np.quantile(sample[picks].mean(axis=1), [0.025, 0.975])
    return Estimate(float(sample.mean()), float(low), float(high), len(sample))


def paired_p(before: Sequence[float], after: Sequence[float]) -> float:
    """The two-sided p-value that two settings differ on the same questions (sign-flip test)."""
    from scipy.stats import permutation_test

    differences = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    if not differences.any():
        return 1.0
    found = permutation_test(
        (differences,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        n_resamples=9_999,
        rng=_SEED,
        vectorized=True,
    )
    return float(found.pvalue)


def refusal(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Precision and recall of refusing; 1 where nothing was refused, or nothing should be."""
    refused = [o for o in outcomes if o.refused]
    unanswerable = [o for o in outcomes if not o.question.answerable]
    right = sum(not o.question.answerable for o in refused)
    return (
        right / len(refused) if refused else 1.0,
        right / len(unanswerable) if unanswerable else 1.0,
    )
