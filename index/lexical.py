"""BM25 over the passages, by bm25s, and which words the course knows at all."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import bm25s
import numpy as np
from bm25s.stopwords import STOPWORDS_EN_PLUS

from index.encoder import Vectors

_STOP = frozenset(STOPWORDS_EN_PLUS)
_K1, _B = 1.2, 0.5
"""How fast a repeated term counts less, and how much a long text does: chosen on dev."""
_VERSION = 1
"""Raised when `terms` counts other things."""
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

    def __init__(self, texts: Sequence[str], kept: Path | None = None) -> None:
        """`kept` is a folder for the index, from which the next start reads it."""
        self._texts = list(texts)
        self._bm25 = (_read(kept, texts) if kept else None) or _indexed(texts, kept)
        self._words: dict[int, frozenset[str]] = {}

    def scores(self, query: str) -> Vectors:
        """The BM25 score of every text, shape (texts,)."""
        known = [term for term in terms(query) if term in self._bm25.vocab_dict]
        if not known:
            return np.zeros(len(self._texts), dtype=np.float32)
        return np.asarray(self._bm25.get_scores(known), dtype=np.float32)

    def words(self, text: int) -> frozenset[str]:
        """The stemmed content words of a text, by its number."""
        if text not in self._words:
            self._words[text] = frozenset(content_words(self._texts[text]))
        return self._words[text]

    def known_share(self, query: str) -> float:
        """The share of the query's content words that occur in the texts; 1 for a query of none."""
        words = content_words(query)
        known = self._bm25.vocab_dict
        return sum(word in known for word in words) / len(words) if words else 1.0


def _indexed(texts: Sequence[str], kept: Path | None) -> bm25s.BM25:
    index = bm25s.BM25(k1=_K1, b=_B)
    index.index([terms(text) for text in texts], show_progress=False)
    if kept:
        _write(kept, texts, index)
    return index


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join([str(_VERSION), *texts]).encode()).hexdigest()


def _read(folder: Path, texts: Sequence[str]) -> bm25s.BM25 | None:
    # A missing or cut-off index is made anew; bm25s, numpy and json raise many types.
    with suppress(Exception):
        if (folder / "texts.sha256").read_text() == _digest(texts):
            return bm25s.BM25.load(folder, load_vocab=True)
    return None


def _write(folder: Path, texts: Sequence[str], index: bm25s.BM25) -> None:
    # The digest goes first and comes last: it never stands beside files of another index.
    with suppress(OSError):  # an index that cannot be kept is made again at the next start
        (folder / "texts.sha256").unlink(missing_ok=True)
        index.save(folder)
        (folder / "texts.sha256").write_text(_digest(texts))
