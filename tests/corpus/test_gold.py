from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from corpus import SPLITS, CourseError, GoldQuestion, Lesson, load_gold, load_lessons
from corpus.gold import normalised, states

EVERY = [question for split in SPLITS for question in load_gold(split)]
SECTIONS = {s.passage_id: s for lesson in load_lessons() for s in lesson.sections}


@pytest.fixture(scope="module")
def lessons() -> list[Lesson]:
    return load_lessons()


def test_every_section_that_is_named_exists() -> None:
    unknown = [(q.id, s) for q in EVERY for s in q.relevant if s not in SECTIONS]
    assert not unknown


def test_a_question_lies_in_the_lesson_of_its_section() -> None:
    wrong = [q.id for q in EVERY if q.section and q.section.split("/")[0] != str(q.lesson)]
    assert not wrong


def test_every_fact_stands_in_the_section_that_is_named() -> None:
    missing = [
        (q.id, fact)
        for q in EVERY
        if q.section
        for fact in q.facts
        if not states(f"{SECTIONS[q.section].heading}\n{SECTIONS[q.section].text}", fact)
    ]
    assert not missing


def test_every_reference_answer_states_every_fact() -> None:
    missing = [(q.id, f) for q in EVERY if q.answer for f in q.facts if not states(q.answer, f)]
    assert not missing


def test_every_section_is_asked_about_at_least_twice() -> None:
    asked = Counter(q.section for q in EVERY)
    assert not [section for section in SECTIONS if asked[section] < 2]


def test_a_lesson_has_at_least_forty_questions_of_many_kinds(lessons: list[Lesson]) -> None:
    for lesson in lessons:
        kinds = Counter(q.kind for q in EVERY if q.lesson == lesson.number)
        assert sum(kinds.values()) >= 40, lesson.title
        assert len(kinds) >= 9, f"{lesson.title}: {kinds}"
        assert kinds["follow-up"] >= 4, lesson.title


def test_at_least_eighty_questions_have_no_answer_in_the_lessons() -> None:
    assert sum(not q.answerable for q in EVERY) >= 80


def test_ids_are_unique_over_all_splits() -> None:
    assert len({q.id for q in EVERY}) == len(EVERY)


GOOD = {
    "id": "1-x",
    "lesson": 1,
    "section": "1/x",
    "kind": "what",
    "question": "What?",
    "answer": "A thing.",
    "facts": [["thing"]],
    "split": "dev",
}


def read(folder: Path, **changes: object) -> list[GoldQuestion]:
    (folder / "dev").mkdir()
    line = json.dumps(GOOD | changes)
    (folder / "dev" / "01.jsonl").write_text(f"{line}\n", encoding="utf-8")
    return load_gold("dev", folder)


def test_a_question_is_read_with_its_answer(tmp_path: Path) -> None:
    (question,) = read(tmp_path)
    assert question.answerable and question.relevant == {"1/x"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": None}, "together"),
        ({"kind": "nonsense"}, "does not fit"),
        ({"kind": "follow-up"}, "history"),
        ({"split": "test"}, "in the folder dev"),
        ({"facts": [[" "]]}, "empty phrasing"),
        ({"mood": "good"}, "Extra"),
    ],
)
def test_a_wrong_line_is_named_with_its_file(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(CourseError, match=rf"dev/01\.jsonl, line 1.*{message}"):
        read(tmp_path, **changes)


@pytest.mark.parametrize(
    ("text", "fact", "said"),
    [
        ("It divides every *logit*.", "divides every logit", True),
        ("49,152 tokens", "49152 tokens", True),
        ("The 2.5 GB file", "5 GB", False),
        ("It flattens.", "flat", False),
        ("a 576 × 576 matrix", "576 x 576", True),
        ("from -1 to 1", "1 to 1", True),
    ],
)
def test_a_fact_is_found_on_word_boundaries(text: str, fact: str, said: bool) -> None:
    assert states(text, [fact]) is said


def test_markup_and_digit_groups_do_not_count() -> None:
    assert normalised("**134,515,008** parameters") == "134515008 parameters"
