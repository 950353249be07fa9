"""Whether the lessons answer a question at all: a decision from dense and lexical evidence."""

from __future__ import annotations

from dataclasses import dataclass

from index.retriever import Found

KNOWN_WEIGHT = 0.25
THRESHOLD = 0.705
"""Fitted on dev: the score below which 3% of the answerable questions lie (docs/experiments.md)."""


@dataclass(frozen=True, slots=True)
class ScopeDecision:
    """`score` is the best cosine plus a share for known words; `answerable` where it suffices."""

    answerable: bool
    score: float
    reason: str


def in_scope(found: Found) -> ScopeDecision:
    """Decides from what was found for the question (with its context, for a follow-up)."""
    score = found.nearest + KNOWN_WEIGHT * found.known_words
    reason = f"best cosine {found.nearest:.2f}, {found.known_words:.0%} of its words known to the lessons"
    return ScopeDecision(score >= THRESHOLD, score, reason)
