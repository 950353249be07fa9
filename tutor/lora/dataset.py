"""What the adapter is trained on: turns as the tutor composes them, with the answer to be given.

The bank's cards are asked with the evidence that the search really picks for them. Exercises with
invented notes, changed numbers and notes that do not answer make reading the only way to be right.
Dev and test questions are never among them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from corpus.gold import GoldQuestion, load_gold, states
from corpus.reading import NOT_SAID, load_exercises
from index.evidence import evidence
from index.lexical import content_words
from index.material import NOTES, gathered
from index.passages import Passage, without_markup
from index.retriever import Retriever
from tutor.agent.compose import compose
from tutor.engine.engine import Engine

_LONGEST_NOTE = 320
"""Characters: a table row or a code block as a note would cost more than it teaches."""
_REFUSALS = 200
"""Few, since most questions that the lessons do not answer never reach the model."""
_UNANSWERED = 0.06
"""The share of the cards that are asked with notes which do not answer, too."""
_NEW = 0.4
"""The share of a sentence's content words that an answer must lack for the sentence to follow it."""
_VERDICT = re.compile(r"(yes|no)\b", re.IGNORECASE)
"""What a sentence that answers another question begins with."""
_NUMBER = re.compile(r"(?<![\w.,])\d(?:[\d,]*\d)?(?:\.\d+)?(?![\w]|[.,]\d)")


@dataclass(frozen=True, slots=True)
class Example:
    """One turn: what stands in the prompt, and the answer that the model shall learn to give."""

    kind: str
    question: str
    notes: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of an example; the loss counts on `answer` alone."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def examples(
    retriever: Retriever,
    cards: Sequence[GoldQuestion] | None = None,
    seed: int = 0,
    progress: Callable[[float], None] = lambda done: None,
) -> list[Example]:
    """All examples, shuffled; the same for the same seed, course and search."""
    draw = random.Random(seed)
    asked = [q for q in (load_gold("train") if cards is None else cards) if q.answerable]
    found = [
        Example(exercise.kind, exercise.question, exercise.notes, exercise.answer)
        for exercise in load_exercises()
    ]
    passages = {passage.passage_id: passage for passage in retriever.passages}
    unanswerable = [q for q in load_gold("train") if not q.answerable] if cards is None else []
    for question in unanswerable[:: len(unanswerable) // _REFUSALS or 1]:
        hits = retriever.search(question.question, 3).hits
        picked = evidence(retriever, question.question, hits, NOTES)
        notes = tuple(without_markup(e.sentence)[:_LONGEST_NOTE] for e in picked)
        found.append(Example("refusal", question.question, notes, NOT_SAID))
    for n, card in enumerate(asked):
        found += _of_card(card, passages, retriever, draw)
        progress((n + 1) / len(asked))
    draw.shuffle(found)
    return found


def _of_card(
    card: GoldQuestion, passages: dict[str, Passage], retriever: Retriever, draw: random.Random
) -> Iterator[Example]:
    assert card.answer and card.section
    question = draw.choice((card.question, *card.wordings))
    passage = passages[card.section]
    notes, n_cards = _notes(card, question, passage, retriever)
    if not all(states(" ".join(notes), fact) for fact in card.facts):
        # A fact that stands in no sentence (a heading, a table) cannot be read from the notes.
        return
    plain = Example(card.kind, question, notes, _answer(card.answer, notes[n_cards:]))
    yield plain
    if changed := with_other_numbers(plain, draw):
        yield changed
    if draw.random() < _UNANSWERED:
        yield Example("none", question, _distractors(card, question, retriever), NOT_SAID)


def _notes(
    card: GoldQuestion, question: str, passage: Passage, retriever: Retriever
) -> tuple[tuple[str, ...], int]:
    """What a turn would find, the section's own sentences with the facts in place of the last; and
    how many of the notes are cards' answers."""
    context = card.history[-1] if card.history else ""
    material = gathered(retriever, retriever.search(question, 3, context=context), context)
    notes = list(material.notes)
    for fact in card.facts:
        if not states(" ".join(notes), fact):
            stating = next((s for s in passage.sentences if states(s, fact)), None)
            if stating:
                notes = [*notes[: NOTES - 1], without_markup(stating)]
    told = tuple(note[:_LONGEST_NOTE] for note in dict.fromkeys(notes))
    return told, 1 if material.card else 0


def _answer(answer: str, sentences: Sequence[str]) -> str:
    """The card's answer, and after it every sentence that says more than what stands before it."""
    said = set(content_words(answer))
    for sentence in sentences:
        words = set(content_words(sentence))
        whole = sentence.endswith((".", "!", "?")) and not _VERDICT.match(sentence)
        if whole and len(words - said) > _NEW * len(words):
            answer = f"{answer} {sentence}"
            said |= words
    return answer


def _distractors(card: GoldQuestion, question: str, retriever: Retriever) -> tuple[str, ...]:
    """The sentences that the search would pick if the lessons had no answer."""
    hits = retriever.search(question, 6).hits
    others = [hit for hit in hits if hit.passage.passage_id not in card.relevant]
    picked = [e.sentence for e in evidence(retriever, question, others[:3], NOTES)]
    fitting = [s for s in picked if not any(states(s, fact) for fact in card.facts)]
    return tuple(without_markup(s)[:_LONGEST_NOTE] for s in fitting or picked[:1])


def with_other_numbers(example: Example, draw: random.Random) -> Example | None:
    """The same turn with other numbers in notes and answer; None where no number is read off.

    A number that stands in the question too belongs to a calculation and is left alone.
    """
    notes = " ".join(example.notes)
    shared = {
        number
        for number in _NUMBER.findall(example.answer)
        if len(number) > 1 and number in _NUMBER.findall(notes)
    } - set(_NUMBER.findall(example.question))
    if not shared or any(sign in example.answer for sign in "=×/"):
        return None
    other = {number: _other(number, draw) for number in shared}

    def changed(text: str) -> str:
        return _NUMBER.sub(lambda match: other.get(match.group(), match.group()), text)

    return replace(
        example,
        kind="other-numbers",
        notes=tuple(changed(note) for note in example.notes),
        answer=changed(example.answer),
    )


def _other(number: str, draw: random.Random) -> str:
    """Another number of the same shape: digits for digits, the first one never zero."""
    while True:
        digits = [draw.choice("0123456789") if c.isdigit() else c for c in number]
        digits[0] = draw.choice("123456789") if number[0] != "0" else "0"
        if (found := "".join(digits)) != number:
            return found


def encoded(example: Example, engine: Engine) -> Encoded:
    """The example as the model reads it in a turn, closed by the token that ends an answer."""
    prompt = compose(engine, example.question, example.notes, (), 64)
    answer = (*engine.tokenize(example.answer), engine.end_id)
    return Encoded(tuple(prompt.tokens), answer)
