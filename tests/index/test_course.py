from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpus import CourseError, gold, lessons
from index import passages
from index.course import Course, load_course


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lessons of a course of its own, whose first one has a bank."""
    own = tmp_path / "lessons"
    own.mkdir()
    first, second = sorted(lessons.LESSONS.glob("*.md"))[:2]
    shutil.copy(first, own)
    shutil.copy(second, own)
    (tmp_path / "gold" / "train").mkdir(parents=True)
    for name in ("01.jsonl", "unanswerable.jsonl"):
        shutil.copy(gold.GOLD / "train" / name, tmp_path / "gold" / "train")
    monkeypatch.setattr(lessons, "LESSONS", own)
    monkeypatch.setattr(gold, "GOLD", tmp_path / "gold")
    return own


def test_what_was_kept_is_the_course_as_it_is_read(tmp_path: Path, files: Path) -> None:
    read = load_course()
    assert load_course(tmp_path / "cache") == read
    assert load_course(tmp_path / "cache") == read
    assert len(read.unanswered) > 1_000
    assert any(len(set(passage.stated)) > 1 for passage in read.passages)


def test_a_course_that_was_read_before_is_not_parsed_again(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = load_course(tmp_path / "cache")
    monkeypatch.setattr(passages, "passages_of", lambda *given: [])
    assert load_course(tmp_path / "cache") == read
    assert load_course() == Course((), read.unanswered)


def test_an_edited_lesson_is_read_again(tmp_path: Path, files: Path) -> None:
    before = load_course(tmp_path / "cache")
    with max(files.iterdir()).open("a") as lesson:
        lesson.write("\nOne more sentence.\n")
    after = load_course(tmp_path / "cache")
    assert after.passages[:-1] == before.passages[:-1]
    assert after.passages[-1].sentences[-1] == "One more sentence."


def test_a_lesson_that_is_gone_is_not_remembered(tmp_path: Path, files: Path) -> None:
    assert {passage.lesson for passage in load_course(tmp_path / "cache").passages} == {1, 2}
    max(files.iterdir()).unlink()
    assert {passage.lesson for passage in load_course(tmp_path / "cache").passages} == {1}


def test_one_that_is_damaged_in_the_cache_is_read_again(tmp_path: Path, files: Path) -> None:
    read = load_course(tmp_path / "cache")
    (kept,) = (tmp_path / "cache" / "index").glob("course-*.json")
    kept.write_bytes(kept.read_bytes().replace(b"model", b"mode1", 1))
    assert load_course(tmp_path / "cache") == read


def test_a_cache_that_cannot_be_written_costs_the_reading_alone(
    tmp_path: Path, files: Path
) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert load_course(tmp_path / "cache") == load_course()


def test_a_lesson_that_cannot_be_read_is_named(tmp_path: Path, files: Path) -> None:
    load_course(tmp_path / "cache")
    (files / "03-none.md").symlink_to(files / "nowhere.md")
    with pytest.raises(CourseError, match=r"03-none\.md: cannot be read"):
        load_course(tmp_path / "cache")
