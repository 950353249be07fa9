"""What one process measures: the Retriever, or Chroma, over so many copies of the course."""

from __future__ import annotations

import random
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from corpus.gold import load_gold
from index.build import indexed_vectors
from index.course import load_course
from index.encoder import Encoder, Vectors, prepared_encoder
from index.passages import Passage
from index.retriever import Retriever
from index.shipped import ShippedEncoder
from index.store import VectorStore
from tutor.home import Home

QUESTIONS = 50
SAMPLE = 128
TRIES = 3
NOISE = 0.33
"""The length of what is added to a vector: a copy has a cosine of about 0.95 to its original."""
SWAPPED = 0.15
"""The share of words that a copy has swapped."""
_STEP = 16
"""Passages that the index hands to Chroma at a time (index/build.py)."""
MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Measured:
    """One row: the Retriever over so many copies. Times of a query are medians but `p95_ms`."""

    copies: int
    passages: int
    vectors: int
    construct_s: float
    text_ms: float
    """What a text costs to be encoded, from a sample."""
    question_ms: float
    """Encoding a question, which is no part of `search_ms`."""
    search_ms: float
    p95_ms: float
    product_ms: float
    """The product of all vectors with the question's: a part of `dense_ms`."""
    dense_ms: float
    bm25_ms: float
    given_mb: float
    """Passages and vectors before there is a Retriever over them."""
    resident_mb: float
    """The same with it."""
    peak_mb: float
    """The most that the process had, while it was made."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Chroma's share in building and reading the index, vectors given."""

    copies: int
    vectors: int
    add_s: float
    digests_ms: float
    read_s: float
    disk_mb: float


def measure_search(copies: int, *, bank: bool) -> Measured:
    """The Retriever over that many copies of the course, with the bank's questions or without."""
    cache = Home.locate().create().cache
    originals = load_course().passages
    encoder = prepared_encoder(cache)
    texts = [text for passage in originals for text in passage.texts]
    sample = random.Random(1).sample(texts, SAMPLE)
    sampled = min(_timed(lambda: encoder.encode(sample), time.perf_counter) for _ in range(TRIES))

    before = _resident_mb()
    real = indexed_vectors(originals, cache, encoder)
    if not bank:
        originals, real = _without_bank(originals, real)
    passages, vectors = copied(originals, real, copies)
    given = _resident_mb() - before
    began = time.process_time()
    retriever = Retriever(passages, vectors, encoder)
    construct = time.process_time() - began
    resident = _resident_mb() - before

    questions = asked()
    for question in questions[:5]:
        retriever.search(question)
    times = np.array([_query(retriever, question) for question in questions])
    question_ms, search_ms, product_ms, dense_ms, bm25_ms = np.median(times, axis=0).tolist()
    return Measured(
        copies=copies,
        passages=len(passages),
        vectors=sum(len(v) for v in vectors),
        construct_s=construct,
        text_ms=1000 * sampled / SAMPLE,
        question_ms=question_ms,
        search_ms=search_ms,
        p95_ms=float(np.percentile(times[:, 1], 95)),
        product_ms=product_ms,
        dense_ms=dense_ms,
        bm25_ms=bm25_ms,
        given_mb=given,
        resident_mb=resident,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before,
    )


def _query(retriever: Retriever, question: str) -> list[float]:
    """Milliseconds of encoding, of searching without it, and of three parts of the search."""
    mended = retriever.mended(question)
    encode = _timed(lambda: retriever.encoder.encode_one(mended), time.perf_counter)
    # The encoder remembers the last questions: nothing below encodes again.
    vector = retriever.encoder.encode_one(mended)
    works: list[Callable[[], object]] = [
        lambda: retriever.search(question),
        lambda: [vectors @ vector for vectors in retriever._vectors],
        lambda: retriever._dense(mended),
        lambda: retriever._lexicon.scores(mended),
    ]
    return [1000 * seconds for seconds in (encode, *map(_timed, works))]


class _Ready(ShippedEncoder):
    """Gives out vectors that are there already, in the order in which they are asked for."""

    def __init__(self, vectors: Sequence[Vectors]) -> None:
        self._vectors = np.concatenate(vectors)
        self._given = 0

    def encode(self, texts: Sequence[str]) -> Vectors:
        self._given += len(texts)
        return self._vectors[self._given - len(texts) : self._given]


def measure_store(copies: int) -> Stored:
    """Chroma over that many copies, fed as the index feeds it."""
    cache = Home.locate().create().cache
    originals = load_course().passages
    encoder: Encoder = prepared_encoder(cache)
    passages, vectors = copied(originals, indexed_vectors(originals, cache, encoder), copies)
    ready = _Ready(vectors)
    with tempfile.TemporaryDirectory() as folder:
        store = VectorStore(Path(folder), encoder.name)

        def add() -> None:
            for start in range(0, len(passages), _STEP):
                store.add(passages[start : start + _STEP], ready)

        added = _timed(add, time.process_time)
        digests = _timed(store.digests, time.process_time)
        read = _timed(store.vectors, time.process_time)
        store.close()
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    count = sum(len(v) for v in vectors)
    return Stored(copies, count, added, 1000 * digests, read, disk / MB)


def _without_bank(passages: Sequence[Passage], vectors: Vectors) -> tuple[list[Passage], Vectors]:
    """The lessons' own texts alone."""
    kept = [n < p.question_rows.start for p in passages for n in range(p.question_rows.stop)]
    return [replace(p, questions=(), answers=(), stated=()) for p in passages], vectors[kept]


def copied(
    originals: Sequence[Passage], real: Vectors, copies: int
) -> tuple[list[Passage], list[Vectors]]:
    """The passages themselves, then copies of them with other words and vectors near the real; the
    vectors are a matrix a copy."""
    random_words, noise = random.Random(0), np.random.default_rng(0)
    words = sorted({word for passage in originals for word in passage.text.split()})
    passages, vectors = list(originals), [real]

    def swapped(text: str) -> str:
        pieces = text.split(" ")
        for _ in range(round(SWAPPED * len(pieces))):
            pieces[random_words.randrange(len(pieces))] = random_words.choice(words)
        return " ".join(pieces)

    for n in range(1, copies):
        passages += [
            replace(
                passage,
                passage_id=f"{passage.passage_id}-{n}",
                text=swapped(passage.text),
                sentences=tuple(map(swapped, passage.sentences)),
                questions=tuple(map(swapped, passage.questions)),
            )
            for passage in originals
        ]
        moved = noise.standard_normal(real.shape, dtype=np.float32)
        moved *= NOISE / real.shape[1] ** 0.5
        moved += real
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        vectors.append(moved)
    return passages, vectors


def asked() -> list[str]:
    """Real questions of the bank, always the same ones."""
    questions = [question for gold in load_gold("train") for question in gold.asked]
    return random.Random(2).sample(questions, QUESTIONS)


def _timed(work: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    """The seconds of some work by a clock."""
    began = clock()
    work()
    return clock() - began


def _resident_mb() -> float:
    return float(psutil.Process().memory_info().rss / MB)
