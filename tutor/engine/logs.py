"""llama.cpp's log, kept off the terminal: dropped, unless somebody asks why something failed.

It has thousands of lines while a model is loaded and its first prompt is read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import llama_cpp

from tutor.engine.callbacks import DROP

T = TypeVar("T")
_ERROR = 4


@dataclass(slots=True)
class Logs:
    """Error lines of llama.cpp, oldest first."""

    lines: list[str] = field(default_factory=list)

    @property
    def last(self) -> str:
        return self.lines[-1] if self.lines else ""


_current = Logs()


# The callback must outlive every call into the library, hence a module-level function.
@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _collect(level: int, text: bytes, _user_data: ctypes.c_void_p) -> None:
    if level == _ERROR and (line := text.decode("utf-8", "replace").strip()):
        _current.lines.append(line)
        del _current.lines[:-20]


llama_cpp.llama_log_set(DROP, None)


@contextmanager
def collect_logs() -> Iterator[Logs]:
    """The errors logged inside the block."""
    global _current
    before, _current = _current, Logs()
    llama_cpp.llama_log_set(_collect, None)
    try:
        yield _current
    finally:
        _current = before
        llama_cpp.llama_log_set(DROP, None)


def or_why(work: Callable[[], T]) -> tuple[T, str]:
    """What `work` gives; where that is nothing it is tried once more, and why is told too."""
    if found := work():
        return found, ""
    with collect_logs() as logs:
        return work(), logs.last
