from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.demos.conftest import assert_refused
from tutor.demos.demo import DemoError, Run, Shown
from tutor.demos.samplers import USUAL, Samplers
from tutor.demos.workbench import Workbench
from tutor.engine.settings import Sampling

DEMO = Samplers()
FIRST = ("temperature", "top_k", "top_p", "min_p")


def show(bench: Workbench, **values: Any) -> Shown:
    return DEMO.run(bench, DEMO.parse(values), Run())


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def by_hand(
    logprobs: NDArray[np.float32], order: tuple[str, ...], **knobs: Any
) -> dict[int, float]:
    """What can be drawn and with which probability, by the textbook definition of each sampler."""
    ids = np.argsort(-logprobs, kind="stable")
    logits = logprobs[ids].astype(np.float64)
    for name in order:
        if name == "temperature":
            logits = logits / knobs["temperature"]
        elif name == "top_k" and knobs.get("top_k"):
            ids, logits = ids[: knobs["top_k"]], logits[: knobs["top_k"]]
        elif name == "top_p":
            keep = int(np.searchsorted(np.cumsum(softmax(logits)), knobs["top_p"])) + 1
            ids, logits = ids[:keep], logits[:keep]
        elif name == "min_p":
            p = softmax(logits)
            ids, logits = ids[p >= knobs["min_p"] * p[0]], logits[p >= knobs["min_p"] * p[0]]
    return dict(zip(ids.tolist(), softmax(logits).tolist(), strict=True))


@pytest.mark.parametrize(
    "knobs",
    [
        {"temperature": 2.0, "top_p": 0.9, "min_p": 0.0},
        {"temperature": 1.5, "top_p": 0.9, "min_p": 0.05},
        {"temperature": 0.5, "top_p": 0.8, "min_p": 0.02, "top_k": 20},
    ],
)
def test_both_orders_keep_what_the_definitions_keep(
    bench: Workbench, knobs: dict[str, Any]
) -> None:
    text = "The best thing about summer is"
    found = bench.engine.next(bench.engine.tokenize(text), Sampling(), 1)
    shown = show(bench, text=text, **knobs).result
    for n, (key, order) in enumerate((("p_usual", USUAL), ("p_other", FIRST))):
        expected = by_hand(found.logprobs, order, **knobs)
        assert shown["orders"][n]["kept"] == pytest.approx(len(expected), rel=1e-3, abs=1)
        for candidate in shown["candidates"]:
            assert candidate[key] == pytest.approx(expected.get(candidate["id"], 0.0), abs=3e-4)


def test_what_only_one_order_keeps_is_counted(bench: Workbench) -> None:
    text, knobs = "I went to the", {"temperature": 1.5, "top_p": 0.5, "min_p": 0.0}
    logprobs = bench.engine.next(bench.engine.tokenize(text), Sampling(), 1).logprobs
    usual, other = (by_hand(logprobs, order, **knobs) for order in (USUAL, FIRST))
    shown = show(bench, text=text, **knobs).result
    assert shown["kept_by_both"] == len(usual.keys() & other.keys())
    assert shown["only_usual"] == len(usual.keys() - other.keys())
    assert shown["only_other"] == pytest.approx(len(other.keys() - usual.keys()), rel=1e-3)
    distance = sum(abs(usual.get(i, 0) - other.get(i, 0)) for i in usual.keys() | other.keys()) / 2
    assert shown["total_variation"] == pytest.approx(distance, abs=1e-3)


def test_a_hot_temperature_before_top_p_leaves_more_tokens(bench: Workbench) -> None:
    shown = show(bench, temperature=2.0, top_p=0.9)
    assert shown.prediction.choices[shown.right].startswith("temperature")


def test_a_cold_temperature_before_top_p_leaves_fewer_tokens(bench: Workbench) -> None:
    shown = show(bench, temperature=0.3, top_p=0.9)
    assert shown.prediction.choices[shown.right] == " → ".join(USUAL)


def test_the_same_order_twice_makes_no_difference(bench: Workbench) -> None:
    shown = show(bench, order=USUAL)
    assert shown.result["total_variation"] == 0
    assert shown.prediction.choices[shown.right].startswith("both")


def test_the_same_seed_draws_the_same_token_and_some_other_seed_another(bench: Workbench) -> None:
    results = [show(bench, seed=seed).result for seed in (7, 7, 8, 9)]
    assert all(result["same_seed_same_token"] for result in results)
    first, same, *others = (result["draws"][0]["id"] for result in results)
    assert first == same
    assert set(others) != {first}


def test_the_drawn_tokens_are_among_those_left(bench: Workbench) -> None:
    text, knobs = "My dog is", {"temperature": 1.2, "top_p": 0.6, "min_p": 0.0}
    logprobs = bench.engine.next(bench.engine.tokenize(text), Sampling(), 1).logprobs
    draws = [draw["id"] for draw in show(bench, text=text, **knobs).result["draws"]]
    assert {*draws[:3], draws[4]} <= by_hand(logprobs, USUAL, **knobs).keys()
    assert draws[3] in by_hand(logprobs, FIRST, **knobs)


def test_a_temperature_of_zero_takes_the_most_probable_token_in_any_order(
    bench: Workbench,
) -> None:
    text = "Once upon a"
    best = int(bench.engine.next(bench.engine.tokenize(text), Sampling(), 1).logprobs.argmax())
    shown = show(bench, text=text, temperature=0)
    assert {draw["id"] for draw in shown.result["draws"]} == {best}
    assert [order["kept"] for order in shown.result["orders"]] == [1, 1]
    assert shown.result["orders"][0]["entropy_bits"] == 0
    assert "greedy" in shown.seen


def test_a_token_that_was_cut_names_the_stage_and_has_no_probability(bench: Workbench) -> None:
    shown = show(bench, text="The capital of France is", top_p=0.5, temperature=1.0)
    cut = [c for c in shown.result["candidates"] if c["cut_by_usual"]]
    assert cut
    assert {(c["cut_by_usual"], c["p_usual"]) for c in cut} == {("top_p", 0.0)}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"order": "top_k,top_p"}, "order: name each of top_k, top_p, min_p, temperature once"),
        ({"order": "dry,top_k,top_p,min_p"}, "order: name each of"),
        ({"temperature": 6}, "temperature: .*less than or equal to 5"),
        ({"top_p": 0}, "top_p: .*greater than 0"),
        ({"min_p": 2}, "min_p: .*less than or equal to 1"),
        ({"top_k": 1001}, "top_k: .*less than or equal to 1000"),
        ({"seed": -1}, "seed: .*greater than or equal to 0"),
        ({"text": ""}, "text: .*at least 1 character"),
    ],
)
def test_a_value_outside_its_range_is_refused_in_one_line(
    values: dict[str, Any], message: str
) -> None:
    assert_refused(lambda: DEMO.parse(values), message)


def test_a_text_of_spaces_is_refused(bench: Workbench) -> None:
    with pytest.raises(DemoError, match="at least one character that is not a space"):
        show(bench, text="   ")


def test_an_order_is_given_with_commas() -> None:
    inputs = DEMO.parse({"order": "min_p, temperature, top_p, top_k"})
    assert inputs.order == ("min_p", "temperature", "top_p", "top_k")


def test_it_is_json(bench: Workbench) -> None:
    assert json.loads(json.dumps(asdict(show(bench))))["demo"] == "samplers"
