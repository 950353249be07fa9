"""The sentences that answer: picked from the best passages, word for word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from index.encoder import Vectors
from index.lexical import content_words
from index.passages import Passage
from index.retriever import Hit, Retriever

COSINE_WEIGHT = 0.3
ANSWERED_WEIGHT = 0.8
"""Of the cosine to the nearest question of the bank that the sentence answers: a sentence is often
worded unlike what is asked, and a known question tells that it is the answer all the same."""
OVERLAP_WEIGHT = 0.05
FIRST_BONUS = 0.2
"""A section opens with its answer in one sentence (corpus convention)."""
RANK_COST = 0.2
SHORT_COST = 0.15
"""For a sentence under `SHORT` words: it rarely answers when quoted alone."""
CONTEXT_WEIGHT = 0.3
"""Of the question together with the one before it."""
SHORT = 6


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence of a passage and how well it fits the question."""

    passage: Passage
    sentence: str
    score: float


def evidence(
    retriever: Retriever,
    query: str,
    hits: Sequence[Hit],
    n: int = 3,
    context: str = "",
    wanted: Callable[[Evidence], bool] = lambda sentence: True,
) -> list[Evidence]:
    """The `n` best sentences of the hits: best passage first, in reading order inside it.

    `wanted` leaves out what it is false for.
    """
    query = retriever.mended(query)
    vector = retriever.encoder.encode_one(query)
    if context:
        joint = retriever.encoder.encode_one(retriever.mended(f"{context} {query}"))
        vector = (1 - CONTEXT_WEIGHT) * vector + CONTEXT_WEIGHT * joint
    asked = set(content_words(query))
    found: list[tuple[float, int, int, Evidence]] = []
    for hit in hits:
        cosines = retriever.sentence_vectors(hit.passage) @ vector
        answered = _answered(hit.passage, cosines, retriever.question_vectors(hit.passage) @ vector)
        for place, sentence in enumerate(hit.passage.sentences):
            shared = asked & set(content_words(sentence))
            score = (
                COSINE_WEIGHT * float(cosines[place])
                + ANSWERED_WEIGHT * float(answered[place])
                + OVERLAP_WEIGHT * len(shared) / max(len(asked), 1)
                + FIRST_BONUS * (place == 0)
                - RANK_COST * (hit.rank - 1)
                - SHORT_COST * (len(sentence.split()) < SHORT)
            )
            picked = Evidence(hit.passage, sentence, score)
            if wanted(picked):
                found.append((score, hit.rank, place, picked))
    best = sorted(found, key=lambda item: -item[0])[:n]
    return [item[3] for item in sorted(best, key=lambda item: item[1:3])]


def _answered(passage: Passage, cosines: Vectors, asked: Vectors) -> Vectors:
    """For each sentence the best cosine of a question that it answers, 0 where it answers none.

    `cosines` are those of the sentences, `asked` of the passage's questions. Where no bank tells
    what its sentences answer, each answers what is worded like it, and the first one the questions.
    """
    if not any(passage.stated):
        best = cosines.copy()
        best[0] = max(best[0], asked.max(initial=-1.0))
        return best
    best = np.zeros(len(passage.sentences), dtype=np.float32)
    for cosine, places in zip(asked, passage.stated, strict=True):
        for place in places:
            best[place] = max(best[place], cosine)
    return best
