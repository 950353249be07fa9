"""`tutor bench`: the app, a turn and the decoding, timed beside llama-cpp-python by itself.

Medians over repeats; speeds that are compared are taken in turn, so that their ratio means something
on a busy machine too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tutor.cli.decoding import kept_settings
from tutor.cli.main import UseError
from tutor.cli.output import print_json
from tutor.home import Home
from tutor.settings import Settings


def run_bench(arguments: argparse.Namespace) -> None:
    """Measures and prints; nothing is asserted here."""
    if os.name != "posix":
        raise UseError("bench needs a Unix terminal")
    from tutor.agent.opening import open_tutor
    from tutor.bench import app, bare
    from tutor.bench.turns import QUESTIONS, speeds, warm
    from tutor.engine.adapters import shipped_adapter

    home = Home.locate().create()
    settings = kept_settings(home)
    # Whatever has to be prepared is prepared before the clock, and in a process of its own: to fit
    # the classifier takes more memory than the tutor has.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(_prepare, home, settings).result()
    figures = {"help_ms": _help_ms()}
    began = time.perf_counter()
    tutor = open_tutor(home, settings)
    figures["open_warm_ms"] = 1000 * (time.perf_counter() - began)
    try:
        timed = warm(tutor)
        figures |= timed.figures()
        figures |= speeds(tutor, [turn.prompt for turn in timed.turns[: len(QUESTIONS)]])
    finally:
        tutor.close()
    figures |= app.first_words(home)
    asked = timed.turns[app.ASKED].prompt
    figures |= app.starts(
        home, lambda: bare.cold_first_token_ms(timed.path, shipped_adapter(), asked)
    )
    figures |= app.key_to_screen(home)
    if arguments.json:
        print_json({name: round(value, 3) for name, value in figures.items()})
    else:
        for name, value in figures.items():
            print(f"{name:<28} {value:>10.2f}")


def _prepare(home: Home, settings: Settings) -> None:
    from tutor.agent.opening import open_tutor

    open_tutor(home, settings).close()


def _help_ms() -> float:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "tutor", "--help"], check=True, stdout=subprocess.DEVNULL
        )
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)
