"""Makes the pictures of the docs: the app's screens, and every demonstration run once.

Run it from the repository: `.venv/bin/python docs/pictures.py [NAME...]`, where a name is a
demonstration or `screens`.
"""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from tutor.agent.opening import open_tutor
from tutor.agent.tutor import Tutor
from tutor.cli.demo import print_shown
from tutor.demos.demo import Run
from tutor.demos.registry import NAMES, demo
from tutor.home import Home
from tutor.sessions.store import Store
from tutor.settings import Settings
from tutor.tui.app import TutorApp

FOLDER = Path(__file__).parent / "demonstrations"
WIDTH = 92
QUESTION = "Why does a high temperature make answers stranger?"


def main(wanted: list[str]) -> None:
    """Draws the wanted demonstrations, all without any, and writes the page anew."""
    FOLDER.mkdir(exist_ok=True)
    tutor = open_tutor(Home.locate().create(), Settings())
    try:
        if not wanted or "screens" in wanted:
            asyncio.run(screens(tutor))
        for name in [name for name in wanted if name != "screens"] if wanted else NAMES:
            found = demo(name)
            shown = found.run_alone(tutor.bench, found.parse({}), Run())
            console = Console(
                record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False,
                markup=False, color_system="truecolor",
            )  # fmt: skip
            print_shown(console, shown)
            console.save_svg(
                str(FOLDER / f"{name}.svg"),
                title=f"tutor demo {name}",
                theme=MONOKAI,
                unique_id=name,
            )
            print(name, flush=True)
    finally:
        tutor.close()
    (FOLDER.parent / "demonstrations.md").write_text(page(), encoding="utf-8")


async def screens(tutor: Tutor) -> None:
    """The app with an answer, and that answer from inside."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "conversations.sqlite3")
        app = TutorApp(store, lambda settings, progress: tutor, Settings())
        async with app.run_test(size=(140, 42)) as pilot:
            while app.chat.tutor is None:
                await pilot.pause(0.1)
            await app.chat.send(QUESTION)
            while app.chat.answering:
                await pilot.pause(0.1)
            await pilot.pause(1)
            app.save_screenshot("main.svg", str(FOLDER.parent))
            await pilot.press("f4")
            await pilot.pause(1)
            await pilot.press("right", "right", "right", "right")
            await pilot.pause(1)
            app.save_screenshot("inspector.svg", str(FOLDER.parent))
        store.close()


def page() -> str:
    """All demonstrations in the order of the lessons."""
    parts = [
        "# Demonstrations",
        "Each as `tutor demo NAME` shows it, with its own input; every figure is what the running "
        "model gave when the picture was made. Made by `docs/pictures.py`.",
    ]
    for name in NAMES:
        found = demo(name)
        parts.append(
            f"## Lesson {found.lesson}: {found.title}\n\n{found.about} `tutor demo {name}`\n\n"
            f"![{found.title}](demonstrations/{name}.svg)"
        )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
