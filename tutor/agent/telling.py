"""A demonstration told in the conversation: what was seen, and its numbers as short tables."""

from __future__ import annotations

from tutor.demos.demo import Shown
from tutor.demos.figures import Bars, Columns, Figure, Table

_ROWS = 12


def markdown(shown: Shown) -> str:
    """The sentences on what was seen, then a table a figure that has rows."""
    parts = [shown.seen]
    for figure in shown.figures:
        if rows := _rows(figure):
            header, *body = rows
            if not any(header):
                header = ["" for _ in body[0]]
            lines = [_line(header), "|" + "-|" * len(header), *map(_line, body[:_ROWS])]
            parts.append(f"**{figure.title}**\n\n" + "\n".join(lines))
            if len(body) > _ROWS:
                parts.append(f"… and {len(body) - _ROWS} more")
    told = shown.provenance
    parts.append(f"*{told.model}, {told.engine}.*")
    return "\n\n".join(parts)


def _line(cells: list[str]) -> str:
    return "|" + "|".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + "|"


def _rows(figure: Figure) -> list[list[str]]:
    if isinstance(figure, Bars):
        return [
            ["", figure.unit, ""],
            *([f"`{b.label}`", f"{b.value:,.{figure.digits}f}", b.note] for b in figure.bars),
        ]
    if isinstance(figure, Table):
        return [list(figure.header), *(list(row) for row in figure.rows)]
    if isinstance(figure, Columns):
        return [["", ""], *([name, text] for name, text in figure.columns)]
    return []
