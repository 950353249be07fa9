"""Lesson 2: gradient descent on a surface over two parameters, with the learner's learning rate.

An illustration: no language model takes part. A real model has one such axis for each parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tutor.demos.demo import Demo, DemoInput, Prediction, Provenance, Run, Shown
from tutor.demos.figures import Line, Plot, Table
from tutor.demos.workbench import Workbench

MAP = 3.0
"""The map shows both parameters from -MAP to MAP."""
DIVERGED = 100.0
"""A run has diverged where its loss is this many times the start's (or 1, if that is more)."""
FLAT = 0.02
"""A gradient shorter than this counts as none: a lowest point is reached."""
_LEVELS = (1.0, 5.0, 20.0)
_ROWS = 6


@dataclass(frozen=True, slots=True)
class Surface:
    """loss(x, y) = along(x) + across * y^2, so that its slopes are known exactly."""

    formula: str
    along: Callable[[Any], Any]
    slope: Callable[[float], float]
    """d along / dx."""
    curvature: Callable[[float], float]
    """d^2 along / dx^2."""
    across: float

    def loss(self, x: float, y: float) -> float:
        return float(self.along(x) + self.across * y * y)

    def gradient(self, x: float, y: float) -> tuple[float, float]:
        return float(self.slope(x)), 2 * self.across * y

    def limit(self, x: float) -> float:
        """The learning rate above which steps around a lowest point at x grow: 2 / curvature."""
        return 2 / max(float(self.curvature(x)), 2 * self.across)


SURFACES = {
    "bowl": Surface("x^2 + 5 y^2", lambda x: x * x, lambda x: 2 * x, lambda x: 2.0, 5.0),
    "valleys": Surface(
        "(x^2 - 1)^2 + 0.3 x + 2 y^2",
        lambda x: (x * x - 1) ** 2 + 0.3 * x,
        lambda x: 4 * x * (x * x - 1) + 0.3,
        lambda x: 12 * x * x - 4,
        2.0,
    ),
}


class DescentInput(DemoInput):
    """The learning rate, and where on which surface the walk begins."""

    learning_rate: float = Field(0.15, ge=0, le=100, description="How long a step is; 0 to 100.")
    steps: int = Field(30, ge=1, le=300, description="How many steps are taken at most.")
    surface: Literal["bowl", "valleys"] = Field(
        "bowl", description="A long bowl, or two valleys of which the left one is deeper."
    )
    x: float = Field(2.5, ge=-MAP, le=MAP, description="The first parameter at the start.")
    y: float = Field(1.5, ge=-MAP, le=MAP, description="The second parameter at the start.")


class Descent(Demo[DescentInput]):
    """Walks downhill, or fails to."""

    name: ClassVar[str] = "descent"
    lesson: ClassVar[int] = 2
    title: ClassVar[str] = "Gradient descent"
    about: ClassVar[str] = "Choose a learning rate and watch the path downhill, or out of the map."
    input = DescentInput

    def predict(self, inputs: DescentInput) -> Prediction:
        return Prediction(
            f"The loss is {SURFACES[inputs.surface].formula}, the start x = {inputs.x:g}, "
            f"y = {inputs.y:g}. Where do {inputs.steps} steps with a learning rate of "
            f"{inputs.learning_rate:g} lead?",
            (
                "to a lowest point",
                "lower, but to no lowest point in time",
                "no lower than the start, without shooting up",
                "away: the loss shoots up, the run diverges",
            ),
        )

    def run(self, bench: Workbench, inputs: DescentInput, run: Run) -> Shown:
        surface = SURFACES[inputs.surface]
        path = _walk(surface, inputs, run)
        steps = len(path) - 1
        losses = [surface.loss(x, y) for x, y in path]
        slope = float(np.hypot(*surface.gradient(*path[-1])))
        diverged = _has_diverged(losses)
        if diverged:
            right = 3
        elif slope <= FLAT and surface.curvature(path[-1][0]) > 0:
            right = 0
        else:
            right = 1 if losses[-1] < losses[0] else 2
        limit = surface.limit(_lowest(surface, path[-1][0]))
        outcome = ("arrived", "on the way", "no lower", "diverged")[right]
        return self.shown(
            inputs,
            right,
            {
                "outcome": outcome,
                "steps": steps,
                "diverged_at": steps if diverged else None,
                "rises_from": _last_rise(losses) if diverged else None,
                "largest_stable_learning_rate": limit,
                "path": [list(point) for point in path],
                "losses": losses,
                "final_gradient": slope,
            },
            (
                Plot("the path over lines of equal loss", _map(surface, path), "x", "y"),
                Plot(
                    "the loss after each step",
                    (Line("loss", tuple(map(float, range(steps + 1))), tuple(losses)),),
                    "step",
                    "loss",
                ),
                Table(
                    "new value = old value - learning rate x gradient",
                    ("step", "x", "y", "gradient x", "gradient y", "loss"),
                    _rows(surface, path, losses),
                ),
            ),
            _seen(inputs, surface, outcome, losses, limit),
            (
                "What goes wrong when the learning rate is too high?",
                "What goes wrong when the learning rate is too low?",
                "Does training always find the best parameters?",
            ),
            Provenance(
                "no language model",
                "numpy, float64, plain gradient descent",
                calculated=("path", "loss", "gradient", "largest stable learning rate"),
                illustration=(
                    "the surface: two parameters and a formula stand for a model's millions",
                ),
            ),
        )


