"""Lesson 3: a tiny network learns XOR before the learner's eyes, every number of it shown.

Plain numpy, no framework: the gradients are the chain rule written out, and are checked against
finite differences of the loss. All four cases are one batch; the descent has no momentum.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tutor.demos.demo import Demo, DemoInput, Prediction, Provenance, Run, Shown
from tutor.demos.figures import Heatmap, Line, Plot, Table
from tutor.demos.workbench import Workbench

Floats = NDArray[np.float64]

X: Floats = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
Y: Floats = np.array([0, 1, 1, 0], dtype=np.float64)
_CASES = ("0 xor 0", "0 xor 1", "1 xor 0", "1 xor 1")
# From -0.5 to 1.5 in twelfths: the cases 0 and 1 lie on the grid, on rows that carry a label.
_GRID = np.linspace(-0.5, 1.5, 25)
_NUMBERS = ("first", "first_gradient", "finite_difference", "trained", "last_gradient")
_EPSILON = 1e-6
_CURVE = 200
_REPORT_EVERY = 50


class NetworkInput(DemoInput):
    """The network and its training."""

    hidden: int = Field(4, ge=0, le=8, description="Hidden units; 0 is one straight line.")
    activation: Literal["relu", "tanh"] = Field("relu", description="The bend: relu or tanh.")
    learning_rate: float = Field(0.5, gt=0, le=100, description="The size of a step.")
    steps: int = Field(1_000, ge=1, le=10_000, description="Training steps.")
    seed: int = Field(7, ge=0, le=2**32 - 1, description="Where the first weights come from.")


class Forward(NamedTuple):
    """A forward pass over n inputs: `z` and `h` (n, hidden) before and after the bend, the
    `logit` and `p` = sigmoid(logit) of the output, (n,)."""

    z: Floats
    h: Floats
    logit: Floats
    p: Floats


class Net:
    """`hidden` units and one sigmoid output; all parameters are views of one vector `theta`."""

    def __init__(self, hidden: int, activation: Literal["relu", "tanh"], seed: int) -> None:
        self.hidden, self.relu = hidden, activation == "relu"
        rng = np.random.default_rng(seed)
        n_out = hidden or 2
        # The first biases are small, but not 0: the case (0, 0) would stand exactly on ReLU's
        # bend, where there is no one slope to check.
        first = (
            rng.normal(0, 1, 2 * hidden),
            rng.normal(0, 0.1, hidden),
            rng.normal(0, 1 / np.sqrt(n_out), n_out),
            np.zeros(1),
        )
        self.theta: Floats = np.concatenate(first)
        w1, self.b1, self.w2, self.b2 = np.split(self.theta, np.cumsum([len(p) for p in first[:3]]))
        self.w1 = w1.reshape(2, hidden)
        units = [f"h{n + 1}" for n in range(hidden)]
        self.names = (
            *(f"{source}→{unit}" for source in "ab" for unit in units),
            *(f"bias {unit}" for unit in units),
            *(f"{source}→out" for source in units or "ab"),
            "bias out",
        )

    def forward(self, x: Floats) -> Forward:
        """`x` is (n, 2). Without hidden units the output reads the inputs themselves."""
        z = x @ self.w1 + self.b1
        h = np.maximum(z, 0) if self.relu else np.tanh(z)
        logit = (h if self.hidden else x) @ self.w2 + self.b2
        # The same as 1 / (1 + exp(-logit)), but no logit overflows.
        return Forward(z, h, logit, 0.5 * (1 + np.tanh(logit / 2)))

    def loss(self) -> float:
        """The mean cross-entropy of the four cases in nats, from logits: log(1 + e^s) - y s."""
        logit = self.forward(X).logit
        return float(np.mean(np.logaddexp(0, logit) - Y * logit))

    def gradient(self) -> Floats:
        """Backpropagation: the slope of `loss` for every entry of `theta`, same shape."""
        z, h, _, p = self.forward(X)
        d_logit = (p - Y) / len(Y)
        reads = h if self.hidden else X
        d_h = np.outer(d_logit, self.w2) if self.hidden else h
        d_z = d_h * ((z > 0) if self.relu else 1 - h**2)
        parts = ((X.T @ d_z).ravel(), d_z.sum(0), reads.T @ d_logit, (d_logit.sum(),))
        return np.concatenate(parts)

    def finite_differences(self) -> Floats:
        """The same slopes by trying: each parameter a little up, a little down."""
        found = np.empty_like(self.theta)
        for n, value in enumerate(self.theta.copy()):
            self.theta[n] = value + _EPSILON
            above = self.loss()
            self.theta[n] = value - _EPSILON
            found[n] = (above - self.loss()) / (2 * _EPSILON)
            self.theta[n] = value
        return found

    def right(self) -> int:
        return int(np.sum((self.forward(X).logit > 0) == (Y > 0)))


def train(net: Net, learning_rate: float, steps: int) -> Iterator[float]:
    """Descends with all four cases at every step, and gives the loss after each."""
    for _ in range(steps):
        net.theta -= learning_rate * net.gradient()
        yield net.loss()


def best_line() -> int:
    """The most cases that a straight line gets right, of 360 directions by 61 places."""
    angles = np.radians(np.arange(360))
    heights = X @ np.array([np.cos(angles), np.sin(angles)])
    ones = heights[:, :, None] > np.linspace(-1.5, 1.5, 61)
    return int((ones == (Y > 0)[:, None, None]).sum(0).max())


class Network(Demo[NetworkInput]):
    """Trains it."""

    name: ClassVar[str] = "network"
    lesson: ClassVar[int] = 3
    title: ClassVar[str] = "A network learns XOR"
    about: ClassVar[str] = "Choose hidden units and learning rate, and watch every weight learn."
    input = NetworkInput

    def predict(self, inputs: NetworkInput) -> Prediction:
        return Prediction(
            f"XOR has four cases. How many will {inputs.hidden} hidden units have right after "
            f"{inputs.steps:,} steps?",
            ("all 4", "3", "2 or fewer"),
        )

    def run(self, bench: Workbench, inputs: NetworkInput, run: Run) -> Shown:
        net = Net(inputs.hidden, inputs.activation, inputs.seed)
        start, slope, tried = net.theta.copy(), net.gradient(), net.finite_differences()
        losses = [net.loss()]
        for step, loss in enumerate(train(net, inputs.learning_rate, inputs.steps)):
            if step % _REPORT_EVERY == 0:
                run.report(f"step {step + 1}: loss {loss:.4f}", step / inputs.steps)
            losses.append(loss)
        last = net.gradient()
        z, h, logit, p = net.forward(X)
        surface = net.forward(np.array([(a, b) for b in _GRID[::-1] for a in _GRID])).p
        boundary = surface.reshape(len(_GRID), len(_GRID))
        right = net.right()
        values = np.stack((start, slope, tried, net.theta, last), axis=1)
        result = {
            "right": right,
            "best_line_right": best_line(),
            "losses": losses,
            "dead_units": int((h <= 0).all(0).sum()) if net.relu else 0,
            "gradient_difference": float(np.abs(slope - tried).max()),
            "parameters": [
                {"name": name, **dict(zip(_NUMBERS, row, strict=True))}
                for name, row in zip(net.names, values.tolist(), strict=True)
            ],
            "sums": z.tolist(),
            "activations": h.tolist(),
            "logits": logit.tolist(),
            "outputs": p.tolist(),
            "grid": _GRID.tolist(),
            "boundary": boundary.tolist(),
        }
        units = tuple(f"h{n + 1}" for n in range(inputs.hidden))
        at = np.unique(np.linspace(0, inputs.steps, _CURVE).astype(int)).tolist()
        figures = (
            Heatmap(
                "the output over a (across) and b (upwards), both from -0.5 to 1.5",
                tuple(f"b={round(b)}" if n in (6, 18) else "" for n, b in enumerate(_GRID[::-1])),
                tuple(f"{a:.2f}" for a in _GRID),
                tuple(tuple(row) for row in boundary.tolist()),
            ),
            Plot(
                "cross-entropy in nats (always answering 0.5 costs 0.693)",
                (Line("loss", tuple(map(float, at)), tuple(losses[n] for n in at)),),
                "step",
                "loss",
            ),
            Table(
                "activations after training",
                ("case", "want", *units, "output"),
                tuple(
                    (case, f"{want:.0f}", *(f"{v:.2f}" for v in row), f"{out:.3f}")
                    for case, want, row, out in zip(_CASES, Y, h, p, strict=True)
                ),
            ),
            Table(
                "every parameter: before, its gradient by backpropagation and by trying, after",
                ("from→to", "first", "gradient", "tried", "trained", "gradient"),
                tuple(
                    (name, *(f"{value:+.4f}" for value in row))
                    for name, row in zip(net.names, values, strict=True)
                ),
            ),
        )
        return self.shown(
            inputs,
            0 if right == 4 else 1 if right == 3 else 2,
            result,
            figures,
            _seen(inputs, result),
            (
                "Why can a network without a hidden layer not learn XOR?",
                "What does backpropagation compute?",
                "What is ReLU?",
            ),
            Provenance(
                f"a network of {len(net.theta)} parameters, made and trained here",
                "numpy, float64",
                measured=("loss at every step", "weights", "activations", "boundary"),
                calculated=("gradients", "finite differences", "the best straight line"),
                seed=inputs.seed,
            ),
        )


def _seen(inputs: NetworkInput, result: dict[str, Any]) -> str:
    before, *_, after = result["losses"]
    told = (
        f"In {inputs.steps:,} steps the loss went from {before:.3f} to {after:.3f} nats, and "
        f"{result['right']} of 4 cases are right"
    )
    if not inputs.hidden:
        told += f"; without hidden units it is a straight line: at most {result['best_line_right']} of 4"
    elif dead := result["dead_units"]:
        told += f"; hidden units that are dead, 0 in every case: {dead} of {inputs.hidden}"
    return (
        f"{told}. At the first step backpropagation and finite differences gave the same "
        f"gradient, to {result['gradient_difference']:.0e}."
    )
