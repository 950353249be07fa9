"""What the lessons have for a question: the card that answers it, and the sentences that do."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from index.cards import Card, nearest_card
from index.evidence import Evidence, evidence
from index.lexical import content_words
from index.passages import without_markup
from index.retriever import Found, Retriever
from index.verdict import capital, same_verdict, without_verdict

NOTES = 3
"""Texts that the model speaks from."""
SENTENCES = 3
"""Sentences that are quoted beside a card; without one it is one more."""
_SAID = 0.8
"""The share of a sentence's content words that stand in the card's answer, if it says nothing new."""
_CUT = "… "
"""Stands where a quote was cut."""
_RUN = 8
"""Words in a row: a note that shares so many with another one makes an answer go in circles."""


@dataclass(frozen=True, slots=True)
class Material:
    """The card, where one is near enough, and picked sentences that say more than it does."""

    card: Card | None
    picked: tuple[Evidence, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the model speaks from, without markup: the card's answer, then the sentences that
        fit best, in reading order, none of which repeats another."""
        card = (without_markup(self.card.answer),) if self.card else ()
        texts = [_opened(without_markup(e.sentence)) for e in self.picked]
        best: list[int] = []
        for n in sorted(range(len(texts)), key=lambda n: -self.picked[n].score):
            told = [*card, *(texts[m] for m in best)]
            if len(told) < NOTES and not any(repeats(texts[n], other) for other in told):
                best.append(n)
        return (*card, *(texts[n] for n in sorted(best)))


def gathered(retriever: Retriever, found: Found, context: str = "") -> Material:
    """The material for what was searched; `context` is the question before a follow-up."""
    card = nearest_card(retriever, found, context)
    query = retriever.mended(found.query)
    if card and not same_verdict(query, card.asks, card.answer):
        card = replace(card, answer=without_verdict(card.answer))
    said = set(content_words(card.answer)) if card else set()

    def adds(sentence: Evidence) -> bool:
        words = set(content_words(sentence.sentence))
        return len(words & said) < _SAID * len(words) or not words

    n = SENTENCES if card else SENTENCES + 1
    picked = evidence(retriever, found.query, found.hits, n, context, adds)

    def fitting(e: Evidence) -> Evidence:
        # Beside a card's yes or no a second one would be that of another question.
        if not card and same_verdict(query, e.passage.section, e.sentence):
            return e
        return replace(e, sentence=without_verdict(e.sentence, _CUT))

    return Material(card, tuple(map(fitting, picked)))


def _opened(quote: str) -> str:
    """A quote that was cut as a sentence of its own."""
    return capital(quote.removeprefix(_CUT)) if quote.startswith(_CUT) else quote


def repeats(text: str, other: str) -> bool:
    """Whether both have a run of eight words in common."""
    return not set(runs(text)).isdisjoint(runs(other))


def runs(text: str) -> list[tuple[str, ...]]:
    """All runs of eight words in a row."""
    words = re.findall(r"\w+", text.lower())
    return [tuple(words[n : n + _RUN]) for n in range(len(words) - _RUN + 1)]
