from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from tutor.cli import main


def test_the_search_is_judged_by_lesson_and_kind_and_twice_the_same(run: Run) -> None:
    asked = ("eval", "--retrieval-only", "--limit", "60", "--json")
    (found,), (again,) = run(*asked), run(*asked)
    assert found == again
    assert found["retrieval"]["n"] + found["follow_ups"]["n"] <= 60
    low, high = found["retrieval"]["hit_at_1_interval"]
    assert 0 <= low <= found["retrieval"]["hit_at_1"] <= high <= 1
    assert {"precision", "recall", "false_refusals"} <= set(found["refusal"])
    assert len(found["by_lesson"]) >= 10 and found["by_kind"]


def test_a_changed_search_is_compared_by_a_paired_test(run: Run) -> None:
    (found,) = run("eval", "--retrieval-only", "--compare", "mode=bm25", "--json")
    compared = found["compared"]["hit_at_1"]
    assert compared["before"] == pytest.approx(
        (found["retrieval"]["hit_at_1"] * found["retrieval"]["n"]
         + found["follow_ups"]["hit_at_1"] * found["follow_ups"]["n"]) / found["compared"]["n"]
    )  # fmt: skip
    assert compared["after"] < compared["before"] and 0 <= compared["p"] <= 1


def test_the_answers_are_judged_by_their_facts(run: Run) -> None:
    (found,) = run("eval", "--limit", "6", "--adapter", "none", "--json")
    answers = found["answers"]
    assert {"fact_recall", "correct", "model_correct", "supported", "n"} <= set(answers)
    assert answers["correct"] <= answers["fact_recall"] <= 1


@pytest.mark.parametrize("change", ["warmth=1", "bm25_weight", "bm25_weight=many"])
def test_an_unknown_change_of_the_search_is_told_in_one_line(
    change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--retrieval-only", "--compare", change]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
