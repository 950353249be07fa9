"""What a lesson is about: its summary and its sections, as the course has them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from corpus.lessons import Lesson
from tutor.agent.turn import Performed

# The group that matches tells the number.
_IN_WORDS = re.compile(
    "(one|first)|(two|second)|(three|third)|(four|fourth)|(five|fifth)|(six|sixth)|(seven|seventh)"
    "|(eight|eighth)|(nine|ninth)|(ten|tenth)|(eleven|eleventh)|(twelve|twelfth)"
    "|(thirteen|thirteenth)"
)
_NUMBER_AFTER = re.compile(r"\b(?:lesson|chapter)\s+(?:no\.?\s*|number\s+)?(\w+)")
_NUMBER_BEFORE = re.compile(r"(\w+)\s+(?:lesson|chapter)\b")


def named_lesson(text: str) -> int | None:
    """The number of the lesson that a text names: "lesson 5", "chapter five", "the 5th lesson"."""
    for pattern in (_NUMBER_AFTER, _NUMBER_BEFORE):
        for said in pattern.findall(text.lower()):
            if digits := re.fullmatch(r"(\d{1,4})(?:st|nd|rd|th)?", said, re.ASCII):
                return int(digits[1])
            if words := _IN_WORDS.fullmatch(said):
                return words.lastindex
    return None


def outlined(text: str, lessons: Sequence[Lesson]) -> Performed:
    """The outline of the lesson that is named, or of the whole course where none is."""
    number = named_lesson(text)
    lesson = next((lesson for lesson in lessons if lesson.number == number), None)
    if lesson is None:
        told = "The lessons" if number is None else f"There is no lesson {number}. The lessons"
        titles = "\n".join(f"- lesson {one.number}: {one.title}" for one in lessons)
        return Performed(f"{told}:\n\n{titles}")
    sections = "\n".join(f"- {section.heading}" for section in lesson.sections)
    return Performed(
        f"Lesson {lesson.number}, **{lesson.title}**: {lesson.summary}\n\n"
        f"What it answers:\n\n{sections}",
        passage_id=lesson.sections[0].passage_id,
    )
