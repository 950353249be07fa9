"""BM25 over the passages, by bm25s, and which words the course knows at all.

bm25s makes the index. A search only adds up columns of it, and does without the package, whose
import of scipy takes 0.2 s of every start.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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


@lru_cache(maxsize=1024)
def content_words(text: str) -> tuple[str, ...]:
    """The stemmed words of a text that carry meaning, in order."""
    found: list[str] = []
    stop = _stop_words()
    for word in _WORD.findall(text.lower()):
        parts = word.split("-") if "-" in word else [word]
        found += [stem(part) for part in parts if part not in stop]
    return tuple(found)


def terms(text: str) -> list[str]:
    """What BM25 counts: every stemmed word, and every two neighbours as one term.

    In questions as learners type them the small words tell a lot: "why more than one".
    """
    words = [stem(part) for word in _WORD.findall(text.lower()) for part in word.split("-")]
    return words + [f"{a} {b}" for a, b in itertools.pairwise(words)]


@dataclass(frozen=True, slots=True)
class _Columns:
    """A sparse matrix (texts, terms) by columns: `data` and the `texts` of a term stand from
    `starts[column]` to `starts[column + 1]`, no text twice.

    Terms are known by 64 bits of a digest, in order: a dictionary of 100,000 words would be read
    anew at every start.
    """

    data: NDArray[np.float32]
    texts: NDArray[np.int32]
    starts: NDArray[np.int32]
    keys: NDArray[np.uint64]
    columns: NDArray[np.int32]
    """The column of each key's term."""

    def part(self, term: str) -> slice:
        """Where the texts of a term stand; empty where none has it."""
        (key,) = term_keys([term])
        place = int(np.searchsorted(self.keys, key))
        if place == len(self.keys) or self.keys[place] != key:
            return slice(0, 0)
        column = self.columns[place]
        return slice(self.starts[column], self.starts[column + 1])


def term_keys(terms: Iterable[str]) -> NDArray[np.uint64]:
    """What terms are known by: 64 bits of a digest each."""
    digests = (hashlib.blake2b(term.encode(), digest_size=8).digest() for term in terms)
    return np.frombuffer(b"".join(digests), dtype="<u8")


class Lexicon:
    """The BM25 index of some texts."""

    def __init__(self, texts: Sequence[str], kept: Path | None = None) -> None:
        """`kept` is a folder for the index, from which the next start reads it."""
        self._size = len(texts)
        self._index = _kept_index(texts, kept) if kept else _indexed(texts)

    def scores(self, query: str) -> Vectors:
        """The BM25 score of every text, shape (texts,)."""
        index = self._index
        scores = np.zeros(self._size, dtype=np.float32)
        for term in terms(query):
            part = index.part(term)
            scores[index.texts[part]] += index.data[part]
        return scores

    def texts_with(self, word: str) -> NDArray[np.int32]:
        """The numbers of the texts that have a stemmed word."""
        return self._index.texts[self._index.part(word)]

    def known_share(self, query: str) -> float:
        """The share of the query's content words that occur in the texts; 1 for a query of none."""
        words = content_words(query)
        known = sum(self.texts_with(word).size > 0 for word in words)
        return known / len(words) if words else 1.0


def _indexed(texts: Sequence[str]) -> _Columns:
    import bm25s

    index = bm25s.BM25(k1=_K1, b=_B)
    index.index([terms(text) for text in texts], show_progress=False)
    scores = index.scores
    keys = term_keys(index.vocab_dict)
    order = np.argsort(keys)
    columns = np.array(list(index.vocab_dict.values()), dtype=np.int32)
    return _Columns(
        scores["data"], scores["indices"], scores["indptr"], keys[order], columns[order]
    )


def _kept_index(texts: Sequence[str], folder: Path) -> _Columns:
    file = folder / f"bm25-{digest([str(_VERSION), *texts]).hex()[:16]}.npz"
    # One that is missing or cut off is made anew; numpy and zipfile raise many types.
    with suppress(Exception), np.load(file, allow_pickle=False) as kept:
        return _Columns(**kept)
    index = _indexed(texts)
    with suppress(OSError):  # an index that cannot be kept is made again at the next start
        draft = folder / "bm25.part.npz"
        np.savez(draft, **{field.name: getattr(index, field.name) for field in fields(index)})
        for old in folder.glob("bm25-*.npz"):
            old.unlink(missing_ok=True)
        draft.replace(file)
    return index
