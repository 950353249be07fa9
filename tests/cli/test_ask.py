"""What an item of a batch changes ends with it, and what is wrong with it is told by its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tutor.cli import main

BRIEF = ("--max-tokens", "4", "--greedy")


def batch(folder: Path, *items: dict[str, Any]) -> str:
    file = folder / "q.jsonl"
    file.write_text("\n".join(map(json.dumps, items)))
    return str(file)


def test_an_adapter_that_was_swapped_out_speaks_again_in_the_next_conversation(
    run: Run, tmp_path: Path
) -> None:
    turns = ["turn the adapter off", "What is a token?"]
    file = batch(tmp_path, {"turns": turns}, {"question": "What is a token?"})
    out, again = run("ask", "--batch", file, "--adapter-scale", "0.5", *BRIEF)
    assert out["adapter"] is None
    assert (again["adapter"], again["adapter_scale"]) == ("tutor", 0.5)


def test_an_adapter_that_is_swapped_in_acts_as_strongly_as_it_is_set(
    run: Run, tmp_path: Path
) -> None:
    turns = ["turn the adapter off", "put the adapter back on please", "What is a token?"]
    (found,) = run("ask", "--batch", batch(tmp_path, {"turns": turns}), "--adapter-scale", "0.5", *BRIEF)  # fmt: skip
    assert found["adapter_scale"] == 0.5


def test_an_id_comes_back_as_it_was_given(run: Run, tmp_path: Path) -> None:
    file = batch(tmp_path, {"id": 7, "question": "hello"}, {"question": "hello"})
    assert [found["id"] for found in run("ask", "--batch", file, *BRIEF)] == [7, "2"]


def test_an_answer_that_does_not_fit_leaves_the_others_of_a_batch(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTOR_N_CTX", "512")
    question = "Why does a high temperature make answers stranger? " * 60
    file = batch(tmp_path, {"question": question}, {"question": "What is a token?"})
    assert main(["ask", "--batch", file, *BRIEF]) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert "tokens" in first["error"] and second["answer"]


@pytest.mark.parametrize(
    "item",
    [
        {"question": None},
        {"turns": []},
        {"question": "x", "lesson": True},
        {"question": "x", "lesson": 14},
        {"question": "x", "id": [1]},
    ],
)
def test_a_wrong_item_is_told_by_its_line_before_any_is_answered(
    item: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["ask", "--batch", batch(tmp_path, {"question": "What is a token?"}, item)]) == 2
    out, err = capsys.readouterr()
    assert not out and "line 2" in err


@pytest.mark.parametrize("question", ["set the temperature to 1.2", "turn the adapter off"])
def test_a_change_that_ends_with_the_command_says_so(
    question: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", question]) == 0
    assert "tutor config set" in capsys.readouterr().out


def test_settings_that_are_only_told_are_not_said_to_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["ask", "which knobs are set how right now?"]) == 0
    assert "tutor config set" not in capsys.readouterr().out


def test_what_only_the_app_can_do_is_not_said_to_be_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["ask", "undo"]) == 0
    assert capsys.readouterr().out.startswith("Only the app can do that")
