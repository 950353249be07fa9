"""The lesson reader: sections as an outline beside the text; what was seen counts as read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from corpus import Lesson
from tutor.demos.registry import NAMES
from tutor.tui.keys import Keys


class Reader(ModalScreen[str | None]):
    """One lesson. Closes with a question to ask about a section, or with nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "back"),
        Binding("a", "ask", "ask about this section"),
        Binding("d", "demos", "demonstrations"),
    ]

    class DemosWanted(Message):
        """The learner wants to see one of the lesson's demonstrations."""

        def __init__(self, names: Sequence[str]) -> None:
            super().__init__()
            self.names = names

    def __init__(
        self, lesson: Lesson, passage_id: str | None, mark_read: Callable[[str], None]
    ) -> None:
        super().__init__()
        self.lesson = lesson
        self.passage_id = passage_id
        self._mark_read = mark_read
        self._demos = [demo for demo in lesson.demos if demo.name in NAMES]

    def compose(self) -> ComposeResult:
        # With pygments: the first frame goes without them.
        from textual.widgets import Markdown

        with Horizontal(id="reader"):
            outline = OptionList(
                *(Option(section.heading) for section in self.lesson.sections),
                id="outline",
                markup=False,
            )
            outline.border_title = f"Lesson {self.lesson.number}"
            yield outline
            with VerticalScroll(id="page") as page:
                page.border_title = self.lesson.title
                if self._demos:
                    page.border_subtitle = f"d: {len(self._demos)} to try"
                for section in self.lesson.sections:
                    marked = section.passage_id == self.passage_id
                    yield Markdown(
                        f"## {section.heading}\n\n{section.text}",
                        classes="section cited" if marked else "section",
                        open_links=False,
                    )
                    for demo in self._demos:
                        if demo.section == section.heading:
                            yield Static(f"▸ {demo.invite} (d)", classes="invite", markup=False)
        yield Keys()

    def on_mount(self) -> None:
        ids = [section.passage_id for section in self.lesson.sections]
        place = ids.index(self.passage_id) if self.passage_id in ids else 0
        outline = self.query_one("#outline", OptionList)
        outline.focus()
        # The sections know their heights only after they have been laid out.
        self.call_after_refresh(lambda: setattr(outline, "highlighted", place))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        section = list(self.query(".section"))[event.option_index]
        self.query_one("#page", VerticalScroll).scroll_to_widget(section, top=True, animate=False)
        self._mark_read(self.lesson.sections[event.option_index].passage_id)

    def action_demos(self) -> None:
        if self._demos:
            self.post_message(self.DemosWanted([demo.name for demo in self._demos]))
        else:
            self.notify("this lesson has no demonstration", severity="warning")

    def action_ask(self) -> None:
        place = self.query_one("#outline", OptionList).highlighted or 0
        self.dismiss(self.lesson.sections[place].heading)
