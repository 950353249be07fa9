"""The list of lessons: which one is open, and how much of each has been read."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from corpus import Lesson


class LessonList(OptionList):
    """The lessons; Enter or a click opens one."""

    def __init__(self) -> None:
        super().__init__(id="lessons", classes="panel", markup=False)
        self.border_title = "Lessons"
        self.read: set[str] = set()
        """The sections that were read, by their passage ids."""
        self._shown: tuple[list[Lesson], int | None] = ([], None)

    def show(self, lessons: list[Lesson], opened: int | None) -> None:
        """Draws the list anew: a tick for a lesson read whole, a half for one begun."""
        self._shown = (lessons, opened)
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        lessons, opened = self._shown
        at = self.highlighted
        room = self.scrollable_content_region.width - 2
        self.clear_options()
        for lesson in lessons:
            done = sum(section.passage_id in self.read for section in lesson.sections)
            mark = "✓" if done == len(lesson.sections) else "◐" if done else "·"
            here = "▸" if lesson.number == opened else " "
            row = Text(f"{here}{lesson.number:>2} {lesson.title}")
            row.truncate(max(room - 2, 1), overflow="ellipsis", pad=True)
            self.add_option(Option(row.append(f" {mark}"), id=str(lesson.number)))
        self.highlighted = at
