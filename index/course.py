"""The course as it is searched: its passages, and the questions of the bank that none answers.

Reading it from lessons and bank, with all checks, would be 54 ms of every start, and takes 17 as it
was read before: so it is kept in the cache, under a digest of their files and of the code that reads
them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from filelock import FileLock
from pydantic import TypeAdapter

from corpus import gold, lessons
from index import passages
from index.kept import keep_text, kept_text
from index.passages import Passage

_Known: TypeAlias = tuple[tuple[str, ...], str, tuple[int, ...]]
"""A question of the bank: its wordings, its answer, the places of the sentences that state it."""
_Kept: TypeAlias = tuple[str, int, str, str, str, tuple[str, ...], tuple[_Known, ...]]
"""A passage with its questions; as they are in a Passage, each wording repeats answer and places."""
_KEPT = TypeAdapter(tuple[tuple[_Kept, ...], tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class Course:
    """What a search finds, and what it should not take for found."""

    passages: tuple[Passage, ...]
    unanswered: tuple[str, ...] = ()
    """Questions that no lesson answers."""


def load_course(cache: Path | None = None) -> Course:
    """The course as it is shipped, from `cache` where it was read before. Raises CourseError."""
    if cache is None or (state := _state()) is None:
        return _read()
    folder = cache / "index"
    if (kept := kept_text(folder, "course", state)) is not None:
        found, unanswered = _KEPT.validate_json(kept)
        return Course(tuple(map(_unpacked, found)), unanswered)
    course = _read()
    # A course that cannot be kept is read again at the next start.
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        packed = (tuple(map(_packed, course.passages)), course.unanswered)
        with FileLock(cache / "index.lock"):
            keep_text(folder, "course", state, _KEPT.dump_json(packed))
    return course


def _read() -> Course:
    bank = gold.load_gold("train", gold.GOLD)
    return Course(
        tuple(passages.passages_of(lessons.load_lessons(lessons.LESSONS), bank)),
        tuple(q.question for q in bank if not q.answerable),
    )


def _state() -> Sequence[str] | None:
    """What the course is made from: the files of lessons and bank, and the code that reads them; None
    where one cannot be read, which its reader tells in better words."""
    code = (__file__, passages.__file__, lessons.__file__, gold.__file__)
    files = [
        *sorted(lessons.LESSONS.glob("*.md")),
        *sorted((gold.GOLD / "train").glob("*.jsonl")),
        *map(Path, code),
    ]
    try:
        return [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    except OSError:
        return None


def _packed(passage: Passage) -> _Kept:
    asked = zip(passage.questions, passage.answers, passage.stated, strict=True)
    known = tuple(
        (tuple(question for question, _, _ in some), answer, stated)
        for (answer, stated), some in groupby(asked, lambda one: one[1:])
    )
    p = passage
    return p.passage_id, p.lesson, p.title, p.section, p.text, p.sentences, known


def _unpacked(kept: _Kept) -> Passage:
    passage_id, lesson, title, section, text, sentences, known = kept
    return Passage(
        passage_id,
        lesson,
        title,
        section,
        text,
        sentences,
        tuple(question for questions, _, _ in known for question in questions),
        tuple(answer for questions, answer, _ in known for _ in questions),
        tuple(stated for questions, _, stated in known for _ in questions),
    )
