"""Follow-ups: a question that means nothing without the turn before it.

"Why more than one?" has no terms to search for. Such a question is searched together with the
topic of the conversation; one with terms of its own is searched alone, so that a change of topic
is taken at its word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

# Closed word classes only: pronouns that point back, and words that carry no topic.
_POINTING = frozenset(
    [
        "it",
        "its",
        "that",
        "this",
        "these",
        "those",
        "they",
        "them",
        "one",
        "ones",
        "he",
        "she",
        "there",
        "so",
    ]
)
_EMPTY = _POINTING | frozenset(
    [
        "a",
        "an",
        "the",
        "and",
        "or",
        "but",
        "if",
        "then",
        "than",
        "too",
        "also",
        "more",
        "less",
        "most",
        "least",
        "much",
        "many",
        "any",
        "some",
        "all",
        "both",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "do",
        "does",
        "did",
        "can",
        "could",
        "will",
        "would",
        "should",
        "shall",
        "may",
        "might",
        "must",
        "has",
        "have",
        "had",
        "what",
        "why",
        "how",
        "when",
        "where",
        "who",
        "which",
        "whose",
        "i",
        "you",
        "we",
        "me",
        "us",
        "my",
        "your",
        "our",
        "not",
        "no",
        "yes",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "from",
        "with",
        "by",
        "as",
        "about",
        "into",
        "over",
        "under",
        "again",
        "really",
        "just",
        "please",
        "tell",
        "explain",
        "mean",
        "means",
        "example",
        "examples",
        "give",
        "show",
        "simpler",
        "shorter",
        "longer",
        "other",
        "another",
        "same",
        "happens",
        "happen",
        "work",
        "works",
        "ok",
        "okay",
        "sorry",
    ]
)


class Earlier(Protocol):
    """An earlier turn: what was asked, and the passage that answered it best."""

    @property
    def question(self) -> str: ...

    @property
    def passage_id(self) -> str | None: ...


def topic(question: str, earlier: Sequence[Earlier]) -> str:
    """What the question is about beyond its own words: empty for a question that stands alone."""
    if not earlier:
        return ""
    words = re.findall(r"[a-z0-9']+", question.lower())
    content = [word for word in words if word not in _EMPTY]
    points_back = any(word in _POINTING for word in words)
    if len(content) >= 3 or (len(content) == 2 and not points_back):
        return ""
    last = earlier[-1]
    section = (last.passage_id or "").partition("/")[2].replace("-", " ")
    return f"{last.question} {section}".strip()
