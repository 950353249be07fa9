"""Lesson 6: one distribution through the same samplers in two orders, the seed, and T = 0."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from tutor.demos.demo import Demo, DemoInput, Prediction, Provenance, Run, Shown, spoken
from tutor.demos.figures import Bar, Bars, Table
from tutor.demos.workbench import Workbench
from tutor.engine.events import NextToken
from tutor.engine.settings import STAGES, Sampling
from tutor.text import visible

USUAL = ("top_k", "top_p", "min_p", "temperature")
"""The samplers that are shown, in llama.cpp's own order."""
_TOP = 8


class SamplersInput(DemoInput):
    """The text, the knobs, and the order that is set beside the usual one."""

    text: str = Field("My favourite food is", min_length=1, max_length=2_000, description="Any.")
    order: tuple[str, ...] = Field(
        ("temperature", "top_k", "top_p", "min_p"),
        description="The second order: top_k, top_p, min_p and temperature, with commas.",
    )
    temperature: float = Field(2.0, ge=0, le=5, description="0 is greedy.")
    top_k: int = Field(0, ge=0, le=1000, description="0 keeps all.")
    top_p: float = Field(0.9, gt=0, le=1, description="1 keeps all.")
    min_p: float = Field(0.0, ge=0, le=1, description="0 keeps all.")
    seed: int = Field(42, ge=0, le=2**32 - 3, description="Where the random numbers start.")

    @field_validator("order", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("order")
    @classmethod
    def _each_once(cls, order: tuple[str, ...]) -> tuple[str, ...]:
        if sorted(order) != sorted(USUAL):
            raise ValueError(f"name each of {', '.join(USUAL)} once, with commas")
        return order

    def sampling(self, order: tuple[str, ...], **changed: Any) -> Sampling:
        """The engine's settings with the shown samplers in that order, all others off."""
        others = tuple(stage for stage in STAGES if stage not in USUAL)
        knobs = self.model_dump(exclude={"text", "order"}) | changed
        return Sampling(repeat_penalty=1.0, order=(*others, *order), **knobs)


class Samplers(Demo[SamplersInput]):
    """Swaps the order."""

    name: ClassVar[str] = "samplers"
    lesson: ClassVar[int] = 6
    title: ClassVar[str] = "The order of samplers"
    about: ClassVar[str] = "Run the same samplers in two orders and see which tokens are left."
    input = SamplersInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: SamplersInput) -> Prediction:
        return Prediction(
            f"After {inputs.text[-40:]!r}, with T = {inputs.temperature:g}, top-p "
            f"{inputs.top_p:g}, top-k {inputs.top_k} and min-p {inputs.min_p:g}: which order "
            "leaves more tokens that can be drawn?",
            (_name(USUAL), _name(inputs.order), "both leave the same number"),
        )

    def run(self, bench: Workbench, inputs: SamplersInput, run: Run) -> Shown:
        engine = bench.engine
        prompt = engine.tokenize(spoken(inputs.text).rstrip())

        def step(done: float, sampling: Sampling) -> NextToken:
            run.report("applying the samplers", done)
            return engine.next(prompt, sampling, _TOP)

        usual = step(0.0, inputs.sampling(USUAL))
        other = step(0.2, inputs.sampling(inputs.order))
        again = step(0.4, inputs.sampling(USUAL))
        reseeded = step(0.6, inputs.sampling(USUAL, seed=inputs.seed + 1))
        greedy = step(0.8, inputs.sampling(USUAL, temperature=0.0))

        full = np.exp(usual.logprobs)
        left = [_left(found) for found in (usual, other)]
        kept = [len(ids) for ids, _ in left]
        finals = np.zeros((2, len(full)))
        for row, (ids, p) in zip(finals, left, strict=True):
            row[ids] = p
        both = len(np.intersect1d(left[0][0], left[1][0]))
        distance = float(np.abs(finals[0] - finals[1]).sum()) / 2
        best = int(full.argmax())
        draws = {
            f"seed {inputs.seed}": usual.step.chosen,
            f"seed {inputs.seed} again": again.step.chosen,
            f"seed {inputs.seed + 1}": reseeded.step.chosen,
            f"seed {inputs.seed}, the other order": other.step.chosen,
            "T = 0 (greedy)": greedy.step.chosen,
        }
        orders: list[dict[str, Any]] = [
            {
                "order": list(order),
                "stages": [{"name": s.name, "kept": _kept(s.name, s.kept)} for s in found.stages],
                "kept": kept[n],
                "share_of_full": float(full[left[n][0]].sum()),
                "entropy_bits": _entropy(finals[n]),
                "chosen": found.step.chosen,
            }
            for n, (order, found) in enumerate(((USUAL, usual), (inputs.order, other)))
        ]
        cut_by = [{c.id: c.cut_by for c in found.step.candidates} for found in (usual, other)]
        candidates: list[dict[str, Any]] = [
            {
                "id": id,
                "text": engine.token_text(id),
                "p_full": float(full[id]),
                "p_usual": float(finals[0][id]),
                "p_other": float(finals[1][id]),
                "cut_by_usual": cut_by[0].get(id),
                "cut_by_other": cut_by[1].get(id),
            }
            for id in np.argsort(-full, kind="stable")[:_TOP].tolist()
        ]
        texts = {name: engine.token_text(id) for name, id in draws.items()}
        return self.shown(
            inputs,
            2 if kept[0] == kept[1] else int(kept[1] > kept[0]),
            {
                "orders": orders,
                "kept_by_both": both,
                "only_usual": kept[0] - both,
                "only_other": kept[1] - both,
                "total_variation": distance,
                "candidates": candidates,
                "draws": [{"how": h, "id": i, "text": texts[h]} for h, i in draws.items()],
                "same_seed_same_token": again.step.chosen == usual.step.chosen,
                "greedy_is_most_probable": greedy.step.chosen == best,
            },
            (
                Table(
                    "tokens kept after each stage",
                    ("order", "stages"),
                    tuple((_name(o["order"]), _path(o["stages"])) for o in orders),
                ),
                *(
                    Bars(
                        f"drawn with: {_name(order)} ({kept[n]:,} left)",
                        tuple(
                            Bar(visible(c["text"]), c[f"p_{key}"], _note(c, key))
                            for c in candidates
                        ),
                        digits=3,
                    )
                    for n, (order, key) in enumerate(((USUAL, "usual"), (inputs.order, "other")))
                ),
                Table(
                    "one draw each",
                    ("with", "token", "id", "of all tokens"),
                    tuple(
                        (how, visible(texts[how]), str(id), f"{full[id]:.2g}")
                        for how, id in draws.items()
                    ),
                ),
            ),
            _seen(inputs, kept, distance, list(texts.values()), engine.token_text(best)),
            (
                "In which order do samplers run, and why does the order matter?",
                "What is a seed?",
                "What is greedy decoding?",
            ),
            Provenance(
                engine.info.name,
                "llama.cpp, its own samplers in the two orders named",
                measured=("logits", "candidates after every stage", "drawn tokens"),
                calculated=("probabilities", "entropy", "total variation"),
                seed=inputs.seed,
            ),
        )