def _walk(surface: Surface, inputs: DescentInput, run: Run) -> list[tuple[float, float]]:
    """The points from the start on, at most `steps` more; the one that diverged is the last."""
    x, y = inputs.x, inputs.y
    path, losses = [(x, y)], [surface.loss(x, y)]
    for step in range(inputs.steps):
        run.report("descending", step / inputs.steps)
        dx, dy = surface.gradient(x, y)
        x, y = x - inputs.learning_rate * dx, y - inputs.learning_rate * dy
        path.append((x, y))
        losses.append(surface.loss(x, y))
        if _has_diverged(losses):
            break
    return path


def _has_diverged(losses: list[float]) -> bool:
    return losses[-1] > DIVERGED * max(losses[0], 1.0)


def _last_rise(losses: list[float]) -> int:
    """The step from which on no step lowered the loss any more."""
    falls = (n for n in range(len(losses) - 1, 0, -1) if losses[n] < losses[n - 1])
    return next(falls, 0) + 1


def _lowest(surface: Surface, near: float) -> float:
    """The x of a valley's floor: where the curve along x turns up, nearest to `near`."""
    xs = np.linspace(-MAP, MAP, 6001)
    heights = surface.along(xs)
    inside = heights[1:-1]
    floors = xs[1:-1][(inside < heights[:-2]) & (inside <= heights[2:])]
    return float(floors[np.argmin(np.abs(floors - near))])


def _map(surface: Surface, path: list[tuple[float, float]]) -> tuple[Line, ...]:
    contours = [line for level in _LEVELS for line in _contour(surface, level)]
    xs, ys = zip(*_on_map(path), strict=True)
    return *contours, Line("path", xs, ys)


def _contour(surface: Surface, level: float) -> list[Line]:
    """The closed curves on which the loss is `level`, cut at the edge of the map."""
    xs = np.linspace(-MAP, MAP, 1201)
    room = (level - surface.along(xs)) / surface.across
    inside = np.flatnonzero(room >= 0)
    lines = []
    for part in np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1):
        ys: NDArray[np.float64] = np.minimum(np.sqrt(room[part]), MAP)
        there, back = xs[part], xs[part][::-1]
        loop_x, loop_y = (*there, *back, there[0]), (*ys, *-ys[::-1], ys[0])
        lines.append(Line(f"loss {level:g}", tuple(map(float, loop_x)), tuple(map(float, loop_y))))
    return lines


def _on_map(path: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The path up to where it first leaves the map; the step that leaves ends at the edge."""
    shown = [path[0]]
    for (x, y), (to_x, to_y) in pairwise(path):
        share = 1.0
        for old, new in ((x, to_x), (y, to_y)):
            if abs(new) > MAP:
                share = min(share, (np.copysign(MAP, new) - old) / (new - old))
        shown.append((float(x + share * (to_x - x)), float(y + share * (to_y - y))))
        if share < 1:
            break
    return shown


def _rows(
    surface: Surface, path: list[tuple[float, float]], losses: list[float]
) -> tuple[tuple[str, ...], ...]:
    chosen = sorted({*range(min(len(path), _ROWS)), len(path) - 1})
    return tuple(
        (str(n), *(f"{v:.4g}" for v in (*path[n], *surface.gradient(*path[n]), losses[n])))
        for n in chosen
    )


def _seen(
    inputs: DescentInput, surface: Surface, outcome: str, losses: list[float], limit: float
) -> str:
    steps, rate = len(losses) - 1, inputs.learning_rate
    change = f"from {losses[0]:.4g} to {losses[-1]:.4g}"
    slope = float(np.hypot(*surface.gradient(inputs.x, inputs.y)))
    bound = f"Around this lowest point steps shrink only below a learning rate of {limit:.3g}"
    if rate == 0:
        return (
            f"With a learning rate of 0 every step has length 0: after {steps} steps the loss is "
            f"still {losses[-1]:.4g}. The gradient at the start is {slope:.3g} long, and nothing "
            "follows from it."
        )
    if slope <= FLAT:
        return (
            f"At the start the gradient is only {slope:.2g} long, so the first step hardly moves. "
            f"After {steps} steps the loss went {change}."
        )
    if outcome == "diverged":
        cause = (
            f"{bound}, and it was {rate:g}."
            if rate >= limit
            else f"At the bottom {rate:g} would do, but the gradient at the start is {slope:.3g} "
            "long, so the first steps jump across the whole valley."
        )
        return (
            f"The run diverged at step {steps}: the loss went {change} and rose at every step "
            f"from step {_last_rise(losses)} on. {cause}"
        )
    if outcome == "arrived":
        first = next(n for n, loss in enumerate(losses) if loss <= losses[-1] + 0.01)
        luck = "so the path came to rest" if rate < limit else "yet one step hit the floor exactly"
        return (
            f"The loss went {change}, and was within 0.01 of that after step {first}. "
            f"{bound}; it was {rate:g}, {luck}."
        )
    rest = "more steps can bring it there" if rate < limit else "the path jumps from side to side"
    return (
        f"After {steps} steps the loss went {change}, and no lowest point was reached. "
        f"{bound}, and it was {rate:g}: {rest}."
    )
