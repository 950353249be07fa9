"""`tutor lora`: the training examples, the training, the export, and what an adapter is worth."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tutor.cli.decoding import kept_settings
from tutor.cli.main import UseError
from tutor.cli.output import print_json, progress_bars, say
from tutor.home import Home
from tutor.text import plain

if TYPE_CHECKING:
    from tutor.lora.train import Recipe


def run_data(arguments: argparse.Namespace) -> int:
    """Shows the examples that an adapter is trained on, and counts them by kind."""
    from index.course import load_course
    from index.retriever import Retriever
    from tutor.lora.dataset import examples

    with progress_bars() as report:
        cache = Home.locate().create().cache
        retriever = Retriever.open(cache, load_course(cache))
        found = examples(retriever, progress=lambda done: report("examples", done))
    counts = Counter(example.kind for example in found)
    shown = found[: arguments.inspect]
    if arguments.json:
        print_json(
            {
                "count": len(found),
                "kinds": dict(counts.most_common()),
                "examples": [
                    {"kind": e.kind, "notes": e.notes, "question": e.question, "answer": e.answer}
                    for e in shown
                ],
            }
        )
        return 0
    for example in shown:
        print(f"({example.kind})")
        for note in example.notes:
            print(f"  note:   {plain(note)}")
        print(f"  asked:  {plain(example.question)}\n  answer: {plain(example.answer)}\n")
    print(f"{len(found):,} examples: {', '.join(f'{k} {n}' for k, n in counts.most_common())}")
    return 0


def run_train(arguments: argparse.Namespace) -> int:
    """Trains an adapter and exports it; a killed training goes on where it was."""
    from index.course import load_course
    from index.retriever import Retriever
    from tutor.agent.opening import model_path
    from tutor.engine.engine import Engine
    from tutor.lora.dataset import encoded, examples
    from tutor.lora.export import export
    from tutor.lora.train import train

    name, recipe = _named(arguments.name), _recipe(arguments)
    home = Home.locate().create()
    settings = kept_settings(home)
    folder = home.cache / "lora" / name
    to = home.adapters / f"{name}.gguf"
    with progress_bars() as report:
        gguf = model_path(home, settings, report)
        retriever = Retriever.open(home.cache, load_course(home.cache))
        found = examples(retriever, progress=lambda done: report("examples", done))
        if arguments.examples:
            found = found[: arguments.examples]
        with Engine(gguf, settings.n_ctx, settings.threads or None) as engine:
            data = [encoded(example, engine) for example in found]
        steps = train(gguf, home.cache, data, folder, recipe, report)
        export(folder, gguf, to, name)
    result = {
        "name": name,
        "path": str(to),
        "examples": len(data),
        "tokens": sum(map(len, data)),
        "steps": len(steps),
        "first_loss": steps[0].loss,
        "last_loss": sum(step.loss for step in steps[-20:]) / len(steps[-20:]),
        "losses": [step.loss for step in steps],
    }
    if arguments.json:
        print_json(result)
    else:
        _draw([step.loss for step in steps])
        print(
            f"{result['examples']:,} examples, {result['tokens']:,} tokens, {result['steps']} steps: "
            f"loss {result['first_loss']:.2f} -> {result['last_loss']:.2f} nats a token\n{to}"
        )
    return 0


def run_compare(arguments: argparse.Namespace) -> int:
    """Base and tuned model on gold questions, without and with the lessons, and all layers."""
    from dataclasses import asdict

    from rich.table import Table

    from corpus.gold import load_gold
    from tutor.agent.opening import open_tutor
    from tutor.cli.console import PlainConsole
    from tutor.lora.compare import compare
    from tutor.settings import NONE

    questions = [q for q in load_gold(arguments.split) if q.answerable]
    if arguments.limit:
        # Every n-th, so that a slice has all lessons and kinds.
        questions = questions[:: max(len(questions) // arguments.limit, 1)][: arguments.limit]
    home = Home.locate().create()
    settings = kept_settings(home)
    adapter = arguments.adapter or settings.adapter
    if adapter == NONE:
        raise UseError("the base model is what an adapter is compared with: give --adapter NAME")
    with progress_bars() as report:
        tutor = open_tutor(home, settings, report)
        try:
            ways = list(compare(tutor, questions, adapter, report))
        finally:
            tutor.close()
    if arguments.json:
        print_json(
            {"split": arguments.split, "n": len(questions), "ways": [asdict(w) for w in ways]}
        )
        return 0
    table = Table(
        "", "right", "partly", "wrong", "supported", "loops", "cut", "words", "tok/s", box=None
    )
    for w in ways:
        figures = (w.scores.right, w.scores.partly, w.scores.wrong)
        table.add_row(
            w.name,
            *(f"{count / max(w.scores.n, 1):.3f}" for count in figures),
            f"{w.supported:.3f}",
            str(w.loops),
            str(w.cut),
            f"{w.words:.0f}",
            f"{w.tokens_per_second:.0f}",
        )
    PlainConsole().print(table, f"{len(questions)} questions of {arguments.split}")
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    """Writes a LoRA in PEFT's format as a GGUF adapter for the model in use."""
    from tutor.agent.opening import model_path
    from tutor.lora.export import export

    name = _named(arguments.name or Path(arguments.folder).absolute().name)
    home = Home.locate().create()
    settings = kept_settings(home)
    to = home.adapters / f"{name}.gguf"
    with progress_bars() as report:
        export(Path(arguments.folder), model_path(home, settings, report), to, name)
    if arguments.json:
        print_json({"name": name, "path": str(to)})
    else:
        say(str(to))
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    """The adapters at hand, the shipped one first."""
    from tutor.agent.variants import adapters

    found = adapters(Home.locate())
    if arguments.json:
        print_json({"adapters": [{"name": n, "path": str(p)} for n, p in found.items()]})
        return 0
    for name, path in found.items():
        say(f"{name:<16} {path.stat().st_size / 1e6:5.1f} MB  {path}")
    if not found:
        print("no adapter at hand: train one with `tutor lora train`")
    return 0


def _named(name: str) -> str:
    """The name, which becomes a file's. Raises UseError for one that could not be chosen."""
    from tutor.settings import NONE

    if name == NONE or not re.fullmatch(r"\w[\w.-]*", name):
        raise UseError(f"--name takes letters, digits, dots, - and _, and not {NONE!r}: {name!r}")
    return name


def _recipe(arguments: argparse.Namespace) -> Recipe:
    from pydantic import ValidationError

    from tutor.lora.train import Recipe

    given = {
        name: value
        for name in Recipe.model_fields
        if (value := getattr(arguments, name)) is not None
    }
    try:
        return Recipe.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise UseError(f"--{first['loc'][0]}: {first['msg'].lower()}".replace("_", "-")) from error


def _draw(losses: list[float]) -> None:
    from tutor.cli.console import PlainConsole
    from tutor.demos.figures import Line, Plot
    from tutor.drawing import draw

    console = PlainConsole()
    line = Line("loss", tuple(map(float, range(1, len(losses) + 1))), tuple(losses))
    figure = Plot("Loss of the answers, nats a token", (line,), "step", "loss")
    console.print(draw(figure, console.width, colour=console.is_terminal))
