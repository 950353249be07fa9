"""The list of lessons: which one is open, and how much of each has been read."""

from __future__ import annotations

from textual.widgets import OptionList
from textual.widgets.option_list import Option

from corpus import Lesson


class LessonList(OptionList):
    """The lessons; Enter or a click opens one."""

    def __init__(self) -> None:
        super().__init__(id="lessons", classes="panel", markup=False)
        self.border_title = "Lessons"

    def show(self, lessons: list[Lesson], read: set[str], opened: int | None) -> None:
        """Draws the list anew: a tick for a lesson read whole, a half for one begun."""
        at = self.highlighted
        self.clear_options()
        for lesson in lessons:
            done = sum(section.passage_id in read for section in lesson.sections)
            mark = "✓" if done == len(lesson.sections) else "◐" if done else "·"
            here = "▸" if lesson.number == opened else " "
            title = f"{here}{lesson.number:>2} {lesson.title}"
            self.add_option(Option(f"{title[:26]:<26} {mark}", id=str(lesson.number)))
        self.highlighted = at
