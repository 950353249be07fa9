"""Reads what has to do with reading closely: exercises, and sentences that a section supports or not.

An exercise is invented notes, a question, and the answer that only they give.

The adapter learns from them to read what it is given instead of reciting what it knows. Questions
with the answer yes stand beside their twins with the answer no.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corpus.lessons import CourseError

_FOLDER = Path(__file__).parent / "reading"
EXERCISES = _FOLDER / "exercises.jsonl"
CLAIMS = _FOLDER / "claims.jsonl"
NOT_SAID = "The notes do not say."
"""The answer where the notes do not answer."""


class Exercise(BaseModel):
    """Notes, of which one answers or none does, and the answer in their words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["fact", "number", "yes", "no", "negation", "why", "compare", "none"]
    notes: tuple[str, ...] = Field(min_length=1, max_length=4)
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)


class Claim(BaseModel):
    """A sentence as a small model might say it of a section, and whether the section supports it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passage_id: str
    claim: str = Field(min_length=1)
    supported: bool
    kind: Literal[
        "verbatim",
        "shortened",
        "reworded",
        "joined",
        "answered",
        "pronoun",
        "negated",
        "number",
        "swapped",
        "spliced",
        "invented",
        "generalised",
    ]


_Line = TypeVar("_Line", bound=BaseModel)


def load_exercises(path: Path = EXERCISES) -> list[Exercise]:
    """All exercises in the file's order. Raises CourseError naming the line that is wrong."""
    return _read(path, Exercise)


def load_claims(path: Path = CLAIMS) -> list[Claim]:
    """All labelled sentences in the file's order. Raises CourseError naming the line that is wrong."""
    return _read(path, Claim)


def _read(path: Path, model: type[_Line]) -> list[_Line]:
    found = []
    # Not splitlines: it would cut at U+2028 and others, which may stand inside a JSON string.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(model.model_validate_json(line))
        except ValidationError as error:
            raise CourseError(f"{path.name}, line {number}: {error.errors()[0]['msg']}") from error
    return found
