"""Reads the reading exercises: invented notes, a question, and the answer that only they give.

The adapter learns from them to read what it is given instead of reciting what it knows. Questions
with the answer yes stand beside their twins with the answer no.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corpus.lessons import CourseError

EXERCISES = Path(__file__).parent / "reading" / "exercises.jsonl"
NOT_SAID = "The notes do not say."
"""The answer where the notes do not answer."""


class Exercise(BaseModel):
    """Notes, of which one answers or none does, and the answer in their words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["fact", "number", "yes", "no", "negation", "why", "compare", "none"]
    notes: tuple[str, ...] = Field(min_length=1, max_length=4)
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)


def load_exercises(path: Path = EXERCISES) -> list[Exercise]:
    """All exercises in the file's order. Raises CourseError naming the line that is wrong."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(Exercise.model_validate_json(line))
        except ValidationError as error:
            raise CourseError(f"{path.name}, line {number}: {error.errors()[0]['msg']}") from error
    return found
