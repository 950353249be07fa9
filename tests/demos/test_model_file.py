"""The file's tensors, against the same weights in transformers and against arithmetic by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.demos.conftest import stopping
from tutor.demos.demo import DemoCancelled, DemoError, Run, Shown
from tutor.demos.figures import Bars
from tutor.demos.model_file import ModelFile, _opened
from tutor.demos.workbench import Workbench
from tutor.engine.weights import torch_model

DEMO = ModelFile()
# Pieces of transformers' parameter names, by our groups.
NAMES = {
    "embedding table": "embed_tokens",
    "attention: queries": "q_proj",
    "attention: keys": "k_proj",
    "attention: values": "v_proj",
    "attention: output": "o_proj",
    "feed-forward: gate": "gate_proj",
    "feed-forward: up": "up_proj",
    "feed-forward: down": "down_proj",
    "normalisations": "norm",
}


@pytest.fixture(scope="module")
def opened(bench: Workbench) -> Shown:
    return DEMO.run(bench, DEMO.parse({"layer": "3"}), Run())


def groups(shown: Shown) -> dict[str, Any]:
    return {group["name"]: group for group in shown.result["groups"]}


def test_every_group_has_the_parameters_that_transformers_counts(
    opened: Shown, model_path: Path, cache: Path
) -> None:
    counted = dict.fromkeys(NAMES, 0)
    for name, parameter in torch_model(model_path, cache).named_parameters():
        (group,) = (group for group, piece in NAMES.items() if piece in name)
        counted[group] += parameter.numel()
    assert {name: g["parameters"] for name, g in groups(opened).items()} == counted


def test_the_parameters_are_134_515_008_in_all(opened: Shown) -> None:
    layer = 2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536 + 2 * 576
    assert opened.result["parameters"] == 49_152 * 576 + 30 * layer + 576 == 134_515_008
    assert "134.5 M" in opened.seen


def test_each_group_takes_the_bytes_of_its_type(opened: Shown) -> None:
    # Q8_0: blocks of 32 signed bytes and a scale in half precision.
    a_weight = {"F32": 4, "BF16": 2, "Q8_0": 34 / 32}
    for group in opened.result["groups"]:
        assert group["bytes"] == group["parameters"] * a_weight[group["stored"]]


def test_header_and_tensors_fill_the_file(opened: Shown, model_path: Path) -> None:
    size = model_path.stat().st_size
    filled = opened.result["header_bytes"] + opened.result["tensor_bytes"]
    padding = 32 * len(opened.result["tensors"])
    assert opened.result["file_bytes"] == size
    assert 0 <= size - filled < padding


def test_an_opened_layer_shows_its_nine_tensors(opened: Shown) -> None:
    layer = opened.figures[1]
    assert isinstance(layer, Bars)
    assert len(layer.bars) == 9
    assert all(bar.label.startswith("blk.3.") for bar in layer.bars)
    assert sum(bar.value for bar in layer.bars) == pytest.approx(3540.096)


def test_the_right_choice_is_the_part_with_the_most_parameters(opened: Shown) -> None:
    feed_forward, attention = 30 * 3 * 576 * 1536, 30 * (2 * 576 * 576 + 2 * 576 * 192)
    assert feed_forward > 49_152 * 576 > attention / 2
    assert "feed-forward" in opened.prediction.choices[opened.right]


def test_the_shipped_file_holds_as_many_parameters_in_fewer_bytes(
    bench: Workbench, opened: Shown
) -> None:
    shipped = DEMO.run(bench, DEMO.parse({"file": "shipped"}), Run()).result
    assert shipped["parameters"] == opened.result["parameters"]
    assert shipped["file_bytes"] == pytest.approx(98e6, rel=0.01)
    assert "Q4_1" in {g["stored"] for g in shipped["groups"]}


@pytest.mark.parametrize("layer", [-1, 30, 1000])
def test_a_layer_that_does_not_exist_is_refused_with_the_range(
    bench: Workbench, layer: int
) -> None:
    with pytest.raises(DemoError, match=f"layer: there are 0 to 29, not {layer}"):
        DEMO.run(bench, DEMO.parse({"layer": layer}), Run())


def test_another_file_is_refused_with_the_choices() -> None:
    with pytest.raises(DemoError, match="'running' or 'shipped'"):
        DEMO.parse({"file": "/etc/passwd"})


def test_reading_the_file_can_be_stopped(bench: Workbench) -> None:
    _opened.cache_clear()
    with pytest.raises(DemoCancelled):
        DEMO.run(bench, DEMO.parse({}), stopping())
