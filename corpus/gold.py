"""Reads the gold set: questions as learners ask them, each with the section that answers it.

`gold/<split>/<lesson>.jsonl` holds the questions that a lesson answers, and
`gold/<split>/unanswerable.jsonl` those that no lesson answers. The train split is also the bank of
answers that the tutor may read out; dev is for fitting; test is for reporting only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from typing_extensions import Self

from corpus.lessons import CourseError

GOLD = Path(__file__).parent / "gold"

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Kind = Literal[
    "what",
    "why",
    "how",
    "what-if",
    "compare",
    "compute",
    "misconception",
    "yes-no",
    "casual",
    "misspelled",
    "follow-up",
    "other-topic",
    "neighbouring",
    "nonsense",
]
UNANSWERABLE: frozenset[str] = frozenset(("other-topic", "neighbouring", "nonsense"))


class GoldQuestion(BaseModel):
    """A question with its checked answer, or one that the lessons do not answer.

    `history` are the learner's earlier questions, oldest first, without which a follow-up means
    nothing. `also` are further sections that hold the whole answer. Each fact is a list of phrasings
    of which one suffices; an answer is right when it states every fact.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    lesson: int | None = None
    section: str | None = None
    also: tuple[str, ...] = ()
    kind: Kind
    question: str = Field(min_length=1)
    wordings: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    answer: str | None = None
    facts: tuple[tuple[str, ...], ...] = ()
    split: Split

    @model_validator(mode="after")
    def _answered_or_not(self) -> Self:
        given = (self.lesson is not None, bool(self.section), bool(self.answer), bool(self.facts))
        if any(given) != all(given):
            raise ValueError("give lesson, section, answer and facts together, or none of them")
        if self.answerable == (self.kind in UNANSWERABLE):
            raise ValueError(f"kind {self.kind} does not fit a question with or without an answer")
        if (self.kind == "follow-up") != bool(self.history):
            raise ValueError("a follow-up, and only a follow-up, has a history")
        if any(not phrasing.strip() for fact in self.facts for phrasing in fact):
            raise ValueError("a fact has an empty phrasing")
        return self

    @property
    def answerable(self) -> bool:
        """Whether a lesson answers it."""
        return self.section is not None

    @property
    def asked(self) -> tuple[str, ...]:
        """All its wordings, a follow-up's after its history: what is searched for."""
        wordings = (self.question, *self.wordings)
        return tuple(" ".join((*self.history, w)) for w in wordings) if self.history else wordings

    @property
    def relevant(self) -> frozenset[str]:
        """The passage ids that hold the answer; empty for an unanswerable question."""
        sections = (self.section, *self.also) if self.section else ()
        return frozenset(sections)


_QUESTIONS = TypeAdapter(list[GoldQuestion])


def load_gold(split: Split, folder: Path | None = None) -> list[GoldQuestion]:
    """The questions of a split, by lesson, those without an answer last.

    Raises CourseError naming file and line where one is wrong, or where an id stands twice.
    """
    return list(_shipped(split)) if folder is None else _read(folder / split, split)


@cache
def _shipped(split: Split) -> tuple[GoldQuestion, ...]:
    """A split of ours, read once a process: search, scope and router all need the bank."""
    return tuple(_read(GOLD / split, split))


def _read(folder: Path, split: Split) -> list[GoldQuestion]:
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise CourseError(f"no gold questions (*.jsonl) in {folder}")
    questions: dict[str, GoldQuestion] = {}
    for path in files:
        # Not splitlines: it would cut at U+2028 and others, which may stand in a JSON string.
        lines = path.read_text(encoding="utf-8").split("\n")
        numbers = [number for number, line in enumerate(lines, start=1) if line.strip()]
        for number, question in zip(numbers, _parse(lines, numbers, path, split), strict=True):
            where = f"{split}/{path.name}, line {number}"
            if question.id in questions:
                raise CourseError(f"{where}: the id {question.id} stands twice")
            if question.split != split:
                raise CourseError(f"{where}: split is {question.split} in the folder {split}")
            questions[question.id] = question
    return list(questions.values())


def _parse(lines: list[str], numbers: list[int], path: Path, split: Split) -> list[GoldQuestion]:
    try:
        # At once: the bank is read at every start.
        return _QUESTIONS.validate_json(f"[{','.join(lines[n - 1] for n in numbers)}]")
    except ValidationError:
        pass
    found = []
    for number in numbers:
        try:
            found.append(GoldQuestion.model_validate_json(lines[number - 1]))
        except ValidationError as error:
            where = f"{split}/{path.name}, line {number}"
            raise CourseError(f"{where}: {error.errors()[0]['msg']}") from error
    return found


@lru_cache(maxsize=1 << 16)
def normalised(text: str) -> str:
    """Text as facts are compared: lower case, no markup, one space between words and signs."""
    text = unicodedata.normalize("NFKC", text).lower().replace("×", "x")
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return " ".join(re.findall(r"\d+(?:\.\d+)?|[^\W\d_]+|[%+=/*^<>|-](?=\s*\d)", text))


def states(text: str, fact: Iterable[str]) -> bool:
    """Whether the text contains one of the fact's phrasings, on word boundaries."""
    words = f" {normalised(text)} "
    return any(f" {normalised(phrasing)} " in words for phrasing in fact)
