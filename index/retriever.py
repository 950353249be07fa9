"""Finds the passages for a question: sentence vectors and BM25, fused.

A passage scores as its best vector (whole text, heading, or one of its sentences); half the
z-scored BM25 score is added on the scale of the cosines. The course has a thousand sentences: one
matrix product over all of them is faster than a round trip to the store, and exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from corpus import Lesson
from index.build import indexed_vectors
from index.encoder import Encoder, Vectors, prepared_encoder
from index.errors import RetrievalError
from index.lexical import Lexicon
from index.passages import Passage, passages_of

Mode = Literal["hybrid", "dense", "bm25"]

BM25_WEIGHT = 0.5
"""Of the z-scored BM25 against the z-scored cosine."""
LESSON_PRIOR = 0.3
"""Added, in standard deviations, to the passages of the open lesson."""
CONTEXT_WEIGHT = 0.4
"""Of the conversation's topic against the question's own words, for a follow-up."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A found passage. `dense` is a cosine, `bm25` a BM25 score, `score` their fusion."""

    passage: Passage
    score: float
    dense: float
    bm25: float
    rank: int
    known_words: float
    """The share of the query's content words that the lessons contain."""


class Retriever:
    """The indexed course, in memory."""

    def __init__(self, passages: list[Passage], vectors: list[Vectors], encoder: Encoder) -> None:
        self.passages = passages
        self.encoder = encoder
        self._vectors = np.concatenate(vectors)
        self._starts = np.cumsum([0, *(len(v) for v in vectors[:-1])])
        self._place = {passage.passage_id: n for n, passage in enumerate(passages)}
        self._per_passage = vectors
        self._lessons = np.array([passage.lesson for passage in passages])
        self._lexicon = Lexicon([f"{p.section} {p.section} {p.title} {p.text}" for p in passages])

    @classmethod
    def open(
        cls,
        cache: Path,
        lessons: Sequence[Lesson],
        progress: Callable[[float], None] | None = None,
    ) -> Retriever:
        """The retriever over an index that is brought up to date first."""
        passages = passages_of(lessons)
        encoder = prepared_encoder(cache, progress)
        return cls(passages, indexed_vectors(passages, cache, encoder, progress), encoder)

    def search(
        self,
        query: str,
        k: int = 5,
        lesson: int | None = None,
        mode: Mode = "hybrid",
        context: str = "",
    ) -> list[Hit]:
        """The best `k` passages; `context` is what a follow-up stands on.

        Raises RetrievalError for a query without a letter or digit.
        """
        if not any(c.isalnum() for c in query):
            raise RetrievalError("the query is empty: type a few words")
        dense = self._dense(query)
        bm25 = self._lexicon.scores(query)
        if context:
            dense = (1 - CONTEXT_WEIGHT) * dense + CONTEXT_WEIGHT * self._dense(context)
            bm25 = (1 - CONTEXT_WEIGHT) * bm25 + CONTEXT_WEIGHT * self._lexicon.scores(context)
        score = {
            "dense": dense,
            "bm25": bm25,
            "hybrid": _z(dense) + BM25_WEIGHT * _z(bm25),
        }[mode]
        if lesson is not None:
            prior = LESSON_PRIOR * (1.0 if mode == "hybrid" else float(score.std()))
            score = score + prior * (self._lessons == lesson)
        known = self._lexicon.known_share(f"{context} {query}".strip())
        best = np.argsort(-score, kind="stable")[:k]
        return [
            Hit(self.passages[i], float(score[i]), float(dense[i]), float(bm25[i]), rank, known)
            for rank, i in enumerate(best, start=1)
        ]

    def sentence_vectors(self, passage: Passage) -> Vectors:
        """The vectors of a passage's sentences, (sentences, 384)."""
        return self._per_passage[self._place[passage.passage_id]][2:]

    def _dense(self, query: str) -> Vectors:
        cosines = self._vectors @ self.encoder.encode([query])[0]
        return np.asarray(np.maximum.reduceat(cosines, self._starts), dtype=np.float32)


def _z(scores: Vectors) -> Vectors:
    return np.asarray((scores - scores.mean()) / (scores.std() or 1.0), dtype=np.float32)
