"""The course: thirteen lessons in Markdown and the loader that checks them."""

from corpus.lessons import CourseError, Demonstration, Lesson, Section, load_lessons

__all__ = ["CourseError", "Demonstration", "Lesson", "Section", "load_lessons"]
