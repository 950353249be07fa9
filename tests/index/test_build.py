from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from corpus import Lesson, load_lessons
from index.build import build, status
from index.retriever import Retriever


@pytest.fixture
def home(tmp_path: Path, cache: Path, retriever: Retriever) -> Path:
    """A cache of its own in which only the encoder is there already."""
    (tmp_path / "encoder").symlink_to(cache / "encoder")
    return tmp_path


@pytest.fixture
def lessons() -> list[Lesson]:
    return load_lessons()[:2]


def edited(lessons: list[Lesson]) -> list[Lesson]:
    first = lessons[0].sections[0]
    changed = (replace(first, text="A model is a function."), *lessons[0].sections[1:])
    return [replace(lessons[0], sections=changed), lessons[1]]


def test_a_second_build_does_nothing(home: Path, lessons: list[Lesson]) -> None:
    assert build(lessons, home).added == 30
    report = build(lessons, home)
    assert (report.added, report.unchanged) == (0, 30)


def test_an_edited_section_is_indexed_alone(home: Path, lessons: list[Lesson]) -> None:
    build(lessons, home)
    assert status(home, edited(lessons)).state == "stale"
    report = build(edited(lessons), home)
    assert (report.added, report.removed, report.unchanged) == (1, 1, 29)
    assert status(home, edited(lessons)).state == "ready"


def test_an_edited_lesson_is_searched_with_its_new_text(home: Path, lessons: list[Lesson]) -> None:
    Retriever.open(home, lessons)
    hits = Retriever.open(home, edited(lessons)).search("What is a model, in one sentence?", 1)
    assert hits[0].passage.text == "A model is a function."


def test_a_damaged_index_is_told_and_rebuilt(home: Path, lessons: list[Lesson]) -> None:
    build(lessons, home)
    script = (
        "import sys; from pathlib import Path; from index.build import build, status;"
        "from corpus import load_lessons; L = load_lessons()[:2]; H = Path(sys.argv[1]);"
        "print(status(H, L).state); build(L, H); print(status(H, L).state)"
    )
    (home / "index" / "chroma" / "chroma.sqlite3").write_bytes(b"garbage" * 1000)
    # A process of its own: Chroma keeps an open handle on the whole file in this one.
    done = subprocess.run(
        [sys.executable, "-c", script, str(home)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["damaged", "ready"]


def test_two_processes_may_build_at_once(home: Path, lessons: list[Lesson]) -> None:
    script = (
        "import sys; from pathlib import Path; from index.build import build;"
        "from corpus import load_lessons; build(load_lessons()[:2], Path(sys.argv[1]))"
    )
    both = [subprocess.Popen([sys.executable, "-c", script, str(home)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert status(home, lessons).state == "ready"


def test_a_missing_index_is_said_to_be_missing(home: Path, lessons: list[Lesson]) -> None:
    assert status(home, lessons).state == "missing"
