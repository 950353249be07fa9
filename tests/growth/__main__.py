"""How searching, starting and memory grow with the course: copies of its passages, measured.

Run it from the repository: `.venv/bin/python -m tests.growth`. The lessons' own passages are copied up
to 1,000 times, and up to 100 times together with the bank's questions, which are ten times as many
vectors. A copy's vectors are the real ones with a little noise, of length one
again; some words of its texts are swapped for others of the course, so that BM25 has real work.
Nothing is encoded but a sample, which tells what a text costs. What grows in proportion costs its
number of copies: the exponent says how the step to that row grew (1 is in proportion).

Every row is measured in a process of its own. Another program beside it must not count, so that times
are those of the processor: of the thread that searches, of the process that makes. Only encoding,
which has threads of its own, is timed by the clock, the quickest of three. Writes docs/growth.txt;
asserts nothing.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from index.build import indexed_vectors
from index.course import load_course
from index.encoder import prepared_encoder
from tests.growth.measured import MB, Measured, Stored, measure_search, measure_store
from tests.growth.page import Rows, told
from tutor.home import Home

FILE = Path(__file__).parents[2] / "docs" / "growth.txt"
ALONE_AT = (1, 10, 100, 1000)
WITH_BANK_AT = (1, 10, 100)
STORE_AT = (1, 10)
"""Chroma only takes part when an index is built; 100 copies would take it hours."""
ROOM = 0.85
"""The share of the free memory that a row may need, told from the row before."""


def main() -> None:
    """Measures, prints, and writes the page anew."""
    # Where the index has to be built, the first row must not bear what that needs.
    _apart("--ready", 0)
    alone, with_bank = _rows("--alone", ALONE_AT), _rows("--with-bank", WITH_BANK_AT)
    stored = [Stored(**row) for n in STORE_AT if (row := _apart("--store", n))]
    page = "\n".join(["# Growth", "", *told(alone, with_bank, stored)])
    print(page)
    FILE.write_text(page + "\n", encoding="utf-8")


def _rows(what: str, wanted: Sequence[int]) -> Rows:
    rows: list[Measured] = []
    left_out: list[str] = []
    for copies in wanted:
        if reason := _too_large(copies, rows):
            left_out.append(reason)
        elif (row := _apart(what, copies)) is None:
            left_out.append(f"{copies:,} copies: the process ran out of memory")
        else:
            rows.append(Measured(**row))
            print(f"{copies} copies: {row}", file=sys.stderr, flush=True)
    return Rows(rows, left_out)


def _apart(what: str, copies: int) -> dict[str, Any] | None:
    """Measures in a process of its own; None where the memory did not suffice."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.growth", what, str(copies)], stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def _too_large(copies: int, rows: Sequence[Measured]) -> str:
    """Why so many copies cannot be measured here; empty where they can."""
    if not rows:
        return ""
    free = psutil.virtual_memory().available / MB
    need = rows[-1].peak_mb * copies / rows[-1].copies
    if need < ROOM * free:
        return ""
    return (
        f"{copies:,} copies: not measured, they would need about {need / 1024:,.0f} GB while the "
        f"Retriever is made (from {rows[-1].copies:,} copies), {free / 1024:.0f} GB are free"
    )


def _within_memory() -> None:
    """Running out ends in an error of this process, and not in the end of another one."""
    limit = int(ROOM * psutil.virtual_memory().available)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    what, copies = (*sys.argv[1:], "", "0")[:2]
    if what in ("--alone", "--with-bank"):
        _within_memory()
        print(json.dumps(asdict(measure_search(int(copies), bank=what == "--with-bank"))))
    elif what == "--ready":
        cache = Home.locate().create().cache
        indexed_vectors(load_course().passages, cache, prepared_encoder(cache))
        print("{}")
    elif what == "--store":
        print(json.dumps(asdict(measure_store(int(copies)))))
    else:
        main()
