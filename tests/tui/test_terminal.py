"""The app in a real terminal: typed into, killed, started again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    """A tmux server of its own with one window of 80x24."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._socket = str(folder / "tmux")

    def tmux(self, *arguments: str) -> str:
        # Where the tests themselves run in a terminal, readline has told children its size.
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def start(self, then: str = "") -> None:
        command = f"TUTOR_HOME={self.folder} TERM=xterm-256color {sys.executable} -m tutor{then}"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", command)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def press(self, key: str) -> None:
        self.tmux("send-keys", key)

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """The screen as soon as it shows the text, wrapped or not."""
        end = time.monotonic() + seconds
        while True:
            screen = self.tmux("capture-pane", "-p")
            if text in " ".join(screen.replace("│", " ").split()):
                return screen
            assert time.monotonic() < end, f"{text!r} never came:\n{screen}"
            time.sleep(0.05)

    def pid(self) -> int:
        return int(self.tmux("list-panes", "-F", "#{pane_pid}").split()[0])

    def wait_until_gone(self, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while self.tmux("list-sessions"):
            assert time.monotonic() < end, "the app did not end"
            time.sleep(0.05)


@pytest.fixture
def terminal(tmp_path: Path, cache: Path, model_path: Path) -> Iterator[Terminal]:
    (tmp_path / "cache").symlink_to(cache, target_is_directory=True)
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.tmux("kill-server")


def test_a_conversation_survives_a_kill_and_the_app_ends_on_its_key(terminal: Terminal) -> None:
    terminal.start()
    terminal.wait_for("tok/s")
    terminal.type("Why does a high temperature make answers stranger?")
    terminal.press("Enter")
    terminal.wait_for("flattens the distribution")
    os.kill(terminal.pid(), 9)
    terminal.wait_until_gone()

    terminal.start()
    terminal.wait_for("flattens the distribution")
    terminal.wait_for("tok/s")
    terminal.press("C-q")
    terminal.wait_until_gone()


def test_leaving_in_the_middle_of_the_first_start_ends_in_order(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.start(then=f"; echo $? > {tmp_path}/status")
    terminal.wait_for("reading the lessons", seconds=300)
    terminal.press("C-q")
    terminal.wait_until_gone()
    assert (tmp_path / "status").read_text() == "0\n"
