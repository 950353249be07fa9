"""Sections as passages: their sentences, and a digest that tells when one has changed."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from corpus import Lesson, Section
from corpus.gold import GoldQuestion, states

# A sentence ends at . ! or ? before white space and a capital, digit, quote or code; not after
# an ellipsis, an abbreviation or an initial.
_END = re.compile(r"(?<=[.!?])(?<!\.\.\.)[\"')\]*]*\s+(?=[\"'(*`]*[A-Z0-9`])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|al|Fig|approx|Dr|Mr|Ms|St|No)|\b[A-Z])\.$")
_MARKUP = re.compile(r"\*{1,2}(?=\S)|(?<=\S)\*{1,2}|`")


def digest(texts: Sequence[str]) -> bytes:
    """What tells these texts, in this order, from all others (SHA-256)."""
    return hashlib.sha256("\0".join(texts).encode()).digest()


@dataclass(frozen=True, slots=True)
class Passage:
    """A section as it is searched, quoted and cited."""

    passage_id: str
    lesson: int
    title: str
    section: str
    text: str
    sentences: tuple[str, ...]
    questions: tuple[str, ...]
    """What learners asked that this section answers: the question bank's wordings."""
    answers: tuple[str, ...]
    """The bank's checked answer to each of the questions; empty where there is no bank."""
    stated: tuple[tuple[int, ...], ...] = ()
    """For each of the questions the places of the sentences that state a fact of its answer."""

    @property
    def own_texts(self) -> list[str]:
        """The lesson's words that get a vector: heading and text, heading, sentences."""
        parts = (f"{self.section}\n{self.text}", self.section, *self.sentences)
        return [without_markup(part) for part in parts]

    @property
    def digest(self) -> str:
        """Another one whenever a text that gets a vector is another, or is cut otherwise."""
        parts = (self.title, self.section, self.text, *self.sentences, *self.questions)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def sentence_rows(self) -> slice:
        """The places of the sentences among `texts`."""
        return slice(2, 2 + len(self.sentences))

    @property
    def question_rows(self) -> slice:
        """The places of the bank's questions among `texts`."""
        return slice(2 + len(self.sentences), 2 + len(self.sentences) + len(self.questions))

    @property
    def texts(self) -> list[str]:
        """What gets a vector, in this order: the lesson's own words, the bank's questions."""
        return self.own_texts + [without_markup(question) for question in self.questions]


def split_sentences(text: str) -> list[str]:
    """The sentences of Markdown text in order; list items and table rows stay whole."""
    found: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        lines: list[str] = []
        for line in block.splitlines():
            # A list item or a table row begins a piece of its own; other lines run on.
            if re.match(r"\s*(?:[-*+]\s|\d+[.)]\s|\|)", line) or not lines:
                lines.append(line.strip())
            else:
                lines[-1] += " " + line.strip()
        for line in lines:
            found += _split_line(line)
    return [sentence for sentence in found if re.search(r"\w", sentence)]


def _split_line(line: str) -> list[str]:
    sentences: list[str] = []
    start = 0
    for match in _END.finditer(line):
        piece = line[start : match.start()].rstrip()
        if _ABBREVIATION.search(piece):
            continue
        sentences.append(line[start : match.end()].strip())
        start = match.end()
    return [*sentences, line[start:].strip()]


def without_markup(text: str) -> str:
    """The text without emphasis and code marks, as the encoder should read it."""
    return _MARKUP.sub("", text)


def passages_of(lessons: Sequence[Lesson], bank: Sequence[GoldQuestion] = ()) -> list[Passage]:
    """Every section of every lesson, in reading order, each with its questions of the bank."""
    cards: dict[str, list[GoldQuestion]] = defaultdict(list)
    for card in bank:
        if card.section:
            cards[card.section].append(card)
    return [
        _with_cards(lesson, section, cards[section.passage_id])
        for lesson in lessons
        for section in lesson.sections
    ]


def _with_cards(lesson: Lesson, section: Section, cards: Sequence[GoldQuestion]) -> Passage:
    passage = passage_from(
        lesson.number,
        lesson.title,
        section.heading,
        section.text,
        [asked for card in cards for asked in card.asked],
        [card.answer or "" for card in cards for _ in card.asked],
    )
    stating = [_stating(passage.sentences, card.facts) for card in cards for _ in card.asked]
    return replace(passage, stated=tuple(stating))


def _stating(sentences: Sequence[str], facts: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """The places of the sentences that state one of the facts."""
    return tuple(n for n, text in enumerate(sentences) if any(states(text, f) for f in facts))


def passage_from(
    lesson: int,
    title: str,
    heading: str,
    text: str,
    questions: Sequence[str] = (),
    answers: Sequence[str] = (),
) -> Passage:
    """A passage of any text under a heading."""
    return Passage(
        Section(lesson, heading, text).passage_id,
        lesson,
        title,
        heading,
        text,
        tuple(split_sentences(text)),
        tuple(questions),
        tuple(answers),
    )
