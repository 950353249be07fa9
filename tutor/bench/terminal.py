"""A program in a pseudo-terminal, typed at and watched as a person does. Unix only."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Mapping, Sequence

COLUMNS, ROWS = 100, 30


class TerminalError(Exception):
    """The program ended, or did not show what was waited for."""


class Terminal:
    """One program on a screen of its own, from its start."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        import pty

        self.began = time.perf_counter()
        self._pid, self._file = pty.fork()
        if self._pid == 0:
            os.execve(command[0], list(command), {**os.environ, **environment})
        size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, size)

    def send(self, text: str) -> None:
        os.write(self._file, text.encode())

    def until(self, shown: str, seconds: float = 60.0) -> float:
        """Waits until `shown` is written, and gives the time since the call in milliseconds.

        What was written before the call counts only if nobody has read it. Raises TerminalError.
        """
        wanted = shown.encode()
        began = time.perf_counter()
        seen = b""
        while wanted not in seen:
            if not (read := self._read(began + seconds - time.perf_counter())):
                raise TerminalError(f"{shown!r} was not shown")
            seen = seen[-len(wanted) :] + read
        return 1000 * (time.perf_counter() - began)

    def watch(self, seconds: float) -> None:
        """Reads for a while what is shown, as a terminal does."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0 and self._read(left):
            pass

    def close(self, keys: str) -> None:
        """Types the keys that end the program and waits for it."""
        self.send(keys)
        while self._read(60.0):
            pass
        os.waitpid(self._pid, 0)
        os.close(self._file)

    def _read(self, seconds: float) -> bytes:
        """What is shown next; nothing at the end, or when the time is over."""
        if not select.select([self._file], [], [], max(seconds, 0.0))[0]:
            return b""
        try:
            return os.read(self._file, 65_536)
        except OSError:  # how a closed pseudo-terminal says that it is at its end
            return b""
