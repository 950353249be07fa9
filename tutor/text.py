"""Text made safe to show: nothing that a terminal would obey."""

from __future__ import annotations


def plain(text: str) -> str:
    """The text without control characters (ESC and friends), but with newlines and tabs."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")
