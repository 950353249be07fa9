"""Whether the lessons answer a question at all: a decision from dense and lexical evidence."""

from __future__ import annotations

from dataclasses import dataclass

from index.retriever import Found

KNOWN_WEIGHT = 0.25
ASIDE_WEIGHT = 0.5
THRESHOLD = 0.52
"""Fitted on dev (docs/experiments.md)."""


@dataclass(frozen=True, slots=True)
class ScopeDecision:
    """`score` is the best passage's mean cosine, plus a share for known words, less a share of the cosine to the
    nearest question that no lesson answers; `answerable` where it suffices."""

    answerable: bool
    score: float
    reason: str


def in_scope(found: Found) -> ScopeDecision:
    """Decides from what was found for the question (with its context, for a follow-up)."""
    score = found.nearest + KNOWN_WEIGHT * found.known_words - ASIDE_WEIGHT * found.aside
    reason = (
        f"best passage {found.nearest:.2f}, {found.known_words:.0%} of its words known to the lessons, "
        f"cosine {found.aside:.2f} to a question that no lesson answers"
    )
    return ScopeDecision(score >= THRESHOLD, score, reason)
