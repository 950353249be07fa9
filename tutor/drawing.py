"""Draws a demonstration's figures as rich renderables: the app and the command line share it."""

from __future__ import annotations

from itertools import zip_longest

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from tutor.demos.figures import Bars, Chips, Columns, Figure, Heatmap, Plot, Table

_BAR = 28
# Blue to orange over grey: told apart by colour-blind readers, and growing in lightness.
_COLD, _WARM = (38, 55, 90), (242, 158, 76)
_SHADES = " ░▒▓█"


def draw(figure: Figure, width: int = 80, *, colour: bool = True) -> RenderableType:
    """A figure for a terminal of `width` cells; without colour, shades are characters."""
    title = Text(figure.title, style="bold")
    if isinstance(figure, Bars):
        return Group(title, _bars(figure, width))
    if isinstance(figure, Heatmap):
        return Group(title, _heatmap(figure, width, colour))
    if isinstance(figure, Plot):
        return Group(title, _plot(figure, width, colour))
    if isinstance(figure, Chips):
        return Group(title, _chips(figure, colour))
    if isinstance(figure, Columns):
        return Group(title, _columns(figure))
    return Group(title, _table(figure))


def _bars(figure: Bars, width: int) -> Text:
    label = min(max((len(bar.label) for bar in figure.bars), default=0), max(width // 3, 8))
    room = max(min(_BAR, width - label - 30), 8)
    most = max((abs(bar.value) for bar in figure.bars), default=0.0) or 1.0
    text = Text()
    for n, bar in enumerate(figure.bars):
        cells = round(room * abs(bar.value) / most)
        drawn = "█" * cells or "▏"
        value = f"{bar.value:,.{figure.digits}f}{figure.unit and ' ' + figure.unit}"
        text.append("\n" if n else "")
        text.append(f"{bar.label[:label]:<{label}} ")
        text.append(f"{drawn:<{room}} ", _shade(abs(bar.value) / most))
        text.append(value)
        text.append(f"  {bar.note}" if bar.note else "", "dim")
    return text


def _shade(weight: float, *, ground: bool = False) -> Style:
    weight = min(max(weight, 0.0), 1.0)
    mixed = [round(a + (b - a) * weight) for a, b in zip(_COLD, _WARM, strict=True)]
    colour = "#{:02x}{:02x}{:02x}".format(*mixed)
    if not ground:
        # A bar must stand out from a dark and from a light ground: never darker than half.
        return Style(color="#{:02x}{:02x}{:02x}".format(*(max(c, 96) for c in mixed)))
    return Style(bgcolor=colour, color="#000000" if weight > 0.5 else "#ffffff")


def _scaled(value: float, figure: Heatmap) -> float:
    span = figure.high - figure.low
    return min(max((value - figure.low) / span, 0.0), 1.0) if span else 0.0


def _heatmap(figure: Heatmap, width: int, colour: bool) -> Text:
    """Half blocks with colour: two rows of the matrix in a line of cells."""
    label = min(max((len(row) for row in figure.rows), default=0), 14)
    cell = 2 if len(figure.columns) * 2 + label + 2 <= width else 1
    text = Text()
    if not colour:
        for name, row in zip(figure.rows, figure.values, strict=True):
            shades = "".join(
                ("·" if v is None else _SHADES[round(4 * _scaled(v, figure))]) * cell for v in row
            )
            text.append(f"{name[:label]:>{label}} {shades}\n")
        return text
    values = figure.values
    for n in range(0, len(values), 2):
        above = values[n]
        below = values[n + 1] if n + 1 < len(values) else ()
        names = figure.rows[n][: label // 2 or 1]
        if n + 1 < len(values):
            names = f"{figure.rows[n][:label]}"
        text.append(f"{names[:label]:>{label}} ")
        for top, bottom in zip_longest(above, below):
            text.append(*_halves(_cell(top, figure), _cell(bottom, figure), cell))
        text.append("\n")
    text.append(f"{'':>{label}} {figure.low:g} ")
    for step in range(8):
        text.append("█", Style(color=_mix(step / 7)))
    text.append(f" {figure.high:g}")
    return text


def _mix(weight: float) -> str:
    mixed = (round(a + (b - a) * weight) for a, b in zip(_COLD, _WARM, strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _halves(top: str | None, bottom: str | None, cell: int) -> tuple[str, Style]:
    """Two cells above each other; one that does not exist lets the ground through."""
    if top is None:
        return ("▄" if bottom else " ") * cell, Style(color=bottom)
    return "▀" * cell, Style(color=top, bgcolor=bottom)


def _cell(value: float | None, figure: Heatmap) -> str | None:
    return None if value is None else _mix(_scaled(value, figure))


def _plot(figure: Plot, width: int, colour: bool) -> Text:
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(min(width, 76), 16)
    plotext.xlabel(figure.x)
    plotext.ylabel(figure.y)
    for line in figure.lines:
        draw_line = plotext.scatter if figure.points else plotext.plot
        draw_line(list(line.xs), list(line.ys), label=line.name, marker="braille")
    drawn = Text.from_ansi(plotext.build())
    return drawn if colour else Text(drawn.plain)


def _chips(figure: Chips, colour: bool) -> Text:
    text = Text()
    for n, chip in enumerate(figure.chips):
        text.append(chip.text, _shade(chip.weight, ground=True) if colour else "")
        text.append(f" {chip.note}" if chip.note else "", "dim")
        text.append("  " if n + 1 < len(figure.chips) else "")
    return text


def _table(figure: Table) -> RichTable:
    table = RichTable(box=None, pad_edge=False, header_style="bold")
    for name in figure.header:
        table.add_column(Text(name))
    for row in figure.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _columns(figure: Columns) -> RichTable:
    table = RichTable(expand=True, pad_edge=False)
    for name, _ in figure.columns:
        table.add_column(Text(name))
    table.add_row(*(Text(text) for _, text in figure.columns))
    return table
