"""Lesson 2: a few real training steps on a sentence, with the learner's learning rate.

A LoRA adapter is put on the model's copy in torch, trained on the one sentence, and taken out: the
model's own weights never change, and the running model is not touched. A sentence that nobody
trained on is measured at every step, as a validation loss.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from pydantic import Field

from tutor.demos.demo import Demo, DemoError, DemoInput, Prediction, Provenance, Run, Shown
from tutor.demos.figures import Figure, Line, Plot, Table
from tutor.demos.learning import Course, Fit, Plan, TrainText, adapted, train
from tutor.demos.loss import BOUND, surprisals, words_of
from tutor.demos.tokens import shown
from tutor.demos.torch_copy import before_and_after, open_copy, probabilities, read
from tutor.demos.workbench import Workbench

MOST_TOKENS = 64
STILL = 0.01
"""A loss that moved by fewer nats counts as unmoved."""
_NAMES = {"adam": "Adam", "sgd": "plain gradient descent"}


class TrainingInput(DemoInput):
    """The sentence to learn, one to compare with, and how to train."""

    text: str = Field(
        "My cat is called Zorblax",
        min_length=1,
        description=f"What is learned: 2 to {MOST_TOKENS} tokens.",
    )
    learning_rate: float = Field(
        0.001, ge=0, le=100, description="0 to 100; for an adapter with Adam, 0.0002 is usual."
    )
    steps: int = Field(8, ge=1, le=20, description="How many training steps are taken at most.")
    optimizer: Literal["adam", "sgd"] = Field(
        "adam", description="Adam, or plain gradient descent (sgd)."
    )
    other: str = Field(
        "Water boils at a hundred degrees",
        min_length=1,
        description=f"What nobody trains on: 2 to {MOST_TOKENS} tokens.",
    )
    seed: int = Field(42, ge=0, le=2**32 - 2, description="Of the adapter's random beginning.")


class Training(Demo[TrainingInput]):
    """Trains an adapter and takes it out again."""

    name: ClassVar[str] = "training"
    lesson: ClassVar[int] = 2
    title: ClassVar[str] = "Training steps"
    about: ClassVar[str] = "Train on your sentence for a few steps: see the loss fall, or shoot up."
    input = TrainingInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: TrainingInput) -> Prediction:
        return Prediction(
            f"{inputs.steps} steps of {_NAMES[inputs.optimizer]} with a learning rate of "
            f"{inputs.learning_rate:g} on {inputs.text.rstrip()[-40:]!r}: what becomes of its loss?",
            (
                "it falls to less than half",
                "it falls, but not to half",
                f"it stays as it was (moves by no more than {STILL} nats)",
                "it rises, or is no number any more",
            ),
        )

    def run(self, bench: Workbench, inputs: TrainingInput, run: Run) -> Shown:
        trained = _sentence(bench, "text", inputs.text)
        other = _sentence(bench, "other", inputs.other)
        if trained.ids == other.ids:
            raise DemoError("give a sentence that is not the trained one", "other")
        uniform = math.log(bench.engine.info.n_vocab)
        model = open_copy(bench, run)
        logits = read(model, trained.ids, run, "reading the sentence").logits
        with adapted(model, inputs.seed) as parameters:
            plan = Plan(inputs.learning_rate, inputs.steps, inputs.optimizer, uniform)
            course = train(model, parameters, (trained, other), plan, run.report)
        again = read(model, trained.ids, run, "reading without the adapter").logits
        restored = float((again - logits).abs().max())

        first, last = course.steps[0], course.steps[-1]
        llama = float(surprisals(bench, trained.ids).mean())
        apart = abs(llama - first.text.loss)
        return self.shown(
            inputs,
            _outcome(first.text.loss, last.text.loss),
            {
                "losses": [_finite(step.text.loss) for step in course.steps],
                "other_losses": [_finite(step.other.loss) for step in course.steps],
                "gradients": [_finite(step.gradient) for step in course.steps],
                "steps": len(course.steps) - 1,
                "diverged_at": len(course.steps) - 1 if course.diverged else None,
                "uniform": uniform,
                "continuation": _change(trained, first.text, last.text),
                "other_continuation": _change(other, first.other, last.other),
                "trained_parameters": course.parameters,
                "restored_difference": restored,
                "engines": {"llama_loss": llama, "torch_loss": first.text.loss, "bound": BOUND},
            },
            _figures(bench, course, trained, other, uniform),
            _seen(inputs, course, trained, uniform, restored),
            (
                "What happens in one training step?",
                "What goes wrong when the learning rate is too high?",
                "What is overfitting?",
            ),
            Provenance(
                bench.engine.info.name,
                "torch in float32 with the running file's weights, a LoRA adapter of "
                f"{course.parameters:,} numbers",
                measured=(
                    "losses and probabilities after every step",
                    f"greatest difference of a logit once the adapter was out: {restored:g}",
                    f"loss before, llama.cpp (rounded inputs) {llama:.3f}, torch (32-bit) "
                    f"{first.text.loss:.3f}: {apart:.3f} apart, "
                    f"{'within' if apart <= BOUND else 'OUTSIDE'} the bound of {BOUND}",
                ),
                calculated=("gradient, by backpropagation", "loss of an even guess"),
                seed=inputs.seed,
            ),
        )


def _sentence(bench: Workbench, name: str, text: str) -> TrainText:
    tokens = bench.engine.tokens(text.rstrip())
    if not 2 <= len(tokens) <= MOST_TOKENS:
        raise DemoError(f"give 2 to {MOST_TOKENS} tokens, this has {len(tokens)}", name)
    pieces = [token.bytes for token in tokens]
    numbers = words_of(pieces)
    tail = min(numbers.count(numbers[-1]), len(tokens) - 1)
    return TrainText(tuple(token.id for token in tokens), tail, shown(b"".join(pieces[-tail:])))


def _outcome(first: float, last: float) -> int:
    """The choice of the prediction that came true."""
    if not last <= first + STILL:
        return 3
    if last >= first - STILL:
        return 2
    return 0 if last < first / 2 else 1


def _finite(value: float | None) -> float | None:
    """JSON has no number for infinite, or for none."""
    return value if value is not None and math.isfinite(value) else None


def _change(sentence: TrainText, before: Fit, after: Fit) -> dict[str, Any]:
    return {
        "text": sentence.word,
        "tokens": sentence.tail,
        "p_before": _finite(before.p),
        "p_after": _finite(after.p),
    }


def _figures(
    bench: Workbench, course: Course, trained: TrainText, other: TrainText, uniform: float
) -> tuple[Figure, ...]:
    first, last = course.steps[0], course.steps[-1]
    lines = [
        _line("trained sentence", [step.text.loss for step in course.steps]),
        _line("other sentence", [step.other.loss for step in course.steps]),
    ]
    if course.diverged:
        lines.append(_line("even guess", [uniform] * len(course.steps)))
    return (
        Plot("the loss after each step", tuple(lines), "step", "nats"),
        Table(
            "before and after",
            ("sentence", "loss", "loss then", "its last word", "p", "p then"),
            tuple(
                (
                    name,
                    f"{before.loss:.3f}",
                    f"{after.loss:.3f}",
                    sentence.word,
                    f"{before.p:.2g}",
                    f"{after.p:.2g}",
                )
                for name, sentence, before, after in (
                    ("trained", trained, first.text, last.text),
                    ("other", other, first.other, last.other),
                )
            ),
        ),
        Table(
            "step by step",
            ("step", "loss", "other's loss", "length of the gradient"),
            tuple(
                (
                    str(n),
                    f"{step.text.loss:.4f}",
                    f"{step.other.loss:.4f}",
                    "" if step.gradient is None else f"{step.gradient:.4g}",
                )
                for n, step in enumerate(course.steps)
            ),
        ),
        *(
            ()
            if course.diverged
            else (
                before_and_after(
                    "first token in the last word's place, before and after",
                    bench.engine,
                    probabilities(course.before),
                    probabilities(course.after),
                ),
            )
        ),
    )


def _line(name: str, losses: list[float]) -> Line:
    known = [(float(n), loss) for n, loss in enumerate(losses) if math.isfinite(loss)]
    return Line(name, tuple(n for n, _ in known), tuple(loss for _, loss in known))


def _seen(
    inputs: TrainingInput, course: Course, trained: TrainText, uniform: float, restored: float
) -> str:
    first, last, steps = course.steps[0], course.steps[-1], len(course.steps) - 1
    back = (
        "the adapter is out again, and every logit is as it was"
        if restored == 0
        else f"the adapter is out again, and no logit differs by more than {restored:.2g}"
    )
    if inputs.learning_rate == 0:
        return (
            f"With a learning rate of 0 every step has length 0: after {steps} steps the loss is "
            f"still {last.text.loss:.2f} nats, and the probability of {trained.word!r} still "
            f"{last.text.p:.2g}. The gradient is {first.gradient:.3g} long, and nothing follows "
            f"from it; {back}."
        )
    if course.diverged:
        loss = last.text.loss
        became = f"was {loss:.2f} nats" if math.isfinite(loss) else "was no number any more"
        return (
            f"The run diverged at step {steps}: the loss began at {first.text.loss:.2f} and "
            f"{became}, when an even guess has {uniform:.2f}. A learning rate of "
            f"{inputs.learning_rate:g} makes the steps too long, so training was stopped; {back}."
        )
    return (
        f"In {steps} steps the loss on the sentence went from {first.text.loss:.2f} to "
        f"{last.text.loss:.2f} nats, and the probability of {trained.word!r} after the words "
        f"before it from {first.text.p:.2g} to {last.text.p:.2g}. On the sentence that nobody "
        f"trained on it went from {first.other.loss:.2f} to {last.other.loss:.2f}; {back}."
    )
