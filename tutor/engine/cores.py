"""The cores that this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """How many there are: a container, or `taskset`, may leave fewer than the machine has.

    More threads than these wait for one another at every node of llama.cpp's graph.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
