"""The cores that this process may use, and who of its threads goes first."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

_NICENESS = 10
"""Of threads that only calculate: a tenth of another's share where both want the same core."""


def usable_cores() -> int:
    """How many there are: a container, or `taskset`, may leave fewer than the machine has.

    More threads than these wait for one another at every node of llama.cpp's graph.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def give_way() -> None:
    """Lets the threads that only calculate (llama.cpp's, torch's) give way to all that run Python.

    They take every core while an answer streams, and what draws a key's letter would get half of
    one. A thread that runs Python keeps its priority: where it had to wait for a core, the
    interpreter's lock would wait with it. Threads come with the first work of their kind, so this
    is to be called again and again; it takes 0.1 ms. Linux only: elsewhere no thread has a
    priority of its own.
    """
    if sys.platform != "linux":
        return
    of_python = {thread.native_id for thread in threading.enumerate()}
    for task in Path("/proc/self/task").iterdir():
        if (thread := int(task.name)) not in of_python:
            with suppress(OSError):  # it has ended in the meantime
                os.setpriority(os.PRIO_PROCESS, thread, _NICENESS)
