"""The conversation: one widget a turn, the quoted evidence first, the model's words after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from tutor.agent.prompt import Prompt
from tutor.agent.record import exchange, kept_record, struck
from tutor.agent.turn import CUT, Exchange, place_of
from tutor.engine.events import TokenEvent
from tutor.sessions.store import StoredMessage
from tutor.text import plain

SHOWN = 10
"""Turns of a stored conversation that are shown at once."""

REMEMBERED = 200
"""Messages that a later question may stand on."""

_Stored: TypeAlias = tuple[str, StoredMessage | None]
_DAMAGED = "what was kept beside this answer is damaged: ask again to see its sources"


class SourceLink(Static, can_focus=True):
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

    def __init__(self, question: str) -> None:
        super().__init__(classes="turn -silent")
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
        self._stream: MarkdownStream | None = None

    def compose(self) -> ComposeResult:
        yield Static("You", classes="speaker")
        yield Static(plain(self.question), classes="question", markup=False)
        yield Static("Tutor", classes="speaker")
        yield Markdown(classes="evidence", open_links=False)
        yield Vertical(classes="sources")
        yield Static("", classes="state", markup=False)

    async def show_evidence(self, text: str, sources: list[dict[str, Any]]) -> None:
        """The part that is true by construction, and links to where it stands."""
        cited = [source["passage_id"] for source in sources]
        if (text, cited) == (self.evidence, self._cited):
            return  # drawing it once more would hold up the keys
        self.evidence, self._cited = text, cited
        await self.query_one(".evidence", Markdown).update(plain(text))
        box = self.query_one(".sources", Vertical)
        await box.remove_children()
        await box.mount_all([SourceLink(n, s) for n, s in enumerate(sources, start=1)])

    async def add_words(self, fragment: str) -> None:
        """More of the model's words, marked as unchecked."""
        self.words += fragment
        if self._stream is None:
            label, words = await self._own_words()
            label.update("the model's own words, unchecked:")
            self._stream = Markdown.get_stream(words)
        self.set_class(not self.words.strip(), "-silent")
        await self._stream.write(plain(fragment))

    async def _own_words(self) -> tuple[Static, Markdown]:
        """What they are, and they: made when they begin, since a new turn holds up the keys."""
        if not self.query(".words"):
            label = Static("", classes="label", markup=False)
            words = Markdown(classes="words", open_links=False)
            await self.mount_all([label, words], before=".sources")
        return self.query_one(".label", Static), self.query_one(".words", Markdown)

    async def clear_words(self) -> None:
        """Takes the model's words away, for a branch to write its own."""
        await self.end_words()
        self.words = ""
        self.events = []
        for words in self.query(".words").results(Markdown):
            await words.update("")

    async def end_words(self) -> None:
        """The model says no more."""
        if self._stream:
            await self._stream.stop()
            self._stream = None

    async def on_unmount(self) -> None:
        await self.end_words()

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
        await self.end_words()
        streamed, self.words = self.words.strip(), record["model_text"]
        self.set_class(not self.words, "-silent")
        if self.words:
            label, words = await self._own_words()
            if (checked := struck(record)) != streamed:
                await words.update(plain(checked))
            held = sum(sentence["supported"] for sentence in sentences)
            unsupported = " (the others are struck)" if held < len(sentences) else ""
            label.update(
                f"the model's own words ({variant(record)}); the lessons support {held} of "
                f"their {len(sentences)} sentences{unsupported}:"
            )
        if told := CUT.get(record["stop_reason"]):
            self.show_state(told)

    def show_state(self, text: str) -> None:
        """A line below the answer: thinking, stopped, what went wrong."""
        self.query_one(".state", Static).update(plain(text))


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
        self.update(f"▲ {turns:,} earlier turns: Enter or a click shows {min(turns, SHOWN)} more")

    def action_show(self) -> None:
        self.post_message(self.Wanted())

    def on_click(self) -> None:
        self.action_show()


class Conversation(VerticalScroll):
    """The newest turns; it follows the newest text until the reader scrolls up.

    However long a conversation is, few of its turns are widgets: making a thousand takes half a
    minute.
    """

    def __init__(self) -> None:
        super().__init__(id="conversation", can_focus=True)
        self._above = 0

    def on_mount(self) -> None:
        self.anchor()

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
        """Shows some turns more of the same conversation above the first one."""
        first = max(self._above - SHOWN, 0)
        top = next(iter(self.query(Turn)), None)
        await self._mount(_turns(messages)[first : self._above], before=top)
        self._above = first
        self._count()
        if top is not None:
            self.release_anchor()
            self.call_after_refresh(self.scroll_to_widget, top, animate=False, top=True)

    async def begin(self, question: str) -> Turn:
        """A new turn at the end; the oldest ones go where there are many."""
        turns = list(self.query(Turn))
        if len(turns) >= 3 * SHOWN:
            gone = turns[:-SHOWN]
            await self.remove_children(gone)
            self._above += len(gone)
        if not self.query(Earlier):
            await self.mount(Earlier(), before=0)
        self._count()
        turn = Turn(question)
        await self.mount(turn)
        self.anchor()
        return turn

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
