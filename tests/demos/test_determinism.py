"""The same twice against llama-cpp-python's own Llama; changes against a shorter model and autograd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tutor.demos.demo import DemoCancelled, DemoError, Run, Shown
from tutor.demos.determinism import Determinism
from tutor.demos.torch_copy import BOUND
from tutor.demos.workbench import Workbench
from tutor.engine.cancel import Cancel
from tutor.engine.settings import Sampling

DEMO = Determinism()
TEXT = "The capital of France is"


def shown(bench: Workbench, **values: Any) -> Shown:
    return DEMO.run(bench, DEMO.parse(values), Run())


@pytest.fixture(scope="module")
def without_layer(bench: Workbench) -> Shown:
    return shown(bench, text=TEXT, layer=11)


def logits_of(model: Any, ids: list[int]) -> Any:
    import torch

    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0, -1].numpy()


def fingerprint(model: Any) -> list[bytes]:
    return [parameter.detach().numpy().tobytes() for parameter in model.parameters()]


def test_the_same_text_read_twice_gives_the_same_logits(without_layer: Shown) -> None:
    assert without_layer.result["greatest_difference"] == 0.0


def test_the_logits_are_those_of_another_llama(
    bench: Workbench, model_path: Path, without_layer: Shown
) -> None:
    from llama_cpp import Llama

    other = Llama(str(model_path), n_ctx=256, flash_attn=True, verbose=False, logits_all=True)
    try:
        other.eval(bench.engine.tokenize(TEXT))
        logits = other.scores[other.n_tokens - 1].copy()
    finally:
        other.close()
    for reading in without_layer.result["readings"]:
        assert reading["first"] == pytest.approx(float(logits[reading["id"]]), abs=1e-3)


def test_a_layer_times_zero_is_a_model_without_that_layer(
    bench: Workbench, model: Any, without_layer: Shown
) -> None:
    import torch

    whole = model.model.layers
    model.model.layers = torch.nn.ModuleList(layer for n, layer in enumerate(whole) if n != 11)
    try:
        expected = logits_of(model, bench.engine.tokenize(TEXT))
    finally:
        model.model.layers = whole
    for candidate in without_layer.result["candidates"]:
        assert candidate["logit_after"] == pytest.approx(expected[candidate["id"]], abs=1e-3)


def test_a_small_change_of_one_weight_moves_logits_by_its_gradient(
    bench: Workbench, model: Any
) -> None:
    import torch

    factor = 1.02
    result = shown(bench, text=TEXT, change="weight", layer=9, factor=factor).result
    place = result["changed"]
    candidate = max(result["candidates"], key=lambda c: abs(c["logit_after"] - c["logit_before"]))
    weight = model.model.layers[9].mlp.down_proj.weight
    ids = torch.tensor([bench.engine.tokenize(TEXT)])
    logit = model(ids, use_cache=False).logits[0, -1, candidate["id"]]
    (gradient,) = torch.autograd.grad(logit, weight)
    expected = float(gradient[place["row"], place["column"]]) * place["value"] * (factor - 1)
    moved = candidate["logit_after"] - candidate["logit_before"]
    assert moved == pytest.approx(expected, rel=0.2)


def test_the_one_weight_is_the_largest_of_its_matrix(bench: Workbench, model: Any) -> None:
    place = shown(bench, text=TEXT, change="weight", layer=9).result["changed"]
    weights = model.model.layers[9].mlp.down_proj.weight.detach().numpy()
    assert abs(weights[place["row"], place["column"]]) == np.abs(weights).max()
    assert place["weights"] == 1


@pytest.mark.parametrize("change", ["layer", "weight"])
def test_the_weights_are_put_back_to_the_last_bit(
    bench: Workbench, model: Any, change: str
) -> None:
    before = fingerprint(model)
    shown(bench, text=TEXT, change=change, factor=3)
    assert fingerprint(model) == before


def test_the_weights_are_put_back_when_it_is_stopped_in_the_middle(
    bench: Workbench, model: Any
) -> None:
    before, stop, during = fingerprint(model), Cancel(), []

    def progress(stage: str, done: float) -> None:
        if stage == "reading with the change" and done > 0.5 and not stop.is_set():
            during.append(fingerprint(model))
            stop.set()

    with pytest.raises(DemoCancelled):
        DEMO.run(bench, DEMO.parse({"text": TEXT}), Run(progress, stop))
    assert during[0] != before
    assert fingerprint(model) == before


def test_times_one_nothing_moves(bench: Workbench) -> None:
    found = shown(bench, text=TEXT, factor=1)
    assert found.result["moved"] == 0.0
    assert found.right == 0


def test_the_right_choice_follows_the_first_choices(bench: Workbench, model: Any) -> None:
    found = shown(bench, text="The sky is", layer=11)
    before, after = found.result["before"], found.result["after"]
    assert before["id"] == int(logits_of(model, bench.engine.tokenize("The sky is")).argmax())
    assert found.right == (0 if before["id"] == after["id"] else 1)


def test_what_differs_between_the_engines_is_told_as_it_is(
    bench: Workbench, model: Any, without_layer: Shown
) -> None:
    ids = bench.engine.tokenize(TEXT)
    llama = np.exp(bench.engine.next(ids, Sampling()).logprobs.astype(np.float64))
    logits = logits_of(model, ids).astype(np.float64)
    torchs = np.exp(logits - np.logaddexp.reduce(logits))
    share = without_layer.result["engines"]["share"]
    assert share == pytest.approx(np.maximum(llama - torchs, 0).sum(), abs=1e-4)
    assert f"{share:.1%}" in " ".join(without_layer.provenance.measured)


@pytest.mark.parametrize("text", ["Once upon a", "GG = 1", "The sky is", "x\n", "Hello"])
def test_llama_cpp_and_torch_agree_within_the_bound(bench: Workbench, text: str) -> None:
    assert shown(bench, text=text, factor=1).result["engines"]["share"] <= BOUND


@pytest.mark.parametrize("layer", [-1, 30])
def test_a_layer_that_does_not_exist_is_refused_with_the_range(
    bench: Workbench, layer: int
) -> None:
    with pytest.raises(DemoError, match=f"layer: there are 0 to 29, not {layer}"):
        shown(bench, layer=layer)


@pytest.mark.parametrize("factor", [-101, 101])
def test_a_factor_out_of_range_is_refused(factor: float) -> None:
    with pytest.raises(DemoError, match=r"factor: .*100"):
        DEMO.parse({"factor": factor})


def test_a_text_of_spaces_is_refused(bench: Workbench) -> None:
    with pytest.raises(DemoError, match="this has 0"):
        shown(bench, text="   ")


def test_a_text_over_128_tokens_is_refused_with_their_number(bench: Workbench) -> None:
    with pytest.raises(DemoError, match="at most 128 tokens fit here, this has 200"):
        shown(bench, text=" a" * 200)
