from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from tests.demos.conftest import assert_refused, stopping
from tutor.demos.demo import DemoCancelled, Run, Shown
from tutor.demos.network import Net, Network, train
from tutor.demos.workbench import Workbench

XOR = (((0, 0), 0), ((0, 1), 1), ((1, 0), 1), ((1, 1), 0))


def shown(bench: Workbench, **values: Any) -> Shown:
    demo = Network()
    return demo.run(bench, demo.parse(values), Run())


def loss_by_hand(theta: list[float], hidden: int, relu: bool) -> float:
    """The mean cross-entropy, neuron by neuron, in plain Python."""
    total = 0.0
    out = theta[3 * hidden : -1]
    for inputs, want in XOR:
        reads: list[float] = list(map(float, inputs))
        if hidden:
            sums = [
                inputs[0] * theta[n] + inputs[1] * theta[hidden + n] + theta[2 * hidden + n]
                for n in range(hidden)
            ]
            reads = [max(s, 0.0) if relu else math.tanh(s) for s in sums]
        logit = sum(r * w for r, w in zip(reads, out, strict=True)) + theta[-1]
        p = 1 / (1 + math.exp(-logit))
        total -= math.log(p if want else 1 - p) / 4
    return total


def gradient_by_hand(theta: list[float], hidden: int, relu: bool) -> list[float]:
    found = []
    for n in range(len(theta)):
        up, down = list(theta), list(theta)
        up[n] += 1e-6
        down[n] -= 1e-6
        found.append((loss_by_hand(up, hidden, relu) - loss_by_hand(down, hidden, relu)) / 2e-6)
    return found


@pytest.mark.parametrize("hidden", [0, 1, 2, 8])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_gradient_is_the_finite_difference_of_a_loss_written_by_hand(
    hidden: int, activation: Any
) -> None:
    for seed in range(5):
        net = Net(hidden, activation, seed)
        theta = net.theta.tolist()
        relu = activation == "relu"
        assert net.loss() == pytest.approx(loss_by_hand(theta, hidden, relu), abs=1e-12)
        assert net.gradient() == pytest.approx(gradient_by_hand(theta, hidden, relu), abs=1e-8)


def test_training_takes_the_steps_of_a_loop_in_plain_python() -> None:
    net = Net(3, "tanh", 5)
    theta = net.theta.tolist()
    for loss in train(net, 0.5, 20):
        slopes = gradient_by_hand(theta, 3, relu=False)
        theta = [t - 0.5 * s for t, s in zip(theta, slopes, strict=True)]
        assert loss == pytest.approx(loss_by_hand(theta, 3, relu=False), abs=1e-7)


def test_the_network_of_the_lesson_solves_xor() -> None:
    net = Net(2, "relu", 0)
    # Lesson 3: h1 = ReLU(a + b), h2 = ReLU(a + b - 1), and the output h1 - 2 x h2.
    net.theta[:] = (1, 1, 1, 1, 0, -1, 1, -2, -0.5)
    logits = net.forward(np.array([inputs for inputs, _ in XOR], dtype=float)).logit
    assert logits.tolist() == [-0.5, 0.5, 0.5, -0.5]
    assert net.right() == 4


def test_no_straight_line_gets_more_than_three_cases(bench: Workbench) -> None:
    def separable(cases: tuple[tuple[tuple[int, int], int], ...]) -> bool:
        rows = [[-(2 * want - 1) * v for v in (*inputs, 1)] for inputs, want in cases]
        return bool(linprog([0, 0, 0], rows, [-1] * len(rows), bounds=(None, None)).success)

    most = max(k for k in range(1, 5) if any(map(separable, combinations(XOR, k))))
    result = shown(bench, hidden=0).result
    assert result["best_line_right"] == most == 3
    assert all(shown(bench, hidden=0, seed=n).result["right"] <= 3 for n in range(10))


def test_without_hidden_units_it_says_that_it_is_a_straight_line(bench: Workbench) -> None:
    assert "a straight line: at most 3 of 4" in shown(bench, hidden=0).seen


def test_the_right_choice_counts_the_outputs_on_the_right_side_of_a_half(bench: Workbench) -> None:
    for values in ({}, {"hidden": 2, "seed": 2}, {"hidden": 0, "seed": 1}):
        found = shown(bench, **values)
        right = sum(
            (p > 0.5) == bool(want)
            for p, (_, want) in zip(found.result["outputs"], XOR, strict=True)
        )
        assert found.result["right"] == right
        assert found.right == {4: 0, 3: 1}.get(right, 2)


def test_the_default_network_learns_xor(bench: Workbench) -> None:
    assert shown(bench).result["right"] == 4


def test_a_dead_unit_is_zero_in_every_case_and_told(bench: Workbench) -> None:
    found = next(
        f for seed in range(40) if (f := shown(bench, seed=seed, steps=50)).result["dead_units"]
    )
    columns = zip(*found.result["activations"], strict=True)
    assert found.result["dead_units"] == sum(not any(column) for column in columns)
    assert f"dead, 0 in every case: {found.result['dead_units']} of 4" in found.seen


def test_the_heatmap_has_the_four_outputs_at_its_four_cases(bench: Workbench) -> None:
    result = shown(bench).result
    grid = [round(v, 9) for v in result["grid"]]
    corners = [result["boundary"][grid[::-1].index(b)][grid.index(a)] for (a, b), _ in XOR]
    assert corners == pytest.approx(result["outputs"], abs=1e-12)


def test_every_parameter_is_shown_with_both_gradients(bench: Workbench) -> None:
    found = shown(bench, hidden=8)
    parameters = found.result["parameters"]
    # Lesson 3 counts inputs times neurons, and a bias for each: 2 x 8 + 8 and 8 + 1.
    assert len(parameters) == 33
    assert (
        max(abs(p["first_gradient"] - p["finite_difference"]) for p in parameters)
        == (found.result["gradient_difference"])
    )
    assert found.result["gradient_difference"] < 1e-8


def test_the_same_seed_gives_the_same_network(bench: Workbench) -> None:
    assert shown(bench, seed=3).result == shown(bench, seed=3).result
    assert shown(bench, seed=3).result["losses"] != shown(bench, seed=4).result["losses"]


def test_a_huge_learning_rate_gives_numbers_all_the_same(bench: Workbench) -> None:
    result = shown(bench, learning_rate=100, steps=10_000, hidden=8).result
    assert np.isfinite(result["losses"]).all()


def test_training_stops_when_the_learner_stops_it(bench: Workbench) -> None:
    demo = Network()
    with pytest.raises(DemoCancelled):
        demo.run(bench, demo.parse({}), stopping())


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"hidden": 9}, "hidden: .* less than or equal to 8"),
        ({"hidden": -1}, "hidden: .* greater than or equal to 0"),
        ({"learning_rate": 0}, "learning_rate: .* greater than 0"),
        ({"learning_rate": 101}, "learning_rate: .* less than or equal to 100"),
        ({"steps": 0}, "steps: .* greater than or equal to 1"),
        ({"steps": 10_001}, "steps: .* less than or equal to 10000"),
        ({"seed": -1}, "seed: .* greater than or equal to 0"),
        ({"activation": "gelu"}, "activation: .*'relu' or 'tanh'"),
        ({"layers": 2}, "no input 'layers'"),
    ],
)
def test_wrong_input_is_told_with_its_range(values: dict[str, Any], says: str) -> None:
    assert_refused(lambda: Network().parse(values), says)
