"""Finds the passages for a question: vectors and BM25, fused.

A passage scores as the mean of its two best vectors (whole text, heading, one of its sentences, or
a question of the bank that it answers); a share of the z-scored BM25 score is added. The course has
a few ten thousand vectors: one matrix product over all of them is faster than a round trip to the
store, and exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.build import cached_vectors, indexed_vectors
from index.course import Course
from index.encoder import Encoder, Vectors, prepared_encoder
from index.errors import RetrievalError
from index.lexical import Lexicon, content_words
from index.passages import Passage
from index.settings import Retrieval
from index.spelling import Spelling

_FEW_WORDS = 2
"""Content words up to which a question says too little to be judged without the one before."""
_SHORT = 3
"""Content words up to which a question leans on the one before, which then counts `_LEANING` times
as much."""
_LEANING = 1.5
RRF_K = 60
"""The constant of reciprocal rank fusion (Cormack et al., 2009)."""
Places = NDArray[np.int64]
_WHOLE, _HEADING, _SENTENCE, _QUESTION = range(4)
_UNUSED = -4.0
"""Added to the cosine of a vector that shall not count."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A found passage and why. `score` is the fusion of `dense` (the mean of its two best cosines)
    and `bm25`."""

    passage: Passage
    score: float
    dense: float
    bm25: float
    rank: int
    dense_rank: int
    bm25_rank: int
    closest: str
    """The text of the passage (or the question of the bank) that is closest in meaning."""
    cosine: float
    """Of that text."""
    matched: tuple[str, ...]
    """The query's content words that the passage contains, stemmed."""


@dataclass(frozen=True, slots=True)
class Found:
    """The hits for one query, best first, and how much of the query the lessons know at all."""

    query: str
    hits: tuple[Hit, ...]
    nearest: float
    """The best `dense` of any passage; for a follow-up of few words at least the one together with
    the question before."""
    known_words: float
    """The share of the query's content words that occur in the lessons, 0 to 1."""
    aside: float
    """The best cosine of any question known to be answered by no lesson; 0 where none is known."""


