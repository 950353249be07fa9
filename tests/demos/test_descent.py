from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.demos.conftest import assert_refused
from tutor.demos.demo import DemoCancelled, Run, Shown
from tutor.demos.descent import SURFACES, Descent
from tutor.demos.figures import Plot
from tutor.demos.workbench import Workbench
from tutor.engine.cancel import Cancel

DEMO = Descent()


def show(bench: Workbench, **values: Any) -> Shown:
    return DEMO.run(bench, DEMO.parse(values), Run())


def choice(shown: Shown) -> str:
    return shown.prediction.choices[shown.right]


@pytest.mark.parametrize("rate", [0.01, 0.15, 0.19])
def test_the_path_in_the_bowl_is_the_closed_form(bench: Workbench, rate: float) -> None:
    path = np.array(show(bench, learning_rate=rate, x=2.5, y=1.5, steps=40).result["path"])
    n = np.arange(41)
    np.testing.assert_allclose(path[:, 0], 2.5 * (1 - 2 * rate) ** n, rtol=1e-9)
    np.testing.assert_allclose(path[:, 1], 1.5 * (1 - 10 * rate) ** n, rtol=1e-9)


@pytest.mark.parametrize("name", SURFACES)
def test_every_step_follows_the_finite_difference_of_the_formula(
    bench: Workbench, name: str
) -> None:
    formula = SURFACES[name].formula
    source = formula.replace("^", "**").replace("5 y", "5*y").replace("2 y", "2*y")
    source = source.replace("0.3 x", "0.3*x")

    def loss(x: float, y: float) -> float:
        return float(eval(source, {"x": x, "y": y}))

    shown = show(bench, surface=name, learning_rate=0.02, steps=20)
    path, h = shown.result["path"], 1e-5
    np.testing.assert_allclose(shown.result["losses"], [loss(x, y) for x, y in path], rtol=1e-9)
    for (x, y), (next_x, next_y) in pairwise(path):
        slope_x = (loss(x + h, y) - loss(x - h, y)) / (2 * h)
        slope_y = (loss(x, y + h) - loss(x, y - h)) / (2 * h)
        assert next_x == pytest.approx(x - 0.02 * slope_x, abs=1e-6)
        assert next_y == pytest.approx(y - 0.02 * slope_y, abs=1e-6)


def test_it_diverges_at_the_first_step_whose_loss_is_a_hundred_times_the_first(
    bench: Workbench,
) -> None:
    rate, n = 0.23, np.arange(31)
    losses = (2.5 * (1 - 2 * rate) ** n) ** 2 + 5 * (1.5 * (1 - 10 * rate) ** n) ** 2
    expected = int(np.argmax(losses > 100 * losses[0]))
    shown = show(bench, learning_rate=rate)
    assert shown.result["diverged_at"] == expected
    assert f"diverged at step {expected}" in shown.seen
    assert choice(shown).startswith("away")


def test_a_step_too_long_for_the_bowl_is_above_two_over_its_curvature(bench: Workbench) -> None:
    limit = show(bench).result["largest_stable_learning_rate"]
    assert limit == pytest.approx(2 / 10)
    below = show(bench, learning_rate=limit - 0.002, steps=300).result["losses"]
    above = show(bench, learning_rate=limit + 0.002, steps=300).result["losses"]
    assert below[-1] < 1e-3 < above[0] < above[-1]


def test_two_starts_end_in_two_valleys_and_the_left_one_is_deeper(bench: Workbench) -> None:
    floors = sorted(r.real for r in np.roots([4, 0, -4, 0.3]))
    ends = [
        show(bench, surface="valleys", learning_rate=0.05, x=x, steps=200).result["path"][-1][0]
        for x in (-1.5, 1.5)
    ]
    np.testing.assert_allclose(ends, [floors[0], floors[2]], atol=1e-3)


def test_a_learning_rate_of_zero_moves_nothing_and_says_so(bench: Workbench) -> None:
    shown = show(bench, learning_rate=0)
    assert {tuple(point) for point in shown.result["path"]} == {(2.5, 1.5)}
    assert choice(shown).startswith("no lower")
    assert "every step has length 0" in shown.seen


@pytest.mark.parametrize("surface", SURFACES)
def test_a_learning_rate_of_a_hundred_diverges_at_once(bench: Workbench, surface: str) -> None:
    shown = show(bench, learning_rate=100, surface=surface)
    assert shown.result["diverged_at"] == 1
    assert "diverged at step 1" in shown.seen


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 101}, "learning_rate: .*less than or equal to 100, not 101"),
        ({"learning_rate": -0.1}, "learning_rate: .*greater than or equal to 0"),
        ({"learning_rate": "nan"}, "learning_rate: .*finite"),
        ({"steps": 0}, "steps: .*greater than or equal to 1"),
        ({"x": 4}, "x: .*less than or equal to 3"),
        ({"surface": "moon"}, "surface: .*'bowl' or 'valleys'"),
    ],
)
def test_a_value_outside_its_range_is_refused_in_one_line(
    values: dict[str, Any], message: str
) -> None:
    assert_refused(lambda: DEMO.parse(values), message)


def test_the_drawn_path_stays_on_the_map(bench: Workbench) -> None:
    figure = show(bench, learning_rate=0.3).figures[0]
    assert isinstance(figure, Plot)
    assert max(abs(v) for line in figure.lines for v in (*line.xs, *line.ys)) <= 3 + 1e-9


def test_the_lines_of_equal_loss_lie_at_their_loss(bench: Workbench) -> None:
    figure = show(bench, surface="valleys").figures[0]
    assert isinstance(figure, Plot)
    for line in figure.lines[:-1]:
        level = float(line.name.removeprefix("loss "))
        for x, y in zip(line.xs, line.ys, strict=True):
            if abs(y) < 3:
                assert (x * x - 1) ** 2 + 0.3 * x + 2 * y * y == pytest.approx(level, abs=1e-9)


def test_it_is_labelled_an_illustration_and_is_json(bench: Workbench) -> None:
    shown = show(bench)
    assert shown.provenance.illustration
    assert json.loads(json.dumps(asdict(shown)))["result"]["outcome"] == "arrived"


def test_it_stops_when_the_learner_stops_it(bench: Workbench) -> None:
    stopped = Cancel()
    stopped.set()
    with pytest.raises(DemoCancelled):
        DEMO.run(bench, DEMO.parse({}), Run(cancel=stopped))
