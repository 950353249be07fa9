"""BM25 over the passages, by bm25s, and which words the course knows at all.

bm25s makes the index. A search only adds up columns of it, and does without the package, whose
import of scipy takes 0.2 s of every start.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from index.encoder import Vectors
from index.passages import digest

_K1, _B = 1.2, 0.5
"""How fast a repeated term counts less, and how much a long text does: chosen on dev."""
_VERSION = 1
"""Raised when `terms` counts other things."""
_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@cache
def _stop_words() -> frozenset[str]:
    """bm25s's list, from its file: importing it from the package would import all of it."""
    package = find_spec("bm25s")
    assert package and package.submodule_search_locations
    file = Path(package.submodule_search_locations[0]) / "stopwords.py"
    spec = spec_from_file_location("stopwords", file)
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return frozenset(module.STOPWORDS_EN_PLUS)


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
    stop = _stop_words()
    for word in _WORD.findall(text.lower()):
        parts = word.split("-") if "-" in word else [word]
        found += [stem(part) for part in parts if part not in stop]
    return found


def terms(text: str) -> list[str]:
    """What BM25 counts: every stemmed word, and every two neighbours as one term.

    In questions as learners type them the small words tell a lot: "why more than one".
    """
    words = [stem(part) for word in _WORD.findall(text.lower()) for part in word.split("-")]
    return words + [f"{a} {b}" for a, b in itertools.pairwise(words)]


@dataclass(frozen=True, slots=True)
class _Columns:
    """A sparse matrix (texts, terms) by columns: `data` and the `texts` of a term stand from
    `starts[column]` to `starts[column + 1]`, no text twice."""

    data: NDArray[np.float32]
    texts: NDArray[np.int32]
    starts: NDArray[np.int32]
    terms: dict[str, int]
    """The column of each term."""


class Lexicon:
    """The BM25 index of some texts."""

    def __init__(self, texts: Sequence[str], kept: Path | None = None) -> None:
        """`kept` is a folder for the index, from which the next start reads it."""
        self._texts = list(texts)
        self._index = (_read(kept, texts) if kept else None) or _indexed(texts, kept)
        self._words: dict[int, frozenset[str]] = {}

    def scores(self, query: str) -> Vectors:
        """The BM25 score of every text, shape (texts,)."""
        index = self._index
        scores = np.zeros(len(self._texts), dtype=np.float32)
        for term in terms(query):
            if (column := index.terms.get(term)) is not None:
                part = slice(index.starts[column], index.starts[column + 1])
                scores[index.texts[part]] += index.data[part]
        return scores

    def words(self, text: int) -> frozenset[str]:
        """The stemmed content words of a text, by its number."""
        if text not in self._words:
            self._words[text] = frozenset(content_words(self._texts[text]))
        return self._words[text]

    def known_share(self, query: str) -> float:
        """The share of the query's content words that occur in the texts; 1 for a query of none."""
        words = content_words(query)
        known = self._index.terms
        return sum(word in known for word in words) / len(words) if words else 1.0


def _indexed(texts: Sequence[str], kept: Path | None) -> _Columns:
    import bm25s

    index = bm25s.BM25(k1=_K1, b=_B)
    index.index([terms(text) for text in texts], show_progress=False)
    if kept:
        _write(kept, texts, index)
    scores = index.scores
    return _Columns(scores["data"], scores["indices"], scores["indptr"], index.vocab_dict)


def _digest(texts: Sequence[str]) -> str:
    return digest([str(_VERSION), *texts]).hex()


def _read(folder: Path, texts: Sequence[str]) -> _Columns | None:
    # A missing or cut-off index is made anew; numpy and json raise many types.
    with suppress(Exception):
        if (folder / "texts.sha256").read_text() == _digest(texts):
            data, ids, starts = (
                np.load(folder / f"{name}.csc.index.npy", allow_pickle=False)
                for name in ("data", "indices", "indptr")
            )
            vocabulary = from_json((folder / "vocab.index.json").read_bytes())
            return _Columns(data, ids, starts, vocabulary)
    return None


def _write(folder: Path, texts: Sequence[str], index: Any) -> None:
    # The digest goes first and comes last: it never stands beside files of another index.
    with suppress(OSError):  # an index that cannot be kept is made again at the next start
        (folder / "texts.sha256").unlink(missing_ok=True)
        index.save(folder, show_progress=False)
        (folder / "texts.sha256").write_text(_digest(texts))
