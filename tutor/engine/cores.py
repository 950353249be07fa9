"""The cores that this process may use, what others leave of them, and who of its threads goes first."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from functools import cache
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


class Share:
    """How many threads find a core of their own at the moment.

    llama.cpp's threads wait for one another at each of a thousand nodes of a graph: with one thread
    more than there are free cores, all of them take many times as long.
    """

    _EVERY = 0.25
    """Seconds from look to look."""
    _OLD = 1.0
    """Seconds after which a look tells nothing of now."""

    def __init__(self) -> None:
        import psutil  # type: ignore[import-untyped]

        self._times = psutil.cpu_times
        self._most = usable_cores()
        # Where it may use some of the cores alone, nothing tells how busy just these are.
        self._fixed = psutil.cpu_count() != self._most
        self._threads = self._most
        self._at, self._busy = time.monotonic(), self._of_others()

    def _of_others(self) -> float:
        """Seconds that other programs had on all cores together, since some time."""
        times = self._times()
        return times.user + times.system + getattr(times, "nice", 0.0) - time.process_time()

    def threads(self) -> int:
        """As many as there are usable cores less those that others keep busy, but at least one."""
        passed = time.monotonic() - self._at
        if passed >= self._EVERY and not self._fixed:
            busy = self._of_others()
            if passed < self._OLD:
                taken = round((busy - self._busy) / passed)
                self._threads = min(max(self._most - taken, 1), self._most)
            self._at, self._busy = self._at + passed, busy
        return self._threads


@cache
def share() -> Share:
    """The one of this process. Who asks for its threads now and then has a look that is fresh when
    something is to be read."""
    return Share()


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
