"""Attention against numpy by hand; a head switched off against an output matrix without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.demos.conftest import assert_refused
from tutor.demos.attention import Attention
from tutor.demos.demo import DemoCancelled, Run, Shown
from tutor.demos.figures import Heatmap
from tutor.demos.workbench import Workbench
from tutor.engine.cancel import Cancel

DEMO = Attention()
TEXT = "Anna gave Ben the book because he had asked for it"
WIDTH, EPSILON, ROPE_BASE = 64, 1e-5, 100_000.0


def shown(bench: Workbench, **values: Any) -> Shown:
    return DEMO.run(bench, DEMO.parse({"text": TEXT} | values), Run())


@pytest.fixture(scope="module")
def found(bench: Workbench) -> Shown:
    return shown(bench)


def by_hand(model: Any, ids: list[int], layer: int, head: int) -> NDArray[np.float64]:
    """Softmax(q k / 8) under the mask, from the layer's input, in float64."""
    import torch

    with torch.no_grad():
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
    block = model.model.layers[layer]

    def weights(module: Any) -> NDArray[np.float64]:
        return module.weight.detach().numpy().astype(np.float64)

    x = states.numpy().astype(np.float64)
    x = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + EPSILON) * weights(block.input_layernorm)
    kv = head // 3
    q = x @ weights(block.self_attn.q_proj)[head * WIDTH : (head + 1) * WIDTH].T
    k = x @ weights(block.self_attn.k_proj)[kv * WIDTH : (kv + 1) * WIDTH].T
    angles = np.outer(np.arange(len(ids)), ROPE_BASE ** (-np.arange(0, WIDTH, 2) / WIDTH))
    turn = np.exp(1j * angles)

    def rotated(v: NDArray[np.float64]) -> NDArray[np.complex128]:
        return (v[:, : WIDTH // 2] + 1j * v[:, WIDTH // 2 :]) * turn

    scores = (rotated(q) @ rotated(k).conj().T).real / np.sqrt(WIDTH)
    scores[np.triu_indices(len(ids), 1)] = -np.inf
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def matrix(shown: Shown) -> NDArray[np.float64]:
    rows = shown.result["weights"]
    return np.array([[0.0 if w is None else w for w in row] for row in rows])


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (13, 8), (16, 3), (29, 5)])
def test_the_weights_are_those_calculated_by_hand(
    bench: Workbench, model: Any, layer: int, head: int
) -> None:
    expected = by_hand(model, bench.engine.tokenize(TEXT), layer, head)
    np.testing.assert_allclose(matrix(shown(bench, layer=layer, head=head)), expected, atol=2e-4)


def test_the_map_is_a_triangle_with_nothing_above_the_diagonal(found: Shown) -> None:
    figure = found.figures[0]
    assert isinstance(figure, Heatmap)
    empty = np.array([[w is None for w in row] for row in figure.values])
    assert (empty == ~np.tri(len(figure.rows), dtype=bool)).all()
    assert found.result["above_diagonal"] == 0.0


def test_every_row_sums_to_one(found: Shown) -> None:
    assert found.result["row_sums"] == pytest.approx([1.0] * len(found.result["tokens"]), abs=1e-5)


def test_the_sink_is_the_mean_of_the_first_column_without_its_first_row(
    bench: Workbench, model: Any, found: Shown
) -> None:
    expected = by_hand(model, bench.engine.tokenize(TEXT), 13, 8)[1:, 0].mean()
    assert found.result["sink"] == pytest.approx(expected, abs=1e-4)
    assert f"{expected:.0%} of theirs on the first" in found.seen


def test_hiding_the_sink_takes_its_column_and_nothing_else(bench: Workbench, found: Shown) -> None:
    hidden = shown(bench, hide_sink="true")
    before, after = found.figures[0], hidden.figures[0]
    assert isinstance(before, Heatmap)
    assert isinstance(after, Heatmap)
    assert all(row[0] is None for row in after.values)
    assert [row[1:] for row in after.values] == [row[1:] for row in before.values]
    assert hidden.result["row_sums"] == found.result["row_sums"]


@pytest.mark.parametrize(("head", "kv", "others"), [(0, 0, [1, 2]), (4, 1, [3, 5]), (8, 2, [6, 7])])
def test_three_query_heads_share_a_key_value_head(
    bench: Workbench, head: int, kv: int, others: list[int]
) -> None:
    result = shown(bench, head=head).result
    assert (result["kv_head"], result["shared_with"]) == (kv, others)


def test_a_head_off_is_an_output_matrix_without_its_columns(bench: Workbench, model: Any) -> None:
    import torch

    result = shown(bench, layer=16, head=3).result["without_head"]
    weight = model.model.layers[16].self_attn.o_proj.weight
    kept = weight.detach().clone()
    ids = torch.tensor([bench.engine.tokenize(TEXT)])
    try:
        with torch.no_grad():
            before = model(ids).logits[0, -1].softmax(-1)
            weight[:, 3 * WIDTH : 4 * WIDTH] = 0
            after = model(ids).logits[0, -1].softmax(-1)
    finally:
        weight.data.copy_(kept)
    best = int(before.argmax())
    assert result["before"]["id"] == best
    # Summing in another order moves the fifth digit; the head itself moves the second.
    assert abs(float(after[best] - before[best])) > 0.01
    assert result["before"]["p"] == pytest.approx(float(before[best]), abs=1e-4)
    assert result["p_after"] == pytest.approx(float(after[best]), abs=1e-4)
    assert result["after"]["id"] == int(after.argmax())
    expected = float((before[best] / after[best]).log2())
    assert result["bits_lost"] == pytest.approx(expected, abs=1e-3)


def test_the_head_works_again_afterwards(bench: Workbench, found: Shown) -> None:
    assert shown(bench).result == found.result


def test_the_head_works_again_after_a_stop(bench: Workbench, found: Shown) -> None:
    stop = Cancel()

    def progress(stage: str, done: float) -> None:
        if stage == "reading without the head" and done > 0.5:
            stop.set()

    with pytest.raises(DemoCancelled):
        DEMO.run(bench, DEMO.parse({"text": TEXT}), Run(progress, stop))
    assert shown(bench).result == found.result


@pytest.mark.parametrize(("layer", "head"), [(13, 8), (16, 0), (23, 0), (0, 4)])
def test_the_right_choice_is_where_the_last_row_is_greatest(
    bench: Workbench, model: Any, layer: int, head: int
) -> None:
    run = shown(bench, layer=layer, head=head)
    row = by_hand(model, bench.engine.tokenize(TEXT), layer, head)[-1]
    last = len(row) - 1
    words = {0: "very first", last - 1: "just before", last: "itself"}
    expected = words.get(int(row.argmax()), "in between")
    assert expected in run.prediction.choices[run.right]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layer": 30}, "layer: there are 0 to 29, not 30"),
        ({"layer": -1}, "layer: there are 0 to 29, not -1"),
        ({"head": 9}, "head: there are 0 to 8, not 9"),
        ({"head": -1}, "head: there are 0 to 8, not -1"),
        ({"text": "Hello"}, "give 2 to 128 tokens, this has 1"),
        ({"text": " a" * 129}, "at most 128 tokens fit here, this has 129"),
        ({"text": " a" * 10_000}, "this has 10000"),
    ],
)
def test_input_out_of_range_is_refused_with_the_range(
    bench: Workbench, values: dict[str, Any], message: str
) -> None:
    assert_refused(lambda: shown(bench, **values), message)


def test_128_tokens_are_shown(bench: Workbench) -> None:
    assert len(shown(bench, text="a" + " a" * 127).result["weights"]) == 128
