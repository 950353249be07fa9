"""The reading exercises: answers that only the notes give, yes beside no."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from corpus import load_lessons
from corpus.lessons import CourseError
from corpus.reading import NOT_SAID, load_claims, load_exercises


def test_every_yes_stands_beside_a_no_on_the_same_notes() -> None:
    asked = {
        kind: Counter(e.notes for e in load_exercises() if e.kind == kind) for kind in ("yes", "no")
    }
    assert asked["yes"] == asked["no"]
    assert sum(asked["yes"].values()) >= 80


def test_numbers_of_an_answer_stand_in_its_notes_or_its_question() -> None:
    for exercise in load_exercises():
        given = set(re.findall(r"\d+", " ".join((*exercise.notes, exercise.question))))
        assert set(re.findall(r"\d+", exercise.answer)) <= given, exercise


def test_the_unanswerable_ones_all_say_so_in_the_same_words() -> None:
    assert {e.answer for e in load_exercises() if e.kind == "none"} == {NOT_SAID}


def test_claims_are_labelled_by_their_kind_and_name_a_section() -> None:
    known = {section.passage_id for lesson in load_lessons() for section in lesson.sections}
    true = {"verbatim", "shortened", "reworded", "joined", "answered", "pronoun"}
    claims = load_claims()
    assert len({claim.claim for claim in claims}) == len(claims) == 480
    for claim in claims:
        assert claim.passage_id in known, claim
        assert claim.supported == (claim.kind in true), claim


def test_a_line_ends_at_a_newline_and_nowhere_else(tmp_path: Path) -> None:
    fields = '"kind": "fact", "notes": ["one\u2028two"], "question": "q", "answer": "a"'
    (tmp_path / "e.jsonl").write_text(f"{{{fields}}}\n" * 2, encoding="utf-8")
    assert [e.notes for e in load_exercises(tmp_path / "e.jsonl")] == [("one\u2028two",)] * 2


def test_a_wrong_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text('{"kind": "fact"}')
    with pytest.raises(CourseError, match="line 1"):
        load_exercises(tmp_path / "e.jsonl")
