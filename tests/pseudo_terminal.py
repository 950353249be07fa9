"""The app as a program of its own in a pseudo terminal, which a test types into and signals to."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

# The terminal becomes the controlling one, as that of a learner is: closing it tells the app. Not so
# with an argument.
_IN_TERMINAL = """
import fcntl, os, sys, termios
if not sys.argv[1:]:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "tutor"])
"""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


class App:
    """The app in a pseudo terminal of 100x30; what it draws is read all the time.

    It is started by the command `through`, if one is given. With `untold` nothing tells it that the
    terminal is closed.
    """

    def __init__(
        self,
        home: Path,
        environment: dict[str, str],
        through: Sequence[str] = (),
        *,
        untold: bool = False,
    ) -> None:
        self.drawn = b""
        self._master, self._slave = pty.openpty()
        self._unread = threading.Event()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = subprocess.Popen(
            [*through, sys.executable, "-c", _IN_TERMINAL, *["untold"] * untold],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            env=environ(home) | {"TERM": "xterm-256color"} | environment,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # Never waits in a read: a terminal that is being read from cannot be closed. Linux tells by
        # an error that the app, whose terminal it was, has ended.
        with suppress(OSError):
            while not self._unread.is_set():
                if select.select([self._master], [], [], 0.02)[0]:
                    self.drawn += os.read(self._master, 65536)

    @property
    def attributes(self) -> list[Any]:
        """How the terminal treats what is typed: echoed, by lines, and so on."""
        return termios.tcgetattr(self._slave)

    def wait_for(self, text: str) -> None:
        def shown() -> bool:
            assert self.process.poll() is None, self.drawn[-2000:].decode(errors="replace")
            return text.encode() in self.drawn

        wait_until(shown, f"{text!r} on the screen")

    def type(self, text: str) -> None:
        # Nobody reads what is typed into an app that was just killed.
        left = text.encode()
        with suppress(OSError):
            while left:
                left = left[os.write(self._master, left) :]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def hang_up(self) -> None:
        """Closes the terminal, as its window's button does."""
        if not self._unread.is_set():
            self._unread.set()
            self._reader.join()
            os.close(self._slave)
            os.close(self._master)

    def close(self) -> None:
        self.kill()
        self.hang_up()


def environ(home: Path) -> dict[str, str]:
    return os.environ | {"TUTOR_HOME": str(home)}
