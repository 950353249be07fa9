"""What a demonstration wants drawn, as data: the app and the command line draw it.

Values are plain Python numbers and strings, so that a figure is JSON as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; `note` stands behind its value."""

    label: str
    value: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bars:
    """Horizontal bars on one scale from 0. `unit` stands behind each value."""

    title: str
    bars: tuple[Bar, ...]
    unit: str = ""
    digits: int = 2


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A matrix as shades from `low` to `high`; None is a cell that does not exist (a mask)."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """One curve of a plot."""

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves (or, with `points`, dots) over two axes."""

    title: str
    lines: tuple[Line, ...]
    x: str
    y: str
    points: bool = False


@dataclass(frozen=True, slots=True)
class Chip:
    """A piece of text with a small note under it, shaded by `weight` from 0 to 1."""

    text: str
    note: str = ""
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Chips:
    """Pieces of text in a row, such as tokens with their ids."""

    title: str
    chips: tuple[Chip, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header; cells are text already."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """Longer texts side by side, each under its own title."""

    title: str
    columns: tuple[tuple[str, str], ...]


Figure = Bars | Heatmap | Plot | Chips | Table | Columns
