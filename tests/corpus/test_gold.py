"""The gold set is complete, tied to the lessons, and its splits do not touch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from corpus import CourseError, Lesson, load_lessons
from corpus.gold import SPLITS, UNANSWERABLE, GoldQuestion, load_gold, states
from index.encoder import Encoder
from index.shipped import ShippedEncoder

NEAR = 0.92
"""Two questions whose cosine is higher ask the same in nearly the same words."""


@pytest.fixture(scope="module")
def gold() -> list[GoldQuestion]:
    return [question for split in SPLITS for question in load_gold(split)]


@pytest.fixture(scope="module")
def lessons() -> dict[int, Lesson]:
    return {lesson.number: lesson for lesson in load_lessons()}


def of_lesson(gold: list[GoldQuestion], number: int) -> list[GoldQuestion]:
    return [question for question in gold if question.lesson == number]


@pytest.mark.parametrize("number", range(1, 14))
def test_a_lesson_has_forty_questions_of_many_kinds(gold: list[GoldQuestion], number: int) -> None:
    questions = of_lesson(gold, number)
    assert len(questions) >= 40
    kinds = {question.kind for question in questions}
    assert kinds >= {"what", "why", "how", "what-if", "misconception", "casual", "misspelled"}
    assert kinds & {"compare", "compute"} and "follow-up" in kinds


@pytest.mark.parametrize("number", range(1, 14))
def test_a_lesson_has_sixty_cards_with_four_more_wordings_each(
    gold: list[GoldQuestion], number: int
) -> None:
    cards = [q for q in of_lesson(gold, number) if q.split == "train"]
    assert len(cards) >= 60
    for card in cards:
        enough = 1 if card.history else 4
        assert len(set(card.wordings) - {card.question}) >= enough, card.id


@pytest.mark.parametrize("number", range(1, 14))
def test_every_section_is_asked_about_twice(
    gold: list[GoldQuestion], lessons: dict[int, Lesson], number: int
) -> None:
    asked = Counter(q.section for q in gold)
    for section in lessons[number].sections:
        assert asked[section.passage_id] >= 2, section.passage_id


@pytest.mark.parametrize("number", range(1, 14))
def test_every_named_section_exists_and_holds_the_facts_that_the_answer_states(
    gold: list[GoldQuestion], lessons: dict[int, Lesson], number: int
) -> None:
    known = {s.passage_id: s for lesson in lessons.values() for s in lesson.sections}
    for question in of_lesson(gold, number):
        assert question.relevant <= known.keys(), f"{question.id}: {question.relevant}"
        assert str(question.section).startswith(f"{number}/"), question.id
        section = known[str(question.section)]
        for fact in question.facts:
            assert states(f"{section.heading} {section.text}", fact), f"{question.id}: {fact}"
            assert states(str(question.answer), fact), f"{question.id}: answer lacks {fact}"


def test_eighty_questions_are_not_answered_by_the_lessons(gold: list[GoldQuestion]) -> None:
    kinds = Counter(question.kind for question in gold if not question.answerable)
    assert kinds.total() >= 80
    assert set(kinds) == UNANSWERABLE


def test_no_id_stands_twice(gold: list[GoldQuestion]) -> None:
    assert [id for id, n in Counter(question.id for question in gold).items() if n > 1] == []


def test_no_question_stands_in_two_splits_even_reworded(
    gold: list[GoldQuestion], encoder: Encoder
) -> None:
    # A follow-up means nothing without its history, so it is compared together with it.
    texts = [
        (q.split, " ".join((*q.history, wording)))
        for q in gold
        for wording in (q.question, *q.wordings)
    ]
    vectors = ShippedEncoder(encoder).encode([text for _, text in texts])
    for n, (split, text) in enumerate(texts):
        if split == "train":
            continue
        for m in (vectors @ vectors[n] > NEAR).nonzero()[0]:
            other, twin = texts[m]
            assert other == split, f"{split}: {text!r} ~ {other}: {twin!r}"


def test_a_line_ends_at_a_newline_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    line = '{"id":"a","kind":"nonsense","question":"one\u2028two","split":"train"}'
    (tmp_path / "train" / "01.jsonl").write_text(line, encoding="utf-8")
    assert [question.question for question in load_gold("train", tmp_path)] == ["one\u2028two"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a"', "line 1"),
        ('{"id":"a","kind":"what","question":"q","split":"train"}', "does not fit"),
        ('{"id":"a","kind":"nonsense","question":"q","split":"dev"}', "in the folder train"),
        ('{"id":"a","kind":"nonsense","question":"","split":"train"}', "at least 1 character"),
    ],
)
def test_a_wrong_line_is_refused_with_its_place(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "01.jsonl").write_text(line)
    with pytest.raises(CourseError, match=message):
        load_gold("train", tmp_path)
