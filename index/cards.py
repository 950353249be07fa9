"""Cards: the bank's question that comes nearest to the one asked, with its checked answer."""

from __future__ import annotations

from dataclasses import dataclass

from index.passages import Passage
from index.retriever import Found, Retriever

KNOWN = 0.74
"""From this cosine on, a question counts as the known one in other words."""
NEAR = 0.6
"""From this cosine on, a card of the best passage says more of what was asked than any one of its
sentences (docs/experiments.md)."""


@dataclass(frozen=True, slots=True)
class Card:
    """A known question, its checked answer, and the passage that both belong to.

    `question` is the wording that is nearest, `asks` the one that the answer was written for.
    """

    passage: Passage
    question: str
    asks: str
    answer: str
    cosine: float

    @property
    def known(self) -> bool:
        """Whether what was asked is the card's question in other words."""
        return self.cosine >= KNOWN


def nearest_card(retriever: Retriever, found: Found, context: str = "") -> Card | None:
    """The card of the best passage that is nearest to what was searched; None where none is near.

    A follow-up is compared together with the question before it, as the bank's own are.
    """
    passage = found.hits[0].passage
    if not passage.answers:
        return None
    query = retriever.mended(f"{context} {found.query}".strip())
    cosines = retriever.question_vectors(passage) @ retriever.encoder.encode_one(query)
    best = int(cosines.argmax())
    if cosines[best] < NEAR:
        return None
    answer = passage.answers[best]
    asks = passage.questions[passage.answers.index(answer)]
    return Card(passage, passage.questions[best], asks, answer, float(cosines[best]))
