from __future__ import annotations

import sys

import pytest

from tutor.bench.terminal import COLUMNS, ROWS, Terminal, TerminalError

ECHO = """
import shutil, sys
print("size", *shutil.get_terminal_size((0, 0)), flush=True)
for line in sys.stdin:
    if line == "quit\\n":
        break
    print("heard", line[::-1].strip(), flush=True)
"""


def program(code: str) -> Terminal:
    return Terminal([sys.executable, "-c", code], {})


def test_what_is_typed_is_answered_on_the_screen() -> None:
    terminal = program(ECHO)
    terminal.send("abc\n")
    assert terminal.until("heard cba") > 0
    terminal.close("quit\n")


def test_the_program_has_a_screen_of_the_size_that_is_told() -> None:
    terminal = program("import time; time.sleep(0.5)" + ECHO)
    terminal.until(f"size {COLUMNS} {ROWS}")
    terminal.close("quit\n")


def test_what_is_never_shown_is_an_error_and_no_endless_wait() -> None:
    terminal = program(ECHO)
    with pytest.raises(TerminalError, match="'nothing' was not shown"):
        terminal.until("nothing", seconds=0.5)
    terminal.close("quit\n")


def test_a_program_that_ends_is_an_error() -> None:
    terminal = program("print('bye')")
    with pytest.raises(TerminalError):
        terminal.until("hello")
    terminal.close("")