def _name(order: tuple[str, ...]) -> str:
    return " → ".join(order)


def _path(stages: list[dict[str, Any]]) -> str:
    names = {"dist": "drawn from"}
    return ", ".join(f"{names.get(s['name'], s['name'])} {s['kept']:,}" for s in stages)


def _note(candidate: dict[str, Any], order: str) -> str:
    stage = candidate[f"cut_by_{order}"]
    return f"cut by {stage}" if stage else f"of all tokens {candidate['p_full']:.3f}"


def _kept(stage: str, size: int) -> int:
    """How many tokens a stage leaves: llama.cpp's greedy sampler picks one and removes none."""
    return 1 if stage == "greedy" else size


def _left(found: NextToken) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The ids that can be drawn and the probabilities of it, both of shape (kept,)."""
    last = found.stages[-1]
    if last.name == "greedy":
        return np.array([found.step.chosen], dtype=np.int32), np.ones(1, dtype=np.float32)
    return last.ids, last.p


def _entropy(p: NDArray[np.float64]) -> float:
    """In bits."""
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum()) + 0.0


def _seen(
    inputs: SamplersInput, kept: list[int], distance: float, drawn: list[str], best: str
) -> str:
    if inputs.temperature == 0:
        return (
            f"T = 0 is greedy decoding: every order and seed took {drawn[0]!r}, and the most "
            f"probable token is {best!r}. Nothing is drawn, so the order of samplers has no effect."
        )
    moved = (
        "so here the order makes no difference"
        if distance < 1e-6
        else f"and {distance:.1%} of the probability lies on other tokens"
    )
    return (
        f"{_name(USUAL)} leaves {kept[0]:,} tokens and {_name(inputs.order)} {kept[1]:,}, {moved}. "
        f"Seed {inputs.seed} drew {drawn[0]!r} and again {drawn[1]!r}; T = 0 takes {drawn[-1]!r}, "
        f"and the most probable token is {best!r}."
    )
