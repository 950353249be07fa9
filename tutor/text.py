"""Text made safe to show: nothing that a terminal would obey."""

from __future__ import annotations


def plain(text: str) -> str:
    """The text without control characters (ESC and friends), but with newlines and tabs.

    White space of other kinds (no-break, ideographic) becomes a space.
    """
    kept = (c if c.isprintable() or c in "\n\t" else " " if c.isspace() else "" for c in text)
    return "".join(kept)


def visible(text: str, keep: str = "") -> str:
    """A token's text with its white space and control characters shown as signs.

    Characters of `keep` stay as they are.
    """
    signs = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍"}
    shown = (
        c if c in keep else signs.get(c, c if c.isprintable() else f"\\x{ord(c):02x}") for c in text
    )
    return "".join(shown)
