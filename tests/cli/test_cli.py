from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tutor.cli import main


def test_ask_cites_lesson_six_first(run: Run) -> None:
    question = "Why does a high temperature make answers stranger?"
    (found,) = run("ask", "--json", question, "--max-tokens", "8", "--greedy")
    assert found["sources"][0]["lesson"] == 6
    assert found["settings"]["greedy"] and found["usage"]["completion_tokens"] <= 8
    assert {"id", "answer_source", "model_text", "refused", "intent", "demo", "grounding"} <= set(
        found
    )


def test_ask_batch_answers_conversations_line_by_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "q.jsonl"
    turns = ["What is a minibatch?", "why more than one?"]
    lines = [
        {"id": "a", "turns": turns},
        {"id": "b", "question": ""},
        {"id": "c", "question": "what is lora"},
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    assert main(["ask", "--batch", str(file), "--max-tokens", "4"]) == 1
    out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["id"] for line in out] == ["a", "b", "c"]
    assert "minibatch" in out[0]["answer"] and "error" in out[1]


def test_search_ranks_passages(run: Run) -> None:
    (found,) = run("search", "kv cache", "--k", "2", "--json")
    assert [r["rank"] for r in found["results"]] == [1, 2]
    assert found["results"][0]["passage_id"] == "5/what-is-the-kv-cache"


def test_lessons_lists_thirteen_and_shows_one(run: Run) -> None:
    (listed,) = run("lessons", "--json")
    assert len(listed) == 13
    (six,) = run("lessons", "6", "--json")
    assert six["number"] == 6 and six["sections"][0]["text"]


def test_tokens_of_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"42")))
    (found,) = run("tokens", "-", "--json")
    assert found["count"] == 2 and [t["text"] for t in found["tokens"]] == ["4", "2"]


def test_config_set_is_kept(run: Run) -> None:
    run("config", "set", "temperature", "0.5", "--json")
    (shown,) = run("config", "show", "--json")
    assert shown["settings"]["temperature"] == 0.5


def test_doctor_index_and_sessions_answer_in_json(run: Run) -> None:
    run("index", "build", "--json")
    assert run("index", "status", "--json")[0]["state"] == "ready"
    assert run("doctor", "--json")[0]["ok"]
    assert run("sessions", "list", "--json")[0] == {"sessions": []}


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "x", "--k", "0"],
        ["next", "x", "--top", "-1"],
        ["eval", "--limit", "-3"],
        ["lora", "compare", "--limit", "0"],
        ["lora", "data", "--inspect", "-1"],
        ["lora", "train", "--examples", "0"],
    ],
)
def test_a_number_that_counts_nothing_is_refused_by_name(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert arguments[-2] in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask", ""],
        ["ask", "x", "--temperature", "-1"],
        ["ask", "x", "--seed", "text"],
        ["ask", "x", "--lesson", "99"],
        ["ask", "x", "--adapter", "nobody"],
        ["ask", "x", "--model", "/nowhere.gguf"],
        ["ask", "--batch", "/nowhere.jsonl"],
        ["ask", "x", "--batch", "/nowhere.jsonl"],
        ["search", "x", "--batch", "/nowhere.jsonl"],
        ["demo", "next-token", "--temperature", "2"],
        ["lessons", "14"],
        ["search", ""],
        ["tokens", ""],
        ["sessions", "export", "7"],
        ["sessions", "delete", "99999999999999999999"],
        ["config", "set", "warmth", "1"],
        ["nonsense"],
    ],
)
def test_wrong_use_is_one_line_and_status_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert len(printed.err.strip().splitlines()) == 1 and "Traceback" not in printed.err
