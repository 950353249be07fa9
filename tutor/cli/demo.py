"""`tutor demo`: the list of demonstrations, or one of them run with the running model."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tutor.cli.decoding import settings_of
from tutor.cli.main import UseError
from tutor.cli.output import print_json, progress_bars, read_text
from tutor.home import Home

if TYPE_CHECKING:
    from rich.console import Console

    from tutor.demos.demo import Shown


def run_demo(arguments: argparse.Namespace) -> int:
    """Prints what was asked to predict, what happened, and where the numbers come from."""
    from tutor.demos.registry import NAMES, demo

    if arguments.name is None:
        return _list(arguments, [demo(name) for name in NAMES])
    found = demo(arguments.name)
    # Wrong input is told before the model is loaded.
    inputs = found.parse(_values(found, arguments.input))
    home = Home.locate().create()
    settings = settings_of(arguments, home)

    from tutor.agent.opening import open_tutor
    from tutor.cli.console import PlainConsole
    from tutor.demos.demo import Run

    console = PlainConsole()
    prediction = found.predict(inputs)
    asking = not arguments.json and sys.stdin.isatty() and sys.stdout.isatty()
    guess = _guess(console, prediction) if asking else None
    with progress_bars() as report:
        tutor = open_tutor(home, settings, report)
        try:
            shown = found.run_alone(tutor.bench, inputs, Run(report))
        finally:
            tutor.close()
    if arguments.json:
        print_json(
            {
                "demo": shown.demo,
                "lesson": shown.lesson,
                "inputs": shown.inputs,
                "prediction": asdict(shown.prediction) | {"right": shown.right},
                "result": shown.result,
                "figures": [{"kind": type(f).__name__} | asdict(f) for f in shown.figures],
                "seen": shown.seen,
                "ask": list(shown.ask),
                "provenance": asdict(shown.provenance),
            }
        )
        return 0
    print_shown(console, shown, guess)
    return 0


def print_shown(console: Console, shown: Shown, guess: int | None = None) -> None:
    """The prediction and what came out, the figures, what was seen, and where it is from."""
    from tutor.drawing import draw

    right = shown.prediction.choices[shown.right]
    if guess is None:
        console.print(f"{shown.prediction.question}\n  {right}\n")
    else:
        console.print(f"{'As you said' if guess == shown.right else 'It was'}: {right}\n")
    colour = console.color_system is not None
    for figure in shown.figures:
        console.print(draw(figure, console.width, colour=colour))
        console.print()
    console.print(shown.seen)
    console.print("\n" + "\n".join(shown.provenance.lines), style="dim")
    console.print("ask: " + "  ".join(shown.ask), style="dim")


def _values(found: Any, given: list[str]) -> dict[str, Any]:
    """`name=value` inputs; whatever else was given is the free text."""
    values: dict[str, Any] = {}
    words = []
    for part in given:
        name, equals, value = part.partition("=")
        if equals and name.replace("-", "_") in found.input.model_fields:
            values[name.replace("-", "_")] = value
        else:
            words.append(part)
    if words:
        if found.text is None:
            raise UseError(
                f"{found.name} takes no text: give {_inputs(found) or 'no input'}, as NAME=VALUE"
            )
        values[found.text] = read_text(" ".join(words), "a text")
    return values


def _inputs(found: Any) -> str:
    return ", ".join(found.input.model_fields)


def _list(arguments: argparse.Namespace, demos: list[Any]) -> int:
    if arguments.json:
        print_json(
            {
                "demos": [
                    {
                        "demo": d.name,
                        "lesson": d.lesson,
                        "title": d.title,
                        "about": d.about,
                        "inputs": d.input.model_json_schema()["properties"],
                    }
                    for d in demos
                ]
            }
        )
        return 0
    for d in demos:
        print(f"{d.lesson:>2}  {d.name:<16} {d.about}\n{'':<21}{_inputs(d)}")
    return 0


def _guess(console: Any, prediction: Any) -> int | None:
    console.print(prediction.question)
    for n, choice in enumerate(prediction.choices, start=1):
        console.print(f"  {n}  {choice}")
    try:
        typed = input("Your guess (Enter: none): ").strip()
    except EOFError:  # Ctrl+D
        console.print()
        return None
    # Python reads no number of thousands of digits.
    short = typed.isdecimal() and len(typed) < 4
    inside = short and 1 <= int(typed) <= len(prediction.choices)
    return int(typed) - 1 if inside else None
