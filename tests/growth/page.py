"""The page that tells what was measured: tables, exponents, and a plot."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import log
from typing import TypeVar

import plotext
from rich.text import Text

from tests.growth.measured import SAMPLE, Measured, Stored

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rows:
    """What was measured, and of each number of copies that was not, why."""

    measured: Sequence[Measured]
    left_out: Sequence[str]


def told(alone: Rows, with_bank: Rows, stored: Sequence[Stored]) -> list[str]:
    """The page below its title."""
    every = [*alone.measured, *with_bank.measured]
    text_ms = statistics.median(row.text_ms for row in every)
    question_ms = statistics.median(row.question_ms for row in every)
    return [
        f"Made by `python -m tests.growth`. A text costs {text_ms:.1f} ms to be encoded (a sample of {SAMPLE}),",
        f"a question {question_ms:.1f} ms, however large the course is. Searching leaves that out; the vectors'",
        "part of it contains the product of all vectors with the question's.",
        "",
        "## The lessons' own passages",
        "",
        *_told(alone, text_ms),
        "",
        "## With the bank's questions",
        "",
        *_told(with_bank, text_ms),
        *_chroma(stored),
    ]


def _told(rows: Rows, text_ms: float) -> list[str]:
    measured = rows.measured
    lines = [
        *_table(
            {
                "copies": lambda r: f"{r.copies:,}",
                "passages": lambda r: f"{r.passages:,}",
                "vectors": lambda r: f"{r.vectors:,}",
                "search ms": lambda r: f"{r.search_ms:.1f}",
                "95th": lambda r: f"{r.p95_ms:.1f}",
                "of it vectors": lambda r: f"{r.dense_ms:.1f}",
                "product": lambda r: f"{r.product_ms:.1f}",
                "BM25": lambda r: f"{r.bm25_ms:.1f}",
            },
            measured,
        ),
        "",
        *_table(
            {
                "copies": lambda r: f"{r.copies:,}",
                "make s": lambda r: f"{r.construct_s:.1f}",
                "encode s*": lambda r: f"{r.vectors * text_ms / 1000:,.0f}",
                "given MB": lambda r: f"{r.given_mb:,.0f}",
                "with Retriever MB": lambda r: f"{r.resident_mb:,.0f}",
                "most while made MB": lambda r: f"{r.peak_mb:,.0f}",
            },
            measured,
        ),
        "",
        "* calculated: all texts at what one of the sample costs.",
        *rows.left_out,
    ]
    if len(measured) > 1:
        steps = list(itertools.pairwise(measured))
        curves = {name: partial(_exponent, curve) for name, curve in _CURVES.items()}
        lines += [
            "",
            "Exponents from one row to the next (1 is in proportion, less: a part is fixed):",
            "",
            *_table({"copies": lambda step: f"{step[1].copies:,}", **curves}, steps),
            "",
            *_plot(measured),
        ]
    return lines


def _chroma(stored: Sequence[Stored]) -> list[str]:
    if not stored:
        return []
    return [
        "",
        "## Chroma",
        "",
        "With the vectors given: it is asked when an index is built or mended, never while a question is",
        "searched.",
        "",
        *_table(
            {
                "copies": lambda s: f"{s.copies:,}",
                "vectors": lambda s: f"{s.vectors:,}",
                "add s": lambda s: f"{s.add_s:.1f}",
                "ms a vector": lambda s: f"{1000 * s.add_s / s.vectors:.2f}",
                "digests ms": lambda s: f"{s.digests_ms:.0f}",
                "read s": lambda s: f"{s.read_s:.1f}",
                "disk MB": lambda s: f"{s.disk_mb:,.0f}",
            },
            stored,
        ),
    ]


_CURVES: dict[str, Callable[[Measured], float]] = {
    "search": lambda row: row.search_ms,
    "vectors": lambda row: row.dense_ms,
    "BM25": lambda row: row.bm25_ms,
    "make": lambda row: row.construct_s,
    "resident": lambda row: row.resident_mb,
}


def _exponent(curve: Callable[[Measured], float], step: tuple[Measured, Measured]) -> str:
    before, row = step
    return f"{log(curve(row) / curve(before)) / log(row.copies / before.copies):.2f}"


def _table(columns: Mapping[str, Callable[[T], str]], rows: Sequence[T]) -> list[str]:
    cells = [list(columns), *([cell(row) for cell in columns.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True))
        for line in cells
    ]


def _plot(rows: Sequence[Measured]) -> list[str]:
    """Times the first row, both axes logarithmic: a straight slope of one is in proportion."""
    copies = [row.copies for row in rows]
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(90, 24)
    plotext.xscale("log")
    plotext.yscale("log")
    plotext.title("times as much as one copy")
    plotext.xlabel("copies of the course")
    for name, marker in (("search", "s"), ("make", "m"), ("resident", "r")):
        values = [_CURVES[name](row) / _CURVES[name](rows[0]) for row in rows]
        plotext.plot(copies, values, label=name, marker=marker)
    plotext.plot(copies, [n / copies[0] for n in copies], label="in proportion", marker=".")
    plotext.xticks(copies)
    plotext.yticks([n / copies[0] for n in copies])
    return [line.rstrip() for line in Text.from_ansi(plotext.build()).plain.splitlines()]
