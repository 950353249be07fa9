"""What the lessons have for a question: the card that answers it, and the sentences that do."""

from __future__ import annotations

from dataclasses import dataclass

from index.cards import Card, nearest_card
from index.evidence import Evidence, evidence
from index.passages import without_markup
from index.retriever import Found, Retriever

NOTES = 3
"""Texts that the model speaks from."""


@dataclass(frozen=True, slots=True)
class Material:
    """The card, where one is near enough, and the picked sentences that say more than it does."""

    card: Card | None
    picked: tuple[Evidence, ...]
    """All picked sentences, those too that the card says already."""

    @property
    def beside(self) -> tuple[Evidence, ...]:
        """The picked sentences, without those that stand in the card's answer."""
        said = without_markup(self.card.answer) if self.card else ""
        return tuple(e for e in self.picked if without_markup(e.sentence) not in said)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the model speaks from: the card's answer first, without markup."""
        texts = [self.card.answer] if self.card else []
        texts += [e.sentence for e in self.beside]
        return tuple(without_markup(text) for text in texts[:NOTES])


def gathered(retriever: Retriever, found: Found, context: str = "") -> Material:
    """The material for what was searched; `context` is the question before a follow-up."""
    picked = evidence(retriever, found.query, found.hits, context=context)
    return Material(nearest_card(retriever, found, context), tuple(picked))
