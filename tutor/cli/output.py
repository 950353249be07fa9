"""How commands read text, print JSON and show progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tutor.cli.main import UseError


def print_json(value: object) -> None:
    """One object on one line."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


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


def read_batch(name: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file (`-`: standard input). Raises UseError naming the line."""
    try:
        text = read_text("-", "") if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UseError(f"{name} cannot be read: {error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise UseError(f"{name}, line {number}: not JSON: {error}") from error
        if not isinstance(value, dict):
            raise UseError(f"{name}, line {number}: expected an object {{...}}")
        yield value


@contextmanager
def progress_bars() -> Iterator[Callable[[str, float], None]]:
    """A callback (stage, 0 to 1) that draws bars on a terminal's stderr and is silent elsewhere."""
    if not sys.stderr.isatty():
        yield lambda stage, done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0)
            bars.update(tasks[stage], completed=done)

        yield report
