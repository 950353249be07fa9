"""Real training steps of a LoRA adapter on the copy of the model in torch, on one sentence.

The model's own weights are frozen all along. No warm-up, no minibatch, no weight decay.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from tutor.demos.demo import Progress
from tutor.demos.torch_copy import Floats

RANK, ALPHA = 8, 16
"""The adapter's: an update of a matrix is B A x ALPHA / RANK, with A (RANK, n_in)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train; a loss above both the start's and `uniform`, in nats, ends it as diverged."""

    learning_rate: float
    steps: int
    optimizer: Literal["adam", "sgd"]
    uniform: float


@dataclass(frozen=True, slots=True)
class TrainText:
    """A text's tokens; the last `tail` of them are its last word, at least one stands before."""

    ids: tuple[int, ...]
    tail: int
    word: str


@dataclass(frozen=True, slots=True)
class Fit:
    """A sentence after some step: the mean loss in nats, and its last word's probability."""

    loss: float
    p: float


@dataclass(frozen=True, slots=True)
class TrainStep:
    """The model after a step: both sentences, and the length of the gradient that the next step
    goes against; None where no step follows."""

    text: Fit
    other: Fit
    gradient: float | None


@dataclass(frozen=True, slots=True)
class Course:
    """The whole run, the start being step 0; where it diverged, that step is the last.

    `before` and `after` are the logits in the last word's place, shape (n_vocab,).
    """

    steps: tuple[TrainStep, ...]
    before: Floats
    after: Floats
    diverged: bool
    parameters: int


@contextmanager
def adapted(model: Any, seed: int) -> Iterator[list[Any]]:
    """Puts an untrained adapter on every matrix of every layer; gone at the end of the block.

    Gives its parameters: A random by the seed, B all 0, so that it changes nothing yet.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    # peft freezes all that is not its own.
    free = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # It asks transformers by an old name, whose warning would stand in the terminal.
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(seed)
        adapter = get_peft_model(
            model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear")
        )
    try:
        yield [parameter for parameter in model.parameters() if parameter.requires_grad]
    finally:
        adapter.unload()
        for parameter in free:
            parameter.requires_grad_(True)


@contextmanager
def _watched(model: Any, look: Callable[[], None]) -> Iterator[None]:
    """Calls `look` after each layer, on the way forward and on the way back."""

    def passed(_layer: Any, _given: Any, output: Any) -> None:
        look()
        if output.requires_grad:
            output.register_hook(lambda _gradient: look())

    hooks = [layer.register_forward_hook(passed) for layer in model.get_decoder().layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def train(
    model: Any,
    parameters: list[Any],
    sentences: tuple[TrainText, TrainText],
    plan: Plan,
    report: Progress,
) -> Course:
    """Steps on the first sentence, with the second one measured beside it.

    What `report` raises ends it, also in the middle of a step.
    """
    import torch

    kind = torch.optim.Adam if plan.optimizer == "adam" else torch.optim.SGD
    optimizer = kind(parameters, lr=plan.learning_rate)
    trained, other = sentences
    steps: list[TrainStep] = []
    places: list[Floats] = []
    diverged = False
    while len(steps) <= plan.steps and not diverged:
        done = len(steps) / (plan.steps + 1)
        with _watched(model, partial(report, f"after step {len(steps)}", done)):
            with torch.no_grad():
                beside = _measured(_losses(_logits(model, other), other), other)
            logits = _logits(model, trained)
            losses = _losses(logits, trained)
            now = _measured(losses, trained)
            places.append(logits[-trained.tail - 1].detach().numpy().copy())
            start = steps[0].text.loss if steps else now.loss
            diverged = not math.isfinite(now.loss) or now.loss > max(plan.uniform, start)
            gradient = None
            if len(steps) < plan.steps and not diverged:
                optimizer.zero_grad()
                losses.mean().backward()
                gradient = float(torch.nn.utils.get_total_norm([p.grad for p in parameters]))
                optimizer.step()
        steps.append(TrainStep(now, beside, gradient))
    return Course(tuple(steps), places[0], places[-1], diverged, sum(p.numel() for p in parameters))


def _logits(model: Any, sentence: TrainText) -> Any:
    """Shape (n, n_vocab)."""
    import torch

    return model(torch.tensor([sentence.ids]), use_cache=False).logits[0]


def _losses(logits: Any, sentence: TrainText) -> Any:
    """The cross-entropy of every token after the first, in nats, shape (n - 1,)."""
    import torch

    targets = torch.tensor(sentence.ids[1:])
    return torch.nn.functional.cross_entropy(logits[:-1], targets, reduction="none")


def _measured(losses: Any, sentence: TrainText) -> Fit:
    return Fit(losses.mean().item(), math.exp(-losses[-sentence.tail :].sum().item()))
