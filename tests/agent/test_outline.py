from __future__ import annotations

import pytest

from corpus import load_lessons
from tutor.agent.outline import named_lesson, outlined
from tutor.agent.turn import Acted, Done
from tutor.agent.tutor import Tutor

LESSONS = load_lessons()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("What is lesson 5 about?", 5),
        ("what is the 5th lesson about", 5),
        ("Explain chapter five", 5),
        ("Is this lesson like the second lesson?", 2),
        ("lesson no. 12, please", 12),
        ("what is lesson 99 about", 99),
        ("Which lesson is about tokens?", None),
        ("what is a lesson", None),
    ],
)
def test_a_lesson_is_named_by_a_number_in_digits_or_words(text: str, number: int | None) -> None:
    assert named_lesson(text) == number


def test_an_outline_is_the_lessons_own_summary_and_headings() -> None:
    told = outlined("what is lesson 5 about?", LESSONS)
    lesson = LESSONS[4]
    assert lesson.summary in told.text and lesson.title in told.text
    assert all(section.heading in told.text for section in lesson.sections)
    assert told.passage_id == lesson.sections[0].passage_id


@pytest.mark.parametrize("text", ["what is lesson 99 about", "summarize the lesson"])
def test_without_a_lesson_that_there_is_all_are_listed(text: str) -> None:
    told = outlined(text, LESSONS).text
    assert all(f"lesson {lesson.number}: {lesson.title}" in told for lesson in LESSONS)
    assert ("no lesson 99" in told) == ("99" in text)


def test_a_lesson_is_asked_for_in_plain_words(tutor: Tutor) -> None:
    acted, done = tutor.ask("could you tell me what lesson 8 is about?")
    assert isinstance(acted, Acted) and isinstance(done, Done)
    assert done.answer.intent == "outline" and LESSONS[7].summary in done.answer.text
    assert done.answer.sources[0].lesson == 8
