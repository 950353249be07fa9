"""`tutor ask`: one question, or a file of them."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from tutor.agent.record import answer_record
from tutor.agent.trace import TOP, event_record
from tutor.agent.turn import Acted, Answer, Delta, Done, Exchange, Retrieved
from tutor.cli.decoding import settings_of
from tutor.cli.main import UseError
from tutor.cli.output import print_json, progress_bars, read_batch, read_text
from tutor.engine.settings import Sampling
from tutor.home import Home
from tutor.text import plain


def run_ask(arguments: argparse.Namespace) -> int:
    """Answers to stdout; with `--json` one object (one a line with `--batch`)."""
    home = Home.locate().create()
    settings = settings_of(arguments, home)
    if arguments.batch:
        asked = [_request(value, n) for n, value in enumerate(read_batch(arguments.batch), 1)]
    else:
        question = read_text(arguments.question, "a question")
        asked = [("", [question], arguments.lesson)]

    from tutor.agent.question import QuestionError, checked
    from tutor.agent.tutor import Tutor

    if not arguments.batch:
        checked(asked[0][1][0])
    with ExitStack() as stack:
        # Opened before the model is loaded: a file that cannot be written is told at once.
        trace = stack.enter_context(_writable(arguments.trace)) if arguments.trace else None
        with progress_bars() as report:
            tutor = Tutor.open(home, settings, report)
        stack.callback(tutor.close)
        numbers = [lesson.number for lesson in tutor.lessons]
        failed = False
        for id, turns, lesson in asked:
            lesson = lesson if lesson is not None else arguments.lesson
            if lesson is not None and lesson not in numbers:
                raise UseError(f"there is no lesson {lesson}: choose 1 to {max(numbers)}")
            history: list[Exchange] = []
            knobs = settings.sampling
            show = not arguments.json and not arguments.batch
            try:
                for n, question in enumerate(turns, start=1):
                    last = n == len(turns)
                    answer = _turn(
                        tutor,
                        question,
                        history,
                        lesson,
                        knobs,
                        arguments,
                        id,
                        show and last,
                        trace,
                    )
                    knobs = answer.settings
                    best = answer.sources[0].passage_id if answer.sources else None
                    history.append(Exchange(question, answer.text, best))
            except QuestionError as error:
                if not arguments.batch:
                    raise
                failed = True
                print_json({"id": id, "error": str(error)})
                continue
            if not show:
                print_json(answer_record(answer))
        return 1 if failed else 0


def _writable(name: str) -> TextIO:
    try:
        return Path(name).open("w", encoding="utf-8")
    except OSError as error:
        raise UseError(f"{name} cannot be written: {error.strerror}") from error


def _request(value: dict[str, Any], number: int) -> tuple[str, list[str], int | None]:
    turns = value.get("turns", [value.get("question")])
    lesson = value.get("lesson")
    if not isinstance(turns, list) or not turns or not all(isinstance(t, str) for t in turns):
        raise UseError(f'question {number}: give "question": TEXT or "turns": [TEXT, ...]')
    if lesson is not None and not isinstance(lesson, int):
        raise UseError(f'question {number}: "lesson" is a number')
    return str(value.get("id", number)), turns, lesson


def _turn(
    tutor: Any,
    question: str,
    history: list[Exchange],
    lesson: int | None,
    sampling: Sampling,
    arguments: argparse.Namespace,
    id: str,
    show: bool,
    trace: TextIO | None,
) -> Answer:
    answer: Answer | None = None
    said = False

    for event in tutor.ask(
        question,
        history,
        lesson=lesson,
        sampling=lambda: sampling,
        rag=not arguments.no_rag,
        id=id,
        top=TOP if trace else 0,
    ):
        if isinstance(event, Delta) and trace:
            record = {"question_id": id} if id else {}
            record |= event_record(event.event, tutor.engine.token_text)
            trace.write(json.dumps(record, ensure_ascii=False) + "\n")
        if isinstance(event, Acted) and event.performed.adapter is not None:
            tutor.use(event.performed.adapter)
        if isinstance(event, Acted) and show:
            print(plain(event.performed.text), flush=True)
        elif isinstance(event, Retrieved) and show:
            print(plain(event.text), end="\n\n", flush=True)
        elif isinstance(event, Delta) and show:
            if not said and not arguments.no_rag:
                acting = tutor.engine.adapter
                variant = f" + {acting.name} x{acting.scale:g}" if acting else ""
                print(f"{tutor.info.name}{variant}, in its own words (unchecked):")
            said = True
            print(plain(event.event.text), end="", flush=True)
        elif isinstance(event, Done):
            answer = event.answer
    assert answer is not None, "a turn ends with Done"
    if show:
        print("\n" if said else "")
        for sentence in answer.sentences if not arguments.no_rag else ():
            if not sentence.supported:
                print(f"[?] nothing in the lessons supports: {plain(sentence.text)}")
        if not answer.refused:
            for n, source in enumerate(answer.sources, start=1):
                print(f"[{n}] lesson {source.lesson}, {source.section}")
    return answer
