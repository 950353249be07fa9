"""What a new conversation begins with: what this is, and questions to press."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Enter, Focus
from textual.message import Message
from textual.widgets import Static

from tutor.tui.prose import marked_up

_WELCOME = """\
Ask anything about how language models work. The lessons' own sentences answer first; what the
small model adds stands below them, marked as its own words. Try one (Tab, Enter, or a click):
"""

_KEYS = """\
**F2** lessons · **F3** decoding settings · **F6** demonstrations · **F1** help · **Esc** stops
"""

EXAMPLES = (
    "Why does a high temperature make answers stranger?",
    "What is a token?",
    "Does a model learn from our chat?",
    "How much memory does a model with 1 billion parameters need?",
)


class Example(Static, can_focus=True):
    """A question that can be pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "ask this")]

    class Chosen(Message):
        """The learner wants to ask `question`."""

        def __init__(self, question: str) -> None:
            super().__init__()
            self.question = question

    class Near(Message):
        """The learner's cursor or pointer stands on `text`, which may be asked next."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, question: str) -> None:
        super().__init__(f"› {question}", markup=False)
        self.question = question

    def action_choose(self) -> None:
        self.post_message(self.Chosen(self.question))

    def on_click(self) -> None:
        self.action_choose()

    @on(Focus)
    @on(Enter)
    def _come_near(self) -> None:
        self.post_message(self.Near(self.question))


class Welcome(Vertical):
    """Shown until the first question is asked."""

    def compose(self) -> ComposeResult:
        # Textual's Markdown, a widget a paragraph and pygments to import, would hold up the first frame.
        yield Static("Welcome", classes="heading")
        yield Static(marked_up(_WELCOME), classes="prose")
        for question in EXAMPLES:
            yield Example(question)
        yield Static(marked_up(_KEYS), classes="prose")
