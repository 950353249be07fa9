"""The conversation: one widget a turn, the quoted evidence first, the model's words after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive
from textual.widgets import Static

from tutor.agent.prompt import Prompt
from tutor.agent.record import exchange, kept_record, struck
from tutor.agent.turn import CUT, Exchange, place_of
from tutor.engine.events import TokenEvent
from tutor.sessions.store import StoredMessage
from tutor.text import plain
from tutor.tui.prose import marked_up
from tutor.tui.steady import Steady

SHOWN = 5
"""Turns of a stored conversation that are shown at once. Each is eight widgets or so, which are all
laid out anew each time that an answer grows."""

GROWTH = 4
"""Lines by which the model's words grow while they stream: each growth moves all that is shown, and
to draw that anew takes time from the model and from the keys."""

REMEMBERED = 200
"""Messages that a later question may stand on."""

_Stored: TypeAlias = tuple[str, StoredMessage | None]
_DAMAGED = "what was kept beside this answer is damaged: ask again to see its sources"


class SourceLink(Steady, can_focus=True):
    """A source of an answer; pressing it opens the lesson at the passage."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "open the lesson here")]

    class Opened(Message):
        """The learner wants to read `passage_id`."""

        def __init__(self, passage_id: str) -> None:
            super().__init__()
            self.passage_id = passage_id

    def __init__(self, number: int, source: dict[str, Any]) -> None:
        super().__init__(
            f"[{number}] {place_of(source['lesson'])} · {source['section']}", markup=False
        )
        self.passage_id: str = source["passage_id"]

    def action_open(self) -> None:
        self.post_message(self.Opened(self.passage_id))

    def on_click(self) -> None:
        self.action_open()


class Turn(Vertical):
    """A question, the evidence, the model's own words, the sources."""

    virtual_size = Reactive(Size(0, 0))
    """As of what it consists of: not a reason for another layout."""

    def __init__(self, question: str) -> None:
        super().__init__(classes="turn")
        self.question = question
        self.message: int | None = None
        """The stored answer that is shown."""
        self.record: dict[str, Any] | None = None
        self.evidence = ""
        self.words = ""
        self._cited: list[str] = []
        # Appended to by the worker while it answers, read by whoever looks inside.
        self.prompt: Prompt | None = None
        self.events: list[TokenEvent] = []
        self.cached_tokens = 0

    def compose(self) -> ComposeResult:
        # Every widget of a turn holds up the keys: who speaks is a title.
        question = Steady(plain(self.question), classes="question", markup=False)
        question.border_title = "You"
        evidence = Steady(classes="evidence")
        evidence.border_title = "Tutor"
        label, words = Steady(classes="label"), Steady(classes="words")
        label.display = words.display = False
        yield from (question, evidence, label, words, Steady(classes="state"))

    def on_unmount(self) -> None:
        self.refresh()  # as what it consists of does: nothing of it is kept

    async def show_evidence(self, text: str, sources: list[dict[str, Any]]) -> None:
        """The part that is true by construction, and links to where it stands."""
        cited = [source["passage_id"] for source in sources]
        if (text, cited) == (self.evidence, self._cited):
            return  # drawing it once more would hold up the keys
        self.evidence, self._cited = text, cited
        self._draw("evidence", text)
        await self.query(SourceLink).remove()
        links = [SourceLink(n, source) for n, source in enumerate(sources, start=1)]
        await self.mount_all(links, before=".state")

    def _draw(self, part: str, text: str) -> None:
        """Draws a part of the turn, whatever it holds, as one widget."""
        self.query_one(f".{part}", Steady).update(marked_up(plain(text)))

    def add_words(self, fragment: str) -> None:
        """More of the model's words, marked as unchecked."""
        self.words += fragment
        self._tell_words("the model's own words, unchecked:")
        # What they mark up is drawn once all of them are there.
        words = self.query_one(".words", Steady)
        words.lines_at_once = GROWTH
        words.update(Content(plain(self.words.lstrip())))

    def _tell_words(self, told: str) -> None:
        """Says what the model's words are, and shows them if there are any."""
        label = self.query_one(".label", Steady)
        # By a class of the turn, all within it would be styled anew.
        label.display = self.query_one(".words").display = bool(self.words.strip())
        label.update(Content(told))

    def clear_words(self) -> None:
        """Takes the model's words away, for a branch to write its own."""
        self.words = ""
        self.events = []
        self._draw("words", "")

    async def show_message(self, message: StoredMessage) -> None:
        """An answer as the store has it: whole, cut off by the end of the app, or damaged."""
        self.message = message.id
        if (record := kept_record(message.answer)) is not None:
            await self.show_record(record)
        else:
            await self.show_evidence(message.text, [])
            self.show_state(_DAMAGED if message.answer else "stopped before its end")

    async def show_record(self, record: dict[str, Any]) -> None:
        """A finished answer, as it was stored."""
        self.record = record
        if record["answer_source"] != "model":
            await self.show_evidence(record["answer"], record["sources"])
        sentences = record["grounding"]["sentences"]
        self.words = record["model_text"]
        told = f"the model's own words ({variant(record)})"
        if sentences:  # none where it says that its notes do not tell
            held = sum(sentence["supported"] for sentence in sentences)
            unsupported = " (the others are struck)" if held < len(sentences) else ""
            told += f"; the lessons support {held} of their {len(sentences)} sentences{unsupported}"
        self._tell_words(f"{told}:")
        self.query_one(".words", Steady).lines_at_once = 1
        self._draw("words", struck(record))
        if cut := CUT.get(record["stop_reason"]):
            self.show_state(cut)

    def show_state(self, text: str) -> None:
        """A line below the answer: thinking, stopped, what went wrong."""
        self.query_one(".state", Steady).update(Content(plain(text)))


