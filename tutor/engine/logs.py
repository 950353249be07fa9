"""llama.cpp's log, kept off the terminal: errors are collected, the rest is dropped."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import llama_cpp

_ERROR = 4


@dataclass(slots=True)
class Logs:
    """Error lines of llama.cpp, oldest first."""

    lines: list[str] = field(default_factory=list)

    @property
    def last(self) -> str:
        return self.lines[-1] if self.lines else ""


_current = Logs()


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _collect(level: int, text: bytes, _user_data: ctypes.c_void_p) -> None:
    if level == _ERROR and (line := text.decode("utf-8", "replace").strip()):
        _current.lines.append(line)
        del _current.lines[:-20]


# The callback must outlive every call into the library, hence a module-level function.
llama_cpp.llama_log_set(_collect, ctypes.c_void_p(0))


@contextmanager
def collect_logs() -> Iterator[Logs]:
    """The errors logged inside the block."""
    global _current
    before, _current = _current, Logs()
    try:
        yield _current
    finally:
        _current = before
