"""What the lessons have for a question: the card that answers it, and the sentences that do."""

from __future__ import annotations

from dataclasses import dataclass

from index.cards import Card, nearest_card
from index.evidence import Evidence, evidence
from index.lexical import content_words
from index.passages import without_markup
from index.retriever import Found, Retriever

NOTES = 2
"""Texts that the model speaks from."""
SENTENCES = 3
"""Sentences that are quoted beside a card; without one it is one more."""
_SAID = 0.8
"""The share of a sentence's content words that stand in the card's answer, if it says nothing new."""


@dataclass(frozen=True, slots=True)
class Material:
    """The card, where one is near enough, and picked sentences that say more than it does."""

    card: Card | None
    picked: tuple[Evidence, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the model speaks from: the card's answer first, without markup."""
        texts = [self.card.answer] if self.card else []
        texts += [e.sentence for e in self.picked]
        return tuple(without_markup(text) for text in texts[:NOTES])


def gathered(retriever: Retriever, found: Found, context: str = "") -> Material:
    """The material for what was searched; `context` is the question before a follow-up."""
    card = nearest_card(retriever, found, context)
    said = set(content_words(card.answer)) if card else set()

    def adds(sentence: Evidence) -> bool:
        words = set(content_words(sentence.sentence))
        return len(words & said) < _SAID * len(words) or not words

    n = SENTENCES if card else SENTENCES + 1
    return Material(card, tuple(evidence(retriever, found.query, found.hits, n, context, adds)))
