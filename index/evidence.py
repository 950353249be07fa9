"""The sentences that answer: picked from the best passages, word for word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from index.lexical import content_words
from index.passages import Passage
from index.retriever import Hit, Retriever

OVERLAP_WEIGHT = 0.1
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
    retriever: Retriever, query: str, hits: Sequence[Hit], n: int = 3, context: str = ""
) -> list[Evidence]:
    """The `n` best sentences of the hits: best passage first, in reading order inside it."""
    query = retriever.mended(query)
    vector = retriever.encoder.encode_one(query)
    if context:
        joint = retriever.encoder.encode_one(retriever.mended(f"{context} {query}"))
        vector = (1 - CONTEXT_WEIGHT) * vector + CONTEXT_WEIGHT * joint
    asked = set(content_words(query))
    found: list[tuple[float, int, int, Evidence]] = []
    for hit in hits:
        cosines = retriever.sentence_vectors(hit.passage) @ vector
        for place, (sentence, cosine) in enumerate(
            zip(hit.passage.sentences, cosines, strict=True)
        ):
            shared = asked & set(content_words(sentence))
            score = (
                float(cosine)
                + OVERLAP_WEIGHT * len(shared) / max(len(asked), 1)
                + FIRST_BONUS * (place == 0)
                - RANK_COST * (hit.rank - 1)
                - SHORT_COST * (len(sentence.split()) < SHORT)
            )
            found.append((score, hit.rank, place, Evidence(hit.passage, sentence, score)))
    best = sorted(found, key=lambda item: -item[0])[:n]
    return [item[3] for item in sorted(best, key=lambda item: item[1:3])]
