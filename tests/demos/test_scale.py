"""The quantizations against the gguf package and their kept losses; the machine against psutil."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from gguf import GGUFReader

from tests.demos.conftest import assert_refused, stopping
from tutor.demos import scale
from tutor.demos.demo import DemoCancelled, DemoError, Run, Shown
from tutor.demos.figures import Table
from tutor.demos.scale import Scale
from tutor.demos.workbench import Workbench
from tutor.engine.engine import Engine
from tutor.engine.errors import EngineError
from tutor.engine.prepare import embedded_model_path

DEMO = Scale()


def show(bench: Workbench, **values: Any) -> Shown:
    return DEMO.run(bench, DEMO.parse(values), Run())


@pytest.fixture(scope="module")
def shown(bench: Workbench) -> Shown:
    return show(bench, quantizations="Q8_0,Q2_K", bits=16)


@pytest.fixture(scope="module")
def rows(shown: Shown) -> dict[str, dict[str, Any]]:
    return {row["quantization"]: row for row in shown.result["quantizations"]}


@pytest.mark.parametrize("quantization", ["Q8_0", "Q2_K"])
def test_bits_a_weight_are_the_tensors_bytes_by_their_elements(
    rows: dict[str, dict[str, Any]], cache: Path, quantization: str
) -> None:
    path = cache / "models" / f"SmolLM2-135M-Instruct-{quantization}.gguf"
    tensors = GGUFReader(path).tensors
    total, elements = (
        sum(int(getattr(tensor, name)) for tensor in tensors) for name in ("n_bytes", "n_elements")
    )
    row = rows[quantization]
    assert (row["tensor_bytes"], row["parameters"]) == (total, elements)
    assert row["bits_per_weight"] == pytest.approx(8 * total / elements)
    assert row["file_bytes"] == path.stat().st_size


def test_fewer_bits_cost_more_loss_than_chance_explains(rows: dict[str, dict[str, Any]]) -> None:
    low = rows["Q2_K"]
    assert low["loss_above"] == "Q8_0"
    assert low["loss_more"] == pytest.approx(low["loss"] - rows["Q8_0"]["loss"])
    assert low["loss_more"] > 2 * low["loss_more_standard_error"] > 0


def test_the_standard_error_is_that_of_the_paired_differences(
    rows: dict[str, dict[str, Any]], shown: Shown, cache: Path
) -> None:
    kept = [json.loads(file.read_text())["nats"] for file in (cache / "scale").glob("*.json")]
    by_loss = {round(float(np.mean(nats)), 9): np.array(nats) for nats in kept}
    high, low = (by_loss[round(rows[name]["loss"], 9)] for name in ("Q8_0", "Q2_K"))
    n = shown.result["scored"]["tokens"]
    variance = np.sum((low - high - np.mean(low - high)) ** 2) / (n - 1)
    assert len(high) == n >= 256
    assert rows["Q2_K"]["loss_more_standard_error"] == pytest.approx(np.sqrt(variance / n))


def test_the_cache_a_token_is_that_of_the_lesson(shown: Shown) -> None:
    assert shown.result["kv_bytes_per_token"] == {"measured": 23_052, "calculated": 23_040}


def test_the_bound_on_writing_counts_weights_and_cache(
    shown: Shown, rows: dict[str, dict[str, Any]]
) -> None:
    read = shown.result["machine"]["read_bytes_per_second"]
    row = rows["Q8_0"]
    expected = read / (row["tensor_bytes"] + 23_052 * (128 + 24))
    assert row["answer_tokens_per_second_at_most"] == pytest.approx(expected)


def test_the_machines_memory_is_what_the_system_says(shown: Shown) -> None:
    machine = shown.result["machine"]
    assert machine["memory_bytes"] == psutil.virtual_memory().total
    assert all(size["has_bytes"] == machine["free_memory_bytes"] for size in shown.result["larger"])


def test_a_model_over_memory_says_what_it_needs_and_what_there_is(shown: Shown) -> None:
    large = shown.result["larger"][2]
    # 70 billion weights of 2 bytes, 2,048 tokens of 80 layers x 8 heads x 128 x 2 x 2 bytes.
    assert large["needs_bytes"] == 140e9 + 2_048 * 327_680
    assert not large["fits"]
    has = f"{large['has_bytes'] / 1e9:.1f}"
    assert f"70B needs 140.7 GB where {has}" in shown.seen.replace(f"{has}0", has)
    table = shown.figures[-1]
    assert isinstance(table, Table)
    assert table.rows[2][-1] == "does not fit"


def test_a_larger_prompt_speed_is_the_fastest_measured_by_parameters(
    shown: Shown, rows: dict[str, dict[str, Any]]
) -> None:
    fastest = max(row["prompt_tokens_per_second"] for row in rows.values())
    for size in shown.result["larger"]:
        expected = fastest * 134_515_008 / size["parameters"]
        assert size["prompt_tokens_per_second"] == pytest.approx(expected)


def test_the_right_choice_counts_what_fits_and_is_as_fast_as_reading(shown: Shown) -> None:
    machine = shown.result["machine"]
    needs = [2e9 + 2_048 * 32_768, 14e9 + 2_048 * 131_072, 140e9 + 2_048 * 327_680]
    usable = sum(
        need <= machine["free_memory_bytes"] and machine["read_bytes_per_second"] / need >= 5
        for need in needs
    )
    names = ("none of them", "only 1B", "1B and 7B", "all three")
    assert shown.prediction.choices[shown.right] == names[usable]


def test_a_loss_that_was_measured_once_is_kept(
    bench: Workbench, rows: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def scored_again(*arguments: Any) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr(Engine, "score", scored_again)
    (again,) = show(bench, quantizations="Q8_0").result["quantizations"]
    assert again["loss"] == rows["Q8_0"]["loss"]


def test_of_another_model_only_the_file_that_runs_is_measured(
    bench: Workbench, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "NAME", "as if the tutor's model were another")
    (row,) = show(bench, quantizations="Q4_0,Q2_K").result["quantizations"]
    assert (row["quantization"], row["file_bytes"]) == (
        bench.engine.info.quantization,
        bench.engine.info.file_bytes,
    )


def test_the_four_bit_file_is_the_shipped_one(bench: Workbench) -> None:
    assert scale._made(bench.cache, "Q4_1", Run(), 0.0) == embedded_model_path()


def test_a_quantization_that_cannot_be_made_says_why(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> Path:
        raise EngineError("the model could not be prepared: disk full?")

    monkeypatch.setattr(scale, "quantized_model", full)
    with pytest.raises(DemoError, match=r"nothing could be measured: .*disk full\?"):
        show(bench, quantizations="Q4_0")


def test_names_of_quantizations_are_taken_as_they_are_typed() -> None:
    assert DEMO.parse({"quantizations": "q8_0, F16,Q8_0"}).quantizations == ("Q8_0", "F16")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"quantizations": "Q9_9"}, "quantizations.0: .*'F16', 'BF16'.*not 'Q9_9'"),
        ({"quantizations": ""}, "quantizations: .*at least 1 item"),
        ({"bits": 1}, "bits: .*greater than or equal to 2"),
        ({"bits": 33}, "bits: .*less than or equal to 32"),
        ({"context": 0}, "context: .*greater than or equal to 1"),
        ({"context": 1_000_001}, "context: .*less than or equal to 1000000"),
        ({"lesson": 14}, "lesson: .*less than or equal to 13"),
    ],
)
def test_a_value_outside_its_range_is_refused_in_one_line(
    values: dict[str, Any], message: str
) -> None:
    assert_refused(lambda: DEMO.parse(values), message)


def test_it_stops_when_the_learner_stops_it(bench: Workbench) -> None:
    run = stopping(lambda stage, done: stage.startswith("measuring"))
    with pytest.raises(DemoCancelled):
        DEMO.run(bench, DEMO.parse({"quantizations": "Q8_0"}), run)


def test_it_is_json(shown: Shown) -> None:
    assert json.loads(json.dumps(asdict(shown)))["demo"] == "scale"
