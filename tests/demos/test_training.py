"""Training against steps calculated by hand from the whole weights' gradients, without peft."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import asdict
from typing import Any

import pytest

from tests.demos.conftest import assert_refused
from tutor.demos.demo import DemoCancelled, Run, Shown
from tutor.demos.figures import Plot
from tutor.demos.learning import adapted
from tutor.demos.loss import BOUND
from tutor.demos.training import Training
from tutor.demos.workbench import Workbench
from tutor.engine.cancel import Cancel

DEMO = Training()
TEXT, OTHER = "My cat is called Zorblax", "Water boils at a hundred degrees"
TAIL = 4
"""Zorblax is four tokens."""


def shown(bench: Workbench, **values: Any) -> Shown:
    return DEMO.run(bench, DEMO.parse({"text": TEXT, "other": OTHER} | values), Run())


@pytest.fixture(scope="module")
def trained(bench: Workbench) -> Shown:
    return shown(bench, steps=5)


def logits_of(model: Any, ids: list[int]) -> Any:
    import torch

    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def loss_of(logits: Any, ids: list[int]) -> Any:
    import torch

    return torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]))


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.05), ("adam", 0.001)])
def test_the_first_step_is_the_one_calculated_by_hand(
    bench: Workbench, model: Any, optimizer: str, rate: float
) -> None:
    import torch

    with adapted(model, 42):
        a = {
            f"{name}.weight": module.lora_A["default"].weight.detach().clone()
            for name, module in model.named_modules()
            if hasattr(module, "lora_A")
        }
    ids, other = bench.engine.tokenize(TEXT), bench.engine.tokenize(OTHER)
    weights = {name: p for name, p in model.named_parameters() if name in a}
    loss = loss_of(model(torch.tensor([ids])).logits[0], ids)
    gradients = dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))
    before = float(loss.detach())
    scale, length, moved = 16 / 8, 0.0, {}
    for name, weight in weights.items():
        # W' = W + 2 B A, so the gradient of B is 2 (dL/dW) A^T; that of A is 0 while B is.
        g = scale * gradients[name] @ a[name].T
        length += float(g.square().sum())
        step = g if optimizer == "sgd" else g / (g.abs() + 1e-8)
        moved[name] = weight.detach() - scale * rate * step @ a[name]

    def after(ids: list[int]) -> float:
        with torch.no_grad():
            output = torch.func.functional_call(model, moved, (torch.tensor([ids]),))
        return float(loss_of(output.logits[0], ids))

    result = shown(bench, steps=1, optimizer=optimizer, learning_rate=rate).result
    assert result["gradients"][0] == pytest.approx(math.sqrt(length), rel=1e-3)
    assert result["losses"] == pytest.approx([before, after(ids)], abs=2e-3)
    assert result["losses"][0] - result["losses"][1] > 0.5
    assert result["other_losses"][1] == pytest.approx(after(other), abs=2e-3)


def test_a_tiny_step_lowers_the_loss_by_the_rate_times_the_squared_gradient(
    bench: Workbench,
) -> None:
    result = shown(bench, steps=1, optimizer="sgd", learning_rate=0.002).result
    slope = (result["losses"][0] - result["losses"][1]) / 0.002
    assert result["gradients"][0] == pytest.approx(math.sqrt(slope), rel=0.02)


def test_the_probability_before_is_the_product_over_the_last_words_tokens(
    bench: Workbench, model: Any, trained: Shown
) -> None:
    ids = bench.engine.tokenize(TEXT)
    p = logits_of(model, ids).softmax(-1)
    expected = math.prod(float(p[n - 1, ids[n]]) for n in range(len(ids) - TAIL, len(ids)))
    told = trained.result["continuation"]
    assert (told["text"], told["tokens"]) == ("·Zorblax", TAIL)
    assert told["p_before"] == pytest.approx(expected, rel=1e-3)


def test_training_makes_the_last_word_likely(trained: Shown) -> None:
    told = trained.result["continuation"]
    assert told["p_before"] < 1e-9
    assert told["p_after"] > 0.1


def test_of_two_tokens_the_probability_after_is_that_of_the_loss_after(bench: Workbench) -> None:
    result = shown(bench, text="Hello world", steps=2).result
    expected = [math.exp(-result["losses"][n]) for n in (0, 2)]
    told = result["continuation"]
    assert [told["p_before"], told["p_after"]] == pytest.approx(expected, rel=1e-5)


def test_the_other_sentence_is_measured_and_not_trained(
    bench: Workbench, model: Any, trained: Shown
) -> None:
    ids = bench.engine.tokenize(OTHER)
    start, *rest = trained.result["other_losses"]
    assert start == pytest.approx(float(loss_of(logits_of(model, ids), ids)), abs=1e-4)
    fell = trained.result["losses"][0] - trained.result["losses"][-1]
    assert len(rest) == 5
    assert 0 < abs(rest[-1] - start) < fell / 4


def test_both_engines_agree_on_the_loss_before(trained: Shown) -> None:
    engines = trained.result["engines"]
    assert engines["llama_loss"] == pytest.approx(engines["torch_loss"], abs=BOUND)
    assert f"within the bound of {BOUND}" in trained.provenance.measured[-1]


def test_the_model_is_bit_for_bit_the_same_afterwards(bench: Workbench, model: Any) -> None:
    import torch

    ids = bench.engine.tokenize("A third sentence, which nobody trained on")
    before, free = logits_of(model, ids), [p.requires_grad for p in model.parameters()]
    modules = [(name, type(module)) for name, module in model.named_modules()]
    result = shown(bench, steps=2, learning_rate=0.01).result
    assert result["losses"][0] - result["losses"][2] > 0.5
    assert torch.equal(logits_of(model, ids), before)
    assert result["restored_difference"] == 0
    assert [(name, type(module)) for name, module in model.named_modules()] == modules
    assert [p.requires_grad for p in model.parameters()] == free
    assert not hasattr(model, "peft_config")


@pytest.mark.parametrize("looks", [40, 75])
def test_a_stop_amid_a_step_leaves_the_model_as_it_was(
    bench: Workbench, model: Any, looks: int
) -> None:
    """After the other sentence (30 layers): 40 looks are in the forward pass, 75 on the way back."""
    import torch

    ids = bench.engine.tokenize(TEXT)
    before, stop, seen = logits_of(model, ids), Cancel(), []

    def progress(stage: str, done: float) -> None:
        if stage == "after step 1":
            seen.append(done)
        if len(seen) == looks:
            stop.set()

    with pytest.raises(DemoCancelled):
        DEMO.run(bench, DEMO.parse({"text": TEXT, "learning_rate": 0.01}), Run(progress, stop))
    assert len(seen) == looks
    assert torch.equal(logits_of(model, ids), before)
    assert all(p.requires_grad for p in model.parameters())


def test_a_learning_rate_of_zero_moves_nothing_and_says_so(bench: Workbench) -> None:
    found = shown(bench, learning_rate=0, steps=2)
    for name in ("losses", "other_losses"):
        assert len(found.result[name]) == 3
        assert len(set(found.result[name])) == 1
    told = found.result["continuation"]
    assert told["p_before"] == told["p_after"]
    assert found.right == 2
    assert "every step has length 0" in found.seen


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_learning_rate_of_a_hundred_diverges_at_the_first_step(
    bench: Workbench, optimizer: str
) -> None:
    found = shown(bench, learning_rate=100, optimizer=optimizer)
    before, after = found.result["losses"]
    assert before < math.log(49_152) < after
    assert found.result["diverged_at"] == 1
    assert "diverged at step 1" in found.seen
    assert "rises" in found.prediction.choices[found.right]


def test_a_run_that_falls_first_is_stopped_where_it_rises_above_an_even_guess(
    bench: Workbench,
) -> None:
    found = shown(bench, learning_rate=1, optimizer="sgd")
    *below, last = found.result["losses"]
    assert len(below) > 1
    assert max(below) < math.log(49_152) < last
    assert found.result["diverged_at"] == len(below)
    plot = found.figures[0]
    assert isinstance(plot, Plot)
    assert plot.lines[-1].name == "even guess"


@pytest.mark.parametrize(
    ("rate", "steps", "choice"), [(0.003, 3, "less than half"), (0.0002, 2, "not to half")]
)
def test_the_right_choice_is_what_became_of_the_loss(
    bench: Workbench, rate: float, steps: int, choice: str
) -> None:
    found = shown(bench, learning_rate=rate, steps=steps)
    share = found.result["losses"][-1] / found.result["losses"][0]
    assert (share < 0.5, 0.5 < share < 0.99) == (
        choice == "less than half",
        choice != "less than half",
    )
    assert choice in found.prediction.choices[found.right]


def test_the_same_seed_draws_the_same_adapter_and_moves_no_other_draw(model: Any) -> None:
    import torch

    drawn, state = [], torch.random.get_rng_state()
    for seed in (7, 7, 8):
        with adapted(model, seed) as parameters:
            drawn.append(torch.cat([p.detach().flatten() for p in parameters]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_learners_seed_is_the_adapters(bench: Workbench) -> None:
    one, other = (shown(bench, steps=1, seed=seed).result["losses"] for seed in (7, 8))
    assert one[0] == other[0]
    assert one[1] != other[1]


def test_nothing_is_warned_of_in_the_terminal(bench: Workbench) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown(bench, steps=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 101}, "learning_rate: .*less than or equal to 100, not 101"),
        ({"learning_rate": -0.1}, "learning_rate: .*greater than or equal to 0"),
        ({"learning_rate": "nan"}, "learning_rate: .*finite"),
        ({"steps": 0}, "steps: .*greater than or equal to 1, not 0"),
        ({"steps": 21}, "steps: .*less than or equal to 20, not 21"),
        ({"optimizer": "luck"}, "'adam' or 'sgd'"),
        ({"text": "Hello"}, "text: give 2 to 64 tokens, this has 1"),
        ({"text": ""}, "text: .*at least 1 character"),
        ({"text": "a" + " a" * 64}, "text: give 2 to 64 tokens, this has 65"),
        ({"other": "Hello"}, "other: give 2 to 64 tokens, this has 1"),
        ({"other": f"{TEXT} "}, "other: give a sentence that is not the trained one"),
    ],
)
def test_input_out_of_range_is_refused_in_one_line(
    bench: Workbench, values: dict[str, Any], message: str
) -> None:
    assert_refused(lambda: shown(bench, **values), message)


def test_all_that_is_shown_is_json(trained: Shown) -> None:
    assert json.loads(json.dumps(asdict(trained), allow_nan=False))["result"]["steps"] == 5
