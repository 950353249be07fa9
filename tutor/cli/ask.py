"""`tutor ask`: one question, or a file of them."""

from __future__ import annotations

import argparse
from typing import Any

from tutor.agent.record import answer_record
from tutor.agent.turn import Answer, Delta, Done, Exchange, Retrieved
from tutor.cli.main import UseError
from tutor.cli.output import print_json, progress_bars, read_batch, read_text
from tutor.home import Home
from tutor.settings import Settings, from_environment, load, set_value
from tutor.text import plain


def settings_of(arguments: argparse.Namespace, home: Home) -> Settings:
    """Flag over variable over file over default. Raises SettingsError."""
    settings = from_environment(load(home.settings_file))
    for name in ("model", "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed"):
        if (value := getattr(arguments, name, None)) is not None:
            settings = set_value(settings, name, value)
    if arguments.max_tokens is not None:
        settings = set_value(settings, "max_tokens", arguments.max_tokens)
    return set_value(settings, "greedy", True) if arguments.greedy else settings


def run_ask(arguments: argparse.Namespace) -> int:
    """Answers to stdout; with `--json` one object (one a line with `--batch`)."""
    home = Home.locate().create()
    settings = settings_of(arguments, home)
    if arguments.adapter not in (None, "none"):
        raise UseError(f"there is no adapter {arguments.adapter!r}: only 'none' is installed")
    if arguments.batch:
        asked = [_request(value, n) for n, value in enumerate(read_batch(arguments.batch), 1)]
    else:
        question = read_text(arguments.question, "a question")
        asked = [("", [question], arguments.lesson)]

    from tutor.agent.question import QuestionError, checked
    from tutor.agent.tutor import Tutor

    if not arguments.batch:
        checked(asked[0][1][0])
    with progress_bars() as report:
        tutor = Tutor.open(home, settings, report)
    try:
        numbers = [lesson.number for lesson in tutor.lessons]
        failed = False
        for id, turns, lesson in asked:
            lesson = lesson if lesson is not None else arguments.lesson
            if lesson is not None and lesson not in numbers:
                raise UseError(f"there is no lesson {lesson}: choose 1 to {max(numbers)}")
            history: list[Exchange] = []
            show = not arguments.json and not arguments.batch
            try:
                for n, question in enumerate(turns, start=1):
                    last = n == len(turns)
                    answer = _turn(
                        tutor, question, history, lesson, settings, arguments, id, show and last
                    )
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
    finally:
        tutor.close()


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
    settings: Settings,
    arguments: argparse.Namespace,
    id: str,
    show: bool,
) -> Answer:
    answer: Answer | None = None
    said = False
    for event in tutor.ask(
        question,
        history,
        lesson=lesson,
        sampling=lambda: settings.sampling,
        rag=not arguments.no_rag,
        id=id,
    ):
        if isinstance(event, Retrieved) and show:
            print(plain(event.text), end="\n\n", flush=True)
        elif isinstance(event, Delta) and show:
            if not said and not arguments.no_rag:
                print(f"{tutor.info.name}, in its own words (unchecked):")
            said = True
            print(plain(event.event.text), end="", flush=True)
        elif isinstance(event, Done):
            answer = event.answer
    assert answer is not None, "a turn ends with Done"
    if show:
        print("\n" if said else "")
        if not answer.refused:
            for n, source in enumerate(answer.sources, start=1):
                print(f"[{n}] lesson {source.lesson}, {source.section}")
    return answer
