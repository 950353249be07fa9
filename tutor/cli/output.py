"""How commands read text, print JSON and show progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpus import Lesson, load_lessons
from tutor.cli.main import UseError
from tutor.text import plain


def print_json(value: object) -> None:
    """One object on one line; what a terminal would obey (DEL, C1, ...) is escaped too."""
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
    print(text, flush=True)


def say(text: str = "") -> None:
    """Text on stdout, without what a terminal would obey."""
    print(plain(text), flush=True)


def read_text(argument: str | None, what: str) -> str:
    """The argument, or standard input for `-`. Raises UseError where there is none."""
    if argument is None:
        raise UseError(f"give {what}, or - to read it from standard input")
    if argument != "-":
        return argument
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UseError("standard input is not UTF-8 text") from error


def read_batch(name: str, beside: object = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of a JSON-lines file (`-`: standard input), and the words for where it stands.

    Raises UseError naming the line, and where something else was given `beside` the file.
    """
    if beside is not None:
        raise UseError("give one text or --batch FILE, not both")
    try:
        text = read_text("-", "") if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UseError(f"{name} cannot be read: {error}") from error
    # Not splitlines: it would cut at U+2028 and others, which may stand inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            value = json.loads(line)
        # Not JSON, brackets without end, or (a ValueError too) a number of thousands of digits.
        except (ValueError, RecursionError) as error:
            raise UseError(f"{where}: not JSON: {error}") from error
        if not isinstance(value, dict):
            raise UseError(f"{where}: expected an object {{...}}")
        yield where, value


def batch_id(where: str, value: dict[str, Any], number: int) -> str | int:
    """The id given back with an answer, by default its place. Raises UseError for what is none."""
    id = value.get("id", str(number))
    if isinstance(id, bool) or not isinstance(id, str | int):
        raise UseError(f'{where}: "id" is a text or a whole number')
    return id


def known_lesson(number: int | None) -> Lesson | None:
    """The lesson of that number, none for None. Raises UseError where there is no such lesson."""
    if number is None:
        return None
    lessons = {lesson.number: lesson for lesson in load_lessons()}
    if number not in lessons:
        raise UseError(f"there is no lesson {number}: choose {min(lessons)} to {max(lessons)}")
    return lessons[number]


@contextmanager
def progress_bars() -> Iterator[Callable[[str, float], None]]:
    """A callback (stage, 0 to 1) that draws a bar on a terminal's stderr and is silent elsewhere."""
    if not sys.stderr.isatty():
        yield lambda stage, done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    words = TextColumn("{task.description}", markup=False)
    console = Console(stderr=True)
    with Progress(words, BarColumn(), TimeElapsedColumn(), console=console, transient=True) as bars:
        # One bar for all stages: the words of some stages change with every step.
        task = bars.add_task("", total=1.0)
        yield lambda stage, done: bars.update(task, description=stage, completed=done)