class Retriever:
    """The indexed course, in memory."""

    def __init__(
        self,
        passages: Sequence[Passage],
        vectors: Sequence[Vectors],
        encoder: Encoder,
        settings: Retrieval = Retrieval(),  # noqa: B008 (immutable)
        aside: Vectors | None = None,
        cache: Path | None = None,
    ) -> None:
        """`vectors` are matrices whose rows together are those of the passages' texts, in order; none
        holds a part of a passage. `aside` are the vectors of questions that no passage answers; in
        `cache` the next start finds what takes time to make."""
        self.passages = list(passages)
        self._aside = aside
        self.encoder = encoder
        self.settings = settings
        # Not put together: they may be mapped from files, and are many.
        self._vectors = list(vectors)
        self._sizes = np.array([passage.question_rows.stop for passage in passages])
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._place = {passage.passage_id: n for n, passage in enumerate(passages)}
        self._per_passage = _divided(self._vectors, self._starts)
        self._lessons = np.array([passage.lesson for passage in passages])
        self._kinds = np.concatenate([_kinds(passage) for passage in passages])
        self._offsets = _offsets(self._kinds, settings)
        self._spelling = Spelling((f"{p.section} {p.text}" for p in passages), encoder.knows)
        self._lexicon = _lexicon(passages, settings, cache / "index" if cache else None)

    @classmethod
    def open(
        cls,
        cache: Path,
        course: Course,
        progress: Callable[[float], None] | None = None,
        settings: Retrieval = Retrieval(),  # noqa: B008 (immutable)
        own: Sequence[Passage] = (),
        encoder: Encoder | None = None,
    ) -> Retriever:
        """The retriever over an index that is brought up to date first.

        `own` are passages made at run time, searched like the others and not indexed. The encoder
        is prepared if none is given.
        """
        report = progress or (lambda done: None)
        encoder = encoder or prepared_encoder(cache, lambda done: report(done / 2))
        vectors = [indexed_vectors(course.passages, cache, encoder, report)]
        if own:
            # They are none of the store's business.
            texts = [text for passage in own for text in passage.texts]
            vectors.append(cached_vectors(texts, "own", cache, encoder))
        beside = None
        if course.unanswered:
            beside = cached_vectors(course.unanswered, "aside", cache, encoder)
        return cls([*course.passages, *own], vectors, encoder, settings, beside, cache)

    def with_settings(self, settings: Retrieval) -> Retriever:
        """The same index searched in another way."""
        other = copy(self)
        other.settings = settings
        other._offsets = _offsets(self._kinds, settings)
        if settings.bm25_questions != self.settings.bm25_questions:
            other._lexicon = _lexicon(self.passages, settings)
        return other

    def search(self, query: str, k: int = 5, lesson: int | None = None, context: str = "") -> Found:
        """The best `k` passages; `context` is the question before, on which a follow-up may stand.

        A question of another topic loses little by it (docs/experiments.md).

        Raises RetrievalError for an empty query.
        """
        if not query.strip():
            raise RetrievalError("the query is empty: type a few words")
        settings = self.settings
        asked, query = query, self.mended(query)
        closest, cosines, dense = self._dense(query)
        bm25 = self._lexicon.scores(query)
        nearest, aside = 0.0, self._nearest_aside(query)
        if context:
            share, joint = settings.context_weight, f"{context} {query}"
            together = self._dense(joint)[2]
            if (n_words := len(content_words(query))) <= _SHORT:
                share *= _LEANING
            if n_words <= _FEW_WORDS:
                nearest, aside = float(together.max()), self._nearest_aside(joint)
            dense = (1 - share) * dense + share * together
            bm25 = (1 - share) * bm25 + share * self._lexicon.scores(joint)
        ranks = {"dense": _ranks(dense), "bm25": _ranks(bm25)}
        if settings.mode == "dense":
            score = _z(dense)
        elif settings.mode == "bm25":
            score = _z(bm25)
        elif settings.fusion == "scores":
            score = _z(dense) + settings.bm25_weight * _z(bm25)
        else:
            score = _z(
                1 / (RRF_K + ranks["dense"]) + settings.bm25_weight / (RRF_K + ranks["bm25"])
            )
        if lesson is not None:
            score = score + settings.lesson_prior * (self._lessons == lesson)
        words = sorted(set(content_words(f"{context} {query}")))
        having = [self._lexicon.texts_with(word) for word in words]
        best = np.argsort(-score, kind="stable")[:k]
        hits = tuple(
            Hit(
                self.passages[i],
                float(score[i]),
                float(dense[i]),
                float(bm25[i]),
                rank,
                int(ranks["dense"][i]),
                int(ranks["bm25"][i]),
                _text(self.passages[i], int(closest[i])),
                float(cosines[i]),
                tuple(word for word, texts in zip(words, having, strict=True) if i in texts),
            )
            for rank, i in enumerate(best, start=1)
        )
        nearest = max(nearest, float(dense.max()))
        known = self._lexicon.known_share(f"{context} {query}".strip())
        return Found(asked, hits, nearest, known, aside)

    def mended(self, query: str) -> str:
        """The query as it is searched: misspelled words replaced by the course's own."""
        return self._spelling.mended(query) if self.settings.spelling else query

    def questions(self) -> list[str]:
        """All questions of the bank, in reading order."""
        return [question for passage in self.passages for question in passage.questions]

    def nearest_known(self, text: str) -> float:
        """The best cosine of any question of the bank that a lesson answers."""
        return float(self._cosines(self.mended(text))[self._kinds == _QUESTION].max())

    def sentence_vectors(self, passage: Passage) -> Vectors:
        """The vectors of a passage's sentences, (sentences, 384)."""
        return self._per_passage[self._place[passage.passage_id]][passage.sentence_rows]

    def question_vectors(self, passage: Passage) -> Vectors:
        """The vectors of a passage's questions of the bank, (questions, 384)."""
        return self._per_passage[self._place[passage.passage_id]][passage.question_rows]

    def _nearest_aside(self, query: str) -> float:
        if self._aside is None:
            return 0.0
        return float((self._aside @ self.encoder.encode_one(query)).max())

    def _cosines(self, text: str) -> Vectors:
        vector = self.encoder.encode_one(text)
        return np.concatenate([vectors @ vector for vectors in self._vectors])

    def _dense(self, query: str) -> tuple[Places, Vectors, Vectors]:
        """For every passage: which of its vectors is closest, its cosine, and the mean of the two
        best ones, since one alone may be near by chance."""
        cosines = self._cosines(query) + self._offsets
        best = np.maximum.reduceat(cosines, self._starts)
        rows = np.flatnonzero(cosines == np.repeat(best, self._sizes))
        closest = rows[np.searchsorted(rows, self._starts)]
        cosines[closest] = _UNUSED
        second = np.maximum.reduceat(cosines, self._starts)
        second = np.where(second > _UNUSED / 2, second, best)
        return closest - self._starts, best, np.asarray((best + second) / 2, dtype=np.float32)


def _divided(vectors: Sequence[Vectors], starts: Places) -> list[Vectors]:
    """The rows of each passage, as views; `starts` are the places of their first rows."""
    found: list[Vectors] = []
    first = 0
    for some in vectors:
        inside = (starts > first) & (starts < first + len(some))
        found += np.split(some, starts[inside] - first)
        first += len(some)
    return found


def _kinds(passage: Passage) -> Places:
    return np.array(
        [_WHOLE, _HEADING]
        + [_SENTENCE] * len(passage.sentences)
        + [_QUESTION] * len(passage.questions)
    )


def _text(passage: Passage, place: int) -> str:
    return (passage.section, passage.section, *passage.sentences, *passage.questions)[place]


def _offsets(kinds: Places, settings: Retrieval) -> Vectors:
    """What each vector's cosine is moved by; a kind that is not used is moved out of sight."""
    allowed = [settings.whole, settings.heading, settings.sentences, settings.questions]
    offsets = np.where(np.array(allowed)[kinds], 0.0, _UNUSED).astype(np.float32)
    offsets[kinds == _QUESTION] += settings.question_offset
    return offsets


def _lexicon(passages: Sequence[Passage], settings: Retrieval, kept: Path | None = None) -> Lexicon:
    # The heading counts twice: it is the question that the section answers.
    return Lexicon(
        [
            " ".join((p.section, p.section, p.title, p.text, *questions))
            for p in passages
            for questions in [p.questions if settings.bm25_questions else ()]
        ],
        kept,
    )


def _z(scores: NDArray[np.floating]) -> Vectors:
    return np.asarray((scores - scores.mean()) / (scores.std() or 1.0), dtype=np.float32)


def _ranks(scores: Vectors) -> Places:
    """The rank of every passage from 1; equal scores in reading order."""
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks
