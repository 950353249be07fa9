from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.cli.conftest import Run
from tutor.cli import main
from tutor.cli.demo import _guess
from tutor.demos.registry import NAMES, demo


def test_without_a_name_all_demonstrations_are_listed(run: Run) -> None:
    (found,) = run("demo", "--json")
    assert tuple(d["demo"] for d in found["demos"]) == NAMES
    assert {d["lesson"] for d in found["demos"]} == set(range(1, 14))


def test_a_demonstration_tells_its_inputs_its_result_and_where_it_is_from(run: Run) -> None:
    (found,) = run("demo", "tokens", "strawberries", "--json")
    assert found["lesson"] == 4 and found["inputs"]["text"] == "strawberries"
    assert found["provenance"]["model"].startswith("SmolLM2")
    assert len(found["ask"]) == 3 and found["seen"]


@pytest.mark.parametrize(
    ("typed", "guess"), [("2\n", 1), ("\n", None), ("9\n", None), ("9" * 5_000, None), ("", None)]
)
def test_a_guess_is_a_number_of_a_choice_or_none_also_at_the_end_of_the_input(
    typed: str, guess: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = demo("tokens")
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    prediction = found.predict(found.parse({"text": "strawberries"}))
    assert _guess(Console(file=io.StringIO()), prediction) == guess


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["demo", "nothing"], "choose one of"),
        (["demo", "determinism", "layer=30"], "29"),
        (["demo", "descent", "learning_rate=abc"], "learning_rate"),
        (["demo", "network", "some text"], "takes no text"),
    ],
)
def test_wrong_input_is_told_in_one_line_before_the_model_is_loaded(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert told in printed and len(printed.strip().splitlines()) == 1
