"""`tutor ask`: one question, or a file of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tutor.agent.record import answer_record
from tutor.agent.trace import TOP, event_record
from tutor.agent.turn import Acted, Answer, Delta, Done, Exchange, Performed, Retrieved, TurnEvent
from tutor.cli.decoding import settings_of
from tutor.cli.main import UseError
from tutor.cli.output import (
    batch_id,
    known_lesson,
    print_json,
    progress_bars,
    read_batch,
    read_text,
    say,
)
from tutor.engine.settings import Sampling
from tutor.home import Home
from tutor.settings import Settings
from tutor.text import plain

if TYPE_CHECKING:
    from tutor.agent.tutor import Tutor


@dataclass(frozen=True, slots=True)
class _Item:
    """A conversation to have, of which the last turn's answer is wanted."""

    id: str | int
    turns: list[str]
    lesson: int | None


def run_ask(arguments: argparse.Namespace) -> int:
    """Answers to stdout; with `--json` one object (one a line with `--batch`)."""
    home = Home.locate().create()
    settings = settings_of(arguments, home)
    known_lesson(arguments.lesson)
    if arguments.batch:
        items = list(_items(arguments))
    else:
        question = read_text(arguments.question, "a question")
        items = [_Item("", [question], arguments.lesson)]

    from tutor.agent.opening import open_tutor
    from tutor.agent.question import QuestionError, checked
    from tutor.engine.errors import EngineError

    if not arguments.batch:
        checked(items[0].turns[0])
    with ExitStack() as stack:
        # Opened before the model is loaded: a file that cannot be written is told at once.
        trace = stack.enter_context(_writable(arguments.trace)) if arguments.trace else None
        with progress_bars() as report:
            tutor = open_tutor(home, settings, report)
        stack.callback(tutor.close)
        asker = _Asker(tutor, settings, arguments, trace)
        failed = False
        for item in items:
            try:
                answer = asker.answer(item)
            except (QuestionError, EngineError) as error:
                if not arguments.batch:
                    raise
                failed = True
                print_json({"id": item.id, "error": str(error)})
                continue
            if arguments.batch:
                print_json(answer_record(answer) | {"id": item.id})
            elif arguments.json:
                print_json(answer_record(answer))
        return 1 if failed else 0


def _writable(name: str) -> TextIO:
    try:
        return Path(name).open("w", encoding="utf-8")
    except OSError as error:
        raise UseError(f"{name} cannot be written: {error.strerror}") from error


def _items(arguments: argparse.Namespace) -> Iterator[_Item]:
    """The batch. Raises UseError naming the line that asks for what cannot be."""
    for n, (where, value) in enumerate(read_batch(arguments.batch, arguments.question), start=1):
        turns = value.get("turns", [value.get("question")])
        lesson = value.get("lesson")
        if not isinstance(turns, list) or not turns or not all(isinstance(t, str) for t in turns):
            raise UseError(f'{where}: give "question": TEXT or "turns": [TEXT, ...]')
        if isinstance(lesson, bool) or not isinstance(lesson, int | None):
            raise UseError(f'{where}: "lesson" is a number')
        try:
            known_lesson(lesson)
        except UseError as error:
            raise UseError(f"{where}: {error}") from error
        yield _Item(
            batch_id(where, value, n), turns, arguments.lesson if lesson is None else lesson
        )


class _Asker:
    """Has conversations. What one changes (knobs, adapter) holds until its end, no longer."""

    def __init__(
        self,
        tutor: Tutor,
        settings: Settings,
        arguments: argparse.Namespace,
        trace: TextIO | None,
    ) -> None:
        self._tutor = tutor
        self._settings = settings
        self._arguments = arguments
        self._trace = trace

    def answer(self, item: _Item) -> Answer:
        """The last turn's answer. Raises QuestionError or EngineError."""
        self._tutor.use(self._settings.adapter, self._settings.adapter_scale)
        history: list[Exchange] = []
        knobs = self._settings.sampling
        for question in item.turns:
            answer = self._turn(item, question, history, knobs)
            knobs = answer.settings
            history.append(answer.exchange)
        return answer

    def _turn(self, item: _Item, question: str, history: list[Exchange], knobs: Sampling) -> Answer:
        arguments = self._arguments
        shown = not (arguments.json or arguments.batch)
        printer = _Printer(self._tutor, knobs, rag=not arguments.no_rag) if shown else None
        answer: Answer | None = None
        for event in self._tutor.ask(
            question,
            history,
            lesson=item.lesson,
            sampling=lambda: knobs,
            rag=not arguments.no_rag,
            id=str(item.id),
            top=TOP if self._trace else 0,
        ):
            if isinstance(event, Delta) and self._trace:
                record: dict[str, Any] = {"question_id": item.id} if arguments.batch else {}
                record |= event_record(event.event, self._tutor.engine.token_text)
                self._trace.write(json.dumps(record, ensure_ascii=False) + "\n")
            elif isinstance(event, Acted) and event.performed.adapter is not None:
                self._tutor.use(event.performed.adapter, self._settings.adapter_scale)
            elif isinstance(event, Done):
                answer = event.answer
            if printer:
                printer.show(event)
        assert answer is not None, "a turn ends with Done"
        return answer


class _Printer:
    """Shows a turn while it happens: the answer on stdout, what is sure first."""

    def __init__(self, tutor: Tutor, knobs: Sampling, *, rag: bool) -> None:
        self._tutor = tutor
        self._knobs = knobs
        self._rag = rag
        self._said = False

    def show(self, event: TurnEvent) -> None:
        """Prints what a reader is to see of an event."""
        if isinstance(event, Acted):
            self._acted(event.performed)
        elif isinstance(event, Retrieved):
            print(plain(event.text), end="\n\n", flush=True)
        elif isinstance(event, Delta):
            if not self._said and self._rag:
                acting = self._tutor.engine.adapter
                variant = f" + {acting.name} x{acting.scale:g}" if acting else ""
                say(f"{self._tutor.info.name}{variant}, in its own words (unchecked):")
            self._said = True
            print(plain(event.event.text), end="", flush=True)
        elif isinstance(event, Done):
            self._done(event.answer)

    def _acted(self, performed: Performed) -> None:
        if performed.screen or performed.undo:
            print("Only the app can do that, in a conversation: tutor")
            return
        print(plain(performed.text), flush=True)
        if performed.sampling not in (None, self._knobs) or performed.adapter is not None:
            print("This ends with this command; to keep a setting: tutor config set NAME VALUE")

    def _done(self, answer: Answer) -> None:
        from tutor.agent.turn import CUT, place_of

        print("\n" if self._said else "")
        if told := CUT.get(answer.stop_reason):
            say(f"({told})")
        for sentence in answer.sentences if self._rag else ():
            if not sentence.supported:
                print(f"[?] nothing in the lessons supports: {plain(sentence.text)}")
        if not answer.refused:
            for n, source in enumerate(answer.sources, start=1):
                say(f"[{n}] {place_of(source.lesson)}, {source.section}")