def variant(record: dict[str, Any]) -> str:
    """Who spoke: the adapter and how strongly it acted, or the base model."""
    name = record.get("adapter")
    return plain(f"adapter {name} x{record.get('adapter_scale', 1):g}") if name else "base model"


class Earlier(Static, can_focus=True):
    """Says how many turns stand above the shown ones; pressing it shows some of them."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "show", "show earlier turns")]

    class Wanted(Message):
        """The learner wants to see earlier turns."""

    def count(self, turns: int) -> None:
        """So many turns are not shown."""
        self.display = turns > 0
        self.update(f"▲ {turns:,} earlier turns: scroll up, or press Enter here")

    def action_show(self) -> None:
        self.post_message(self.Wanted())

    def on_click(self) -> None:
        self.action_show()


class Conversation(VerticalScroll):
    """The newest turns; it follows the newest text until the reader scrolls up.

    However long a conversation is, few of its turns are widgets: making a thousand takes half a
    minute. Who scrolls up to the first of them is shown some more.
    """

    def __init__(self) -> None:
        super().__init__(id="conversation", can_focus=True)
        self._above = 0

    def on_mount(self) -> None:
        self.anchor()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        # Where nothing is left to scroll, nobody has scrolled: what was shown has gone.
        if new_value <= 0 < old_value and self._above and self.max_scroll_y:
            self.post_message(Earlier.Wanted())

    async def show(self, messages: Sequence[StoredMessage]) -> None:
        """Shows the last turns of a stored conversation in place of what was there."""
        await self.remove_children()
        stored = _turns(messages)
        self._above = max(len(stored) - SHOWN, 0)
        if stored:
            await self.mount(Earlier())
            await self._mount(stored[self._above :])
        self._count()
        self.anchor()

    async def show_earlier(self, messages: Sequence[StoredMessage]) -> None:
        """Shows some turns more of the same conversation above the first one, if there are any."""
        if not self._above:
            return
        first = max(self._above - SHOWN, 0)
        top = next(iter(self.query(Turn)), None)
        await self._mount(_turns(messages)[first : self._above], before=top)
        self._above = first
        self._count()
        if top is not None:
            self.release_anchor()
            self.call_after_refresh(self.scroll_to_widget, top, animate=False, top=True)

    async def begin(self, question: str) -> Turn:
        """A new turn at the end."""
        if not self.query(Earlier):
            await self.mount(Earlier(), before=0)
        self._count()
        turn = Turn(question)
        await self.mount(turn)
        self.anchor()
        return turn

    async def tidy(self) -> None:
        """Takes the oldest turns off the screen where there are many and nobody reads them."""
        turns = list(self.query(Turn))
        # Another screen may look inside one of them.
        read = not self.is_vertical_scroll_end or not self.screen.is_active
        if len(turns) >= 2 * SHOWN and not read:
            gone = turns[:-SHOWN]
            await self.remove_children(gone)
            self._above += len(gone)
            self._count()

    async def _mount(self, stored: Sequence[_Stored], before: Turn | None = None) -> None:
        turns = [Turn(question) for question, _ in stored]
        await self.mount_all(turns, before=before)
        for turn, (_, answer) in zip(turns, stored, strict=True):
            if answer is not None:
                await turn.show_message(answer)

    def _count(self) -> None:
        for line in self.query(Earlier):
            line.count(self._above)


def exchanges(messages: Sequence[StoredMessage]) -> list[Exchange]:
    """What was asked and answered in a stored conversation, oldest first."""
    return [
        exchange(question, answer.text, answer.answer)
        for question, answer in _turns(messages)
        if answer is not None and answer.text
    ]


def _turns(messages: Sequence[StoredMessage]) -> list[_Stored]:
    """Each question with its answer; None where it never began."""
    found: list[_Stored] = []
    waiting: list[int] = []
    for message in messages:
        if message.role == "user":
            waiting.append(len(found))
            found.append((message.text, None))
        elif found:
            place = _place_of(message, found, waiting)
            found[place] = (found[place][0], message)
            waiting = [n for n in waiting if n != place]
    return found


def _place_of(answer: StoredMessage, turns: Sequence[_Stored], waiting: list[int]) -> int:
    """The turn that an answer belongs to: the last one, or else the last one that it names.

    Two apps in one conversation may both ask before either of them is answered: then both turns are
    `waiting`.
    """
    if len(waiting) > 1 and (record := kept_record(answer.answer)) is not None:
        named = [n for n in waiting if turns[n][0] == record.get("question")]
        waiting = named or waiting
    return waiting[-1] if waiting else len(turns) - 1
