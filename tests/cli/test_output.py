"""Batches are read line by line; progress is one bar."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from tutor.cli.main import UseError
from tutor.cli.output import batch_id, progress_bars, read_batch


def test_a_line_of_a_batch_ends_at_a_newline_and_nowhere_else(tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    file.write_text('{"query": "one\u2028two\x85three"}\r\n\n{"query": "four"}\n', encoding="utf-8")
    found = [value["query"] for _, value in read_batch(str(file))]
    assert found == ["one\u2028two\x85three", "four"]


def test_a_place_in_a_batch_counts_empty_lines_too(tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    file.write_text("\n\n{}\n")
    assert [where for where, _ in read_batch(str(file))] == [f"{file}, line 3"]


@pytest.mark.parametrize(("value", "id"), [({"id": "a"}, "a"), ({"id": 7}, 7), ({}, "3")])
def test_an_id_is_the_one_given_or_the_place(value: dict[str, object], id: object) -> None:
    assert batch_id("b, line 3", value, 3) == id


@pytest.mark.parametrize("id", [None, True, [1], 0.5])
def test_an_id_that_is_none_is_told_with_its_place(id: object) -> None:
    with pytest.raises(UseError, match="line 3"):
        batch_id("b, line 3", {"id": id}, 3)


def test_all_stages_share_one_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bars() as report:
        for step in range(20):
            report(f"step {step} [of 20]", step / 20)
    shown = terminal.getvalue()
    assert "step 19 [of 20]" in shown
    # The cursor goes up a line for every bar that is taken away.
    assert shown.count("\x1b[1A") == 1


@pytest.mark.parametrize(
    "arguments",
    [["tokens", "-"], ["ask", "-"], ["ask", "--batch", "-"], ["search", "--batch", "-"]],
)
def test_standard_input_that_is_not_utf_8_is_told_in_one_line(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tutor", *arguments],
        input=b'{"question": "caf\xe9"}\n',
        capture_output=True,
    )
    (told,) = done.stderr.decode().splitlines()
    assert done.returncode == 2 and told.endswith("is not UTF-8 text")


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"id": ' + "[" * 100_000, '{"lesson": ' + "9" * 5_000 + "}", "{]"]
)
def test_a_line_that_is_no_json_or_too_deep_or_too_long_is_told_by_its_place(
    tmp_path: Path, line: str
) -> None:
    file = tmp_path / "batch.jsonl"
    file.write_text(f"{{}}\n{line}\n")
    with pytest.raises(UseError, match=r"batch\.jsonl, line 2: not JSON: .{,200}$"):
        list(read_batch(str(file)))
