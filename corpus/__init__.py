"""The course: thirteen lessons in Markdown, the gold questions, and the loaders that check them.

`corpus.gold` is a module of its own: the app shows the lessons before any question is needed.
"""

from corpus.lessons import CourseError, Demonstration, Lesson, Section, load_lessons

__all__ = ["CourseError", "Demonstration", "Lesson", "Section", "load_lessons"]
