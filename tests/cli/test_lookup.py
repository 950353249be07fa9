from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tutor.cli import main


def test_explained_results_tell_both_ranks_both_scores_and_the_words(run: Run) -> None:
    (found,) = run("search", "why does a high temperature flatten", "--json", "--explain")
    first = found["results"][0]
    assert {"dense_rank", "dense", "bm25_rank", "bm25", "fused", "closest", "matched"} <= set(first)
    assert "temperature" in first["matched"] and first["fused"] == first["score"]
    assert found["scope"]["answerable"]


def test_an_explained_search_for_nonsense_says_that_it_would_be_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["search", "asdf qwer zxcv", "--explain"]) == 0
    assert "would be refused" in capsys.readouterr().out


def test_a_batch_gives_each_id_back_and_the_reason_where_nothing_was_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"id": "a", "query": " "}\n{"query": "what is lora"}\n')
    assert main(["search", "--batch", str(file), "--k", "1"]) == 1
    empty, found = map(json.loads, capsys.readouterr().out.splitlines())
    assert empty["id"] == "a" and "empty" in empty["error"]
    assert found["id"] == "2" and found["results"]


@pytest.mark.parametrize(
    "item", ['{"query": null}', "{}", '{"query": 3}', '{"query": "x", "id": []}']
)
def test_a_wrong_query_is_told_by_its_line_before_any_is_looked_for(
    item: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text(f'{{"query": "what is lora"}}\n{item}\n')
    assert main(["search", "--batch", str(file)]) == 2
    out, err = capsys.readouterr()
    assert not out and "line 2" in err


def test_a_batch_of_queries_gives_a_line_each(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"query": "what is a token"}\n{"question": "what is lora"}\n')
    found = run("search", "--batch", str(file), "--k", "2")
    assert [line["query"] for line in found] == ["what is a token", "what is lora"]
    assert all(len(line["results"]) == 2 for line in found)
