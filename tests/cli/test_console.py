"""What people are shown is text, in colours or not."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from tutor.cli.console import PlainConsole

HOSTILE = "\x1b]0;owned\x07a\x1b[2J\x9b31mb\x7f\x08\u202ec\u2066d"


def test_no_control_character_of_a_text_is_printed_in_whatever_it_stands() -> None:
    console = PlainConsole()
    console.file = io.StringIO()
    table = Table("one", title=HOSTILE)
    table.add_row(Text(HOSTILE, style="bold"))
    console.print(table, HOSTILE, Text(HOSTILE), "[red]as it is[/red]")
    shown = console.file.getvalue()
    assert all(c == "\n" or c.isprintable() for c in shown)
    assert shown.count("]0;owneda[2J31mbcd") == 4 and "[red]as it is[/red]" in shown


def test_the_consoles_own_colours_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    console = PlainConsole()
    console.file = io.StringIO()
    console.print(Text(f"bold {HOSTILE}", style="bold"))
    assert console.file.getvalue() == "\x1b[1mbold ]0;owneda[2J31mbcd\x1b[0m\n"
