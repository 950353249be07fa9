"""Reads the lessons: YAML front matter, then sections under `##` headings.

A section is the unit of everything that follows: it answers one question, is retrieved as one
passage, and is cited by its `passage_id`. This module knows nothing of embedding or prompts.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

LESSONS = Path(__file__).parent / "lessons"

_HEADING = re.compile(r"^##\s+(.+?)\s*$", re.MULTILINE)


class CourseError(Exception):
    """A lesson that cannot be read; the message names the file and what to change."""


class Demonstration(BaseModel):
    """A live demonstration that belongs to a section of a lesson."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    section: str
    invite: str


class FrontMatter(BaseModel):
    """What stands above a lesson's text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int = Field(ge=1)
    title: str = Field(min_length=1)
    summary: str = Field(min_length=1)
    prerequisites: tuple[int, ...] = ()
    key_terms: dict[str, str] = Field(default_factory=dict)
    demos: tuple[Demonstration, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """One question and its answer: the heading and the Markdown below it."""

    lesson: int
    heading: str
    text: str

    @property
    def passage_id(self) -> str:
        """`6/what-does-temperature-do`: stable as long as the heading is."""
        return f"{self.lesson}/{slug(self.heading)}"


@dataclass(frozen=True, slots=True)
class Lesson:
    """One lesson, its sections in reading order."""

    number: int
    title: str
    summary: str
    prerequisites: tuple[int, ...]
    key_terms: dict[str, str]
    demos: tuple[Demonstration, ...]
    sections: tuple[Section, ...]

    def section(self, passage_id: str) -> Section | None:
        """The section with that passage id, if it is in this lesson."""
        return next((s for s in self.sections if s.passage_id == passage_id), None)


def slug(heading: str) -> str:
    """A heading as lower-case ASCII words joined by hyphens."""
    ascii_text = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")


def parse_lesson(source: str, name: str) -> Lesson:
    """A lesson from its file's text; `name` is used in errors only.

    Raises CourseError for a missing front matter, a wrong field, text before the first section,
    no section at all, two sections of one name, or a demonstration of an unknown section.
    """
    parts = source.replace("\r\n", "\n").split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise CourseError(f"{name}: begin the file with front matter between two lines of ---")
    try:
        # libyaml's loader is ten times as fast; PyYAML can be built without it.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        front = FrontMatter.model_validate(yaml.load(parts[1], Loader=loader))
    except yaml.YAMLError as error:
        raise CourseError(f"{name}: the front matter is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "front matter"
        raise CourseError(f"{name}: {where}: {first['msg']}") from error

    before, *pairs = _HEADING.split(parts[2])
    if before.strip():
        raise CourseError(f"{name}: put a '## ' heading above the first paragraph")
    sections = tuple(
        Section(front.number, heading, text.strip())
        for heading, text in zip(pairs[::2], pairs[1::2], strict=True)
    )
    if not sections:
        raise CourseError(f"{name}: a lesson needs at least one section ('## Heading')")
    ids = [section.passage_id for section in sections]
    if doubles := {i for i in ids if ids.count(i) > 1}:
        raise CourseError(f"{name}: two sections share the name {sorted(doubles)[0]}")
    headings = {section.heading for section in sections}
    for demo in front.demos:
        if demo.section not in headings:
            raise CourseError(f"{name}: demonstration {demo.name} names no section of the lesson")
    return Lesson(
        front.number,
        front.title,
        front.summary,
        front.prerequisites,
        front.key_terms,
        front.demos,
        sections,
    )


def load_lessons(folder: Path | None = None) -> list[Lesson]:
    """The lessons of a folder (by default the course's own), by number.

    Raises CourseError where a file is wrong, a number stands twice, or there is no lesson.
    """
    return list(_shipped()) if folder is None else _read(folder)


@cache
def _shipped() -> tuple[Lesson, ...]:
    """Our own, read once a process: the screen shows them before the search needs them."""
    return tuple(_read(LESSONS))


def _read(folder: Path) -> list[Lesson]:
    lessons = []
    for path in sorted(folder.glob("*.md")):
        if not path.resolve().is_relative_to(folder.resolve()):
            raise CourseError(
                f"{path.name}: a link that leads out of the lessons: put the file there"
            )
        try:
            lessons.append(parse_lesson(path.read_text(encoding="utf-8"), path.name))
        except (OSError, UnicodeDecodeError) as error:
            raise CourseError(f"{path.name}: cannot be read as UTF-8 text: {error}") from error
    if not lessons:
        raise CourseError(f"no lesson (*.md) in {folder}")
    lessons.sort(key=lambda lesson: lesson.number)
    numbers = [lesson.number for lesson in lessons]
    if doubles := {n for n in numbers if numbers.count(n) > 1}:
        raise CourseError(f"two lessons have the number {sorted(doubles)[0]}")
    return lessons
