"""Cards: a question that is close enough to one of the bank is answered by the bank's answer."""

from __future__ import annotations

from dataclasses import dataclass

from index.passages import Passage
from index.retriever import Found, Retriever

THRESHOLD = 0.78
"""The least cosine to a known question. On dev 25 of 28 cards from here on belong to a right section
(docs/experiments.md)."""


@dataclass(frozen=True, slots=True)
class Card:
    """A known question, its checked answer, and the passage that both belong to."""

    passage: Passage
    question: str
    answer: str
    cosine: float


def nearest_card(retriever: Retriever, found: Found, context: str = "") -> Card | None:
    """The card that answers what was searched, of the best passage; None where none is near.

    A follow-up is compared together with the question before it, as the bank's own are.
    """
    passage = found.hits[0].passage
    if not passage.answers:
        return None
    query = retriever.mended(f"{context} {found.query}".strip())
    cosines = retriever.question_vectors(passage) @ retriever.encoder.encode_one(query)
    best = int(cosines.argmax())
    if cosines[best] < THRESHOLD:
        return None
    return Card(passage, passage.questions[best], passage.answers[best], float(cosines[best]))
