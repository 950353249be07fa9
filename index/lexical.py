"""BM25 over the passages, by bm25s, and which words the course knows at all."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import cache

import bm25s
import numpy as np
from bm25s.stopwords import STOPWORDS_EN_PLUS

from index.encoder import Vectors

_STOP = frozenset(STOPWORDS_EN_PLUS)
_K1, _B = 1.2, 0.5
"""How fast a repeated term counts less, and how much a long text does: chosen on dev."""
_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@cache
def stem(word: str) -> str:
    """A word without its plural and verb endings: enough to match "samplers" with "sampler"."""
    for ending, least in (("ies", 3), ("ing", 4), ("ed", 4), ("es", 4), ("s", 3)):
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= least:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def content_words(text: str) -> list[str]:
    """The stemmed words of a text that carry meaning, in order."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        parts = word.split("-") if "-" in word else [word]
        found += [stem(part) for part in parts if part not in _STOP]
    return found


def terms(text: str) -> list[str]:
    """What BM25 counts: every stemmed word, and every two neighbours as one term.

    In questions as learners type them the small words tell a lot: "why more than one".
    """
    words = [stem(part) for word in _WORD.findall(text.lower()) for part in word.split("-")]
    return words + [f"{a} {b}" for a, b in itertools.pairwise(words)]


class Lexicon:
    """The BM25 index of some texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        counted = [terms(text) for text in texts]
        self._words = [frozenset(content_words(text)) for text in texts]
        self._known = frozenset().union(*self._words)
        self._terms = frozenset().union(*counted)
        self._size = len(texts)
        self._bm25 = bm25s.BM25(k1=_K1, b=_B)
        self._bm25.index(counted, show_progress=False)

    def scores(self, query: str) -> Vectors:
        """The BM25 score of every text, shape (texts,)."""
        known = [term for term in terms(query) if term in self._terms]
        if not known:
            return np.zeros(self._size, dtype=np.float32)
        return np.asarray(self._bm25.get_scores(known), dtype=np.float32)

    def words(self, text: int) -> frozenset[str]:
        """The stemmed content words of a text, by its number."""
        return self._words[text]

    def known_share(self, query: str) -> float:
        """The share of the query's content words that occur in the texts; 1 for a query of none."""
        words = content_words(query)
        return sum(word in self._known for word in words) / len(words) if words else 1.0
