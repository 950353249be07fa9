"""The question bank as cards: a known question, in whatever words, has a checked answer.

A card is found by its wordings, which the index holds as questions of its section. Whether the
nearest card really asks the same is decided from its cosine, from how far the next other card is,
and from whether the search without the bank would have led to the same section.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from corpus import GoldQuestion
from index.retriever import Found, Retriever

THRESHOLD = 0.80
AGREEMENT = 0.05
"""Added to the cosine of a card whose section was also found first."""
_LOOKED_AT = 8


@dataclass(frozen=True, slots=True)
class CardMatch:
    """The nearest card; `score` decides, `cosine` is of its nearest wording."""

    card: GoldQuestion
    cosine: float
    score: float

    @property
    def sure(self) -> bool:
        """Whether the card's answer may be read out."""
        return self.score >= THRESHOLD


class Cards:
    """The bank by wording."""

    def __init__(self, bank: Iterable[GoldQuestion]) -> None:
        self._by_wording = {text: card for card in bank if card.answerable for text in card.asked}

    def match(self, retriever: Retriever, query: str, found: Found) -> CardMatch | None:
        """The card nearest to the query, for which `found` was found; None for an empty bank."""
        near = [
            (self._by_wording[text], cosine)
            for text, cosine in retriever.nearest_questions(query, _LOOKED_AT)
            if text in self._by_wording
        ]
        if not near:
            return None
        card, cosine = near[0]
        first = found.hits[0].passage.passage_id if found.hits else ""
        return CardMatch(card, cosine, cosine + AGREEMENT * (card.section == first))
