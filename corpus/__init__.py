"""The course: thirteen lessons in Markdown, the gold questions, and the loaders that check them."""

from corpus.gold import SPLITS, GoldQuestion, Split, load_gold
from corpus.lessons import CourseError, Demonstration, Lesson, Section, load_lessons

__all__ = [
    "SPLITS",
    "CourseError",
    "Demonstration",
    "GoldQuestion",
    "Lesson",
    "Section",
    "Split",
    "load_gold",
    "load_lessons",
]
