"""An hour of mixed use of the real app by a seeded driver: memory, slow keys, the first error.

Run it from the repository: `.venv/bin/python -m tests.soak [--turns N] [--seed N] [--asks-only]`.
A turn asks something (a question, a follow-up, nonsense, a request in plain words), often does
something while it is answered (Escape, knobs, sizes, variants, the inspector) and often something after it
(branches, demonstrations, comparisons, lessons, other conversations, colours). Keys go the way that a
terminal's go; what is measured is the time from a key until the screen is drawn with what it does,
without the terminal's own share.

It prints figures every 50 turns and ends with status 1 at the first error, telling the steps before
it. Conversations and settings are of this run alone; the cache is the usual one.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import numpy as np

from tests.soak.hands import SoakError
from tests.soak.learner import Learner, resident
from tutor.agent.opening import open_tutor
from tutor.home import Home
from tutor.sessions.store import Store
from tutor.settings import Settings
from tutor.tui.app import TutorApp

EVERY = 50
"""Turns between two lines of figures."""


def figures(learner: Learner, turn: int, began: float) -> str:
    """One line: the memory, what there is of widgets and objects, keys to screen, the slowest."""
    gc.collect()
    waits = [wait for wait, _ in learner.waits]
    told = "no key yet"
    if waits:
        median, high = np.percentile(waits, [50, 99])
        slowest, step = max(learner.waits)
        told = (
            f"{len(waits)} keys: median {median:.0f} ms, 99th {high:.0f} ms, slowest "
            f"{slowest:.0f} ms ({step})"
        )
    widgets = sum(1 for _ in learner.app.screen_stack[0].walk_children())
    learner.waits.clear()
    return (
        f"turn {turn:>4}  {(time.monotonic() - began) / 60:5.1f} min  {resident() >> 20:>5} MB  "
        f"{widgets} widgets  {len(gc.get_objects()):,} objects  {told}"
    )


async def soak(turns: int, seed: int, folder: Path, home: Home, asks_only: bool = False) -> str:
    """Uses the app for so many turns. Gives the first error and what led to it; empty without."""
    store = Store(folder / "conversations.sqlite3")
    app = TutorApp(store, lambda settings, told: open_tutor(home, settings, told), Settings())
    learner = Learner(app, seed, asks_only)
    told_before = threading.excepthook
    threading.excepthook = lambda hook: learner.faults.append(
        "".join(traceback.format_exception(hook.exc_type, hook.exc_value, hook.exc_traceback))
    )
    began, turn = time.monotonic(), 0
    try:
        async with app.run_test(
            size=(120, 40), notifications=True, message_hook=learner.on_message
        ) as pilot:
            learner.pilot = pilot
            if not await learner.until(lambda: app.chat.tutor is not None, 600):
                raise SoakError("the tutor did not open")
            await pilot.pause(1)
            print(figures(learner, 0, began), flush=True)
            for turn in range(1, turns + 1):
                learner.note(f"turn {turn}")
                await learner.turn()
                if turn % EVERY == 0 or turn == turns:
                    print(figures(learner, turn, began), flush=True)
    except Exception:
        steps = "\n".join(f"  {step}" for step in learner.steps)
        return f"turn {turn}, seed {seed}:\n{traceback.format_exc()}\nafter these steps:\n{steps}"
    finally:
        threading.excepthook = told_before
        if app.chat.tutor:
            app.chat.tutor.close()
        store.close()
        told = ", ".join(f"{n} {b / 1048576:+.0f}" for n, b in learner.grown.most_common() if b)
        print(f"memory in MB by what was done: {told}")
        if learner.ineffective:
            print(f"keys without effect: {dict(learner.ineffective)}")
    return ""


def main() -> int:
    """Status 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--asks-only", action="store_true", help="questions and answers alone")
    arguments = parser.parse_args()
    # An export goes to the folder that one is in.
    before, home = Path.cwd(), Home.locate().create()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        given = (arguments.turns, arguments.seed, Path(folder), home, arguments.asks_only)
        error = asyncio.run(soak(*given))
        os.chdir(before)
    print(error or f"no error in {arguments.turns} turns (seed {arguments.seed})")
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main())
