"""An answer known to be good, to measure a model with: of the question bank, or of the lessons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from index.cards import nearest_card
from index.evidence import Evidence
from index.passages import without_markup
from index.retriever import Found, Retriever


@dataclass(frozen=True, slots=True)
class Reference:
    """An answer known to be good, and where it is from: a card of the question bank (that asks
    `question`, with that cosine), or (None) a sentence of the lessons."""

    text: str
    section: str
    question: str | None = None
    cosine: float | None = None

    @property
    def source(self) -> str:
        """Where it is from, in words."""
        if self.question is None:
            return "the lessons' best sentence for this question, which is not in the bank"
        return f"the question bank's answer to {self.question!r} (cosine {self.cosine:.2f})"


def reference_answer(retriever: Retriever, found: Found, picked: Sequence[Evidence]) -> Reference:
    """The bank's answer where the question is one of its own, else the best of the sentences that
    were picked as evidence, at least one."""
    if (card := nearest_card(retriever, found)) and card.known:
        return Reference(card.answer, card.passage.passage_id, card.question, card.cosine)
    best = max(picked, key=lambda e: e.score)
    return Reference(without_markup(best.sentence), best.passage.passage_id)
