from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tutor.cli import main


def test_next_tells_every_stage_and_what_each_keeps_sums_to_one(run: Run) -> None:
    (found,) = run("next", "Once upon a", "--json", "--top-k", "5", "--top-p", "0.9")
    kept = [stage["kept"] for stage in found["stages"]]
    assert kept == sorted(kept, reverse=True) and kept[-1] <= 5
    for stage in found["stages"]:
        if stage["kept"] <= 5:
            assert math.isclose(sum(c["p"] for c in stage["candidates"]), 1, abs_tol=1e-4)
    best = found["candidates"][0]
    assert {"id", "text", "logit", "logprob", "p_full", "p_final", "cut_by"} <= set(best)
    assert best["text"] == " time" and found["entropy_bits"] > 0


def test_next_as_chat_reads_the_template_too(run: Run) -> None:
    (raw,) = run("next", "Hello", "--json", "--raw")
    (chat,) = run("next", "Hello", "--json", "--chat")
    assert raw["candidates"][0]["id"] != chat["candidates"][0]["id"]


def test_compare_tells_where_and_why_the_answers_part(run: Run) -> None:
    (found,) = run(
        "compare", "What is a token?", "--with", "greedy=false,temperature=3,top_k=0,top_p=1,min_p=0,seed=5",
        "--json", "--greedy", "--max-tokens", "12",
    )  # fmt: skip
    first, second = found["columns"]
    at = second["parts_at"]
    assert first["parts_at"] is None and "%" in second["parts_because"]
    assert first["tokens"][:at] == second["tokens"][:at]


def test_compare_lets_base_and_adapter_speak(run: Run) -> None:
    (found,) = run(
        "compare", "What is a token?", "--with", "adapter=none",
        "--json", "--greedy", "--max-tokens", "8",
    )  # fmt: skip
    assert [column["adapter"] for column in found["columns"]] == ["tutor", None]


@pytest.mark.parametrize(("flags", "speaker"), [([], None), (["--adapter", "tutor"], "tutor")])
def test_next_shows_and_names_the_variant_that_speaks(
    run: Run, flags: list[str], speaker: str | None
) -> None:
    (found,) = run("next", "What is a token?", "--chat", "--json", *flags)
    assert found["model"].startswith("SmolLM2") and found["adapter"] == speaker


def test_next_hears_how_strongly_the_adapter_acts(run: Run) -> None:
    asked = ("next", "What is a token?", "--chat", "--json")
    (without,), (faint,) = run(*asked), run(*asked, "--adapter", "tutor", "--adapter-scale", "0")
    assert (faint["adapter"], faint["adapter_scale"]) == ("tutor", 0)
    assert [c["id"] for c in faint["candidates"]] == [c["id"] for c in without["candidates"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ["next", ""],
        ["compare", "What is a token?", "--with", "seed=2", "--lesson", "14"],
        ["next", "a", "--top", "0"],
        ["next", "a", "--top-p", "1.5"],
        ["compare", "What is a token?"],
        ["compare", "What is a token?", "--with", "hot"],
        ["compare", "What is a token?", "--with", "adapter=nobody"],
        ["compare", "", "--with", "seed=2"],
    ],
)
def test_wrong_use_is_told_in_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_people_get_bars_and_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["next", "Once upon a"]) == 0
    printed = capsys.readouterr().out
    assert "█" in printed and "·time" in printed and "entropy" in printed


def test_a_trace_has_one_line_a_token_with_its_alternatives(run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    (found,) = run(
        "ask", "What is a token?", "--json", "--trace", str(trace), "--max-tokens", "6"
    )  # fmt: skip
    lines = [json.loads(line) for line in trace.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == found["usage"]["completion_tokens"]
    assert all(line["candidates"] and line["entropy_bits"] >= 0 for line in lines)
