"""Lesson 1: the same input gives the same logits; other weights give another model.

The same text goes twice through llama.cpp, read anew each time. Then one layer, or one weight, is
changed in the torch copy, and put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from tutor.demos.demo import Demo, DemoInput, Prediction, Provenance, Run, Shown
from tutor.demos.figures import Table
from tutor.demos.torch_copy import (
    Floats,
    agreement,
    before_and_after,
    last_logits,
    likeliest,
    llama_logits,
    moved,
    number_in,
    open_copy,
    probabilities,
    prompt_of,
    read,
)
from tutor.demos.workbench import Workbench
from tutor.engine.engine import Engine
from tutor.text import visible


class DeterminismInput(DemoInput):
    """The text, and what is changed in the copy."""

    text: str = Field("The sky is", min_length=1, description="Any beginning, to 128 tokens.")
    change: Literal["layer", "weight"] = Field(
        "layer", description="All that a layer adds, or its feed-forward's largest weight."
    )
    layer: int = Field(11, description="Which layer: 0 to 29 in SmolLM2-135M.")
    factor: float = Field(0.0, ge=-100, le=100, description="It is multiplied by this; 1 is as is.")


class Determinism(Demo[DeterminismInput]):
    """Twice the same, then changed."""

    name: ClassVar[str] = "determinism"
    lesson: ClassVar[int] = 1
    title: ClassVar[str] = "Same input, same scores"
    about: ClassVar[str] = "Read a text twice and compare, then change a layer or one weight."
    input = DeterminismInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: DeterminismInput) -> Prediction:
        return Prediction(
            f"The model reads {inputs.text[-40:]!r} twice; then {_what(inputs)} is multiplied by "
            f"{inputs.factor:g}. What happens to its first choice for the next token?",
            (
                "twice the same scores, and the same first choice after the change",
                "twice the same scores, but another first choice after the change",
                "the scores differ already the second time",
            ),
        )

    def run(self, bench: Workbench, inputs: DeterminismInput, run: Run) -> Shown:
        engine = bench.engine
        number_in("layer", inputs.layer, engine.info.layers)
        ids = prompt_of(bench, inputs.text)
        run.report("reading the text once", 0.0)
        first = llama_logits(bench, ids, afresh=True)
        run.report("reading the text again", 0.5)
        second = llama_logits(bench, ids, afresh=True)
        difference = float(np.abs(first - second).max())

        model = open_copy(bench, run)
        with _changed(model, inputs) as place:
            after = last_logits(read(model, ids, run, "reading with the change"))
        # Read last, so that what is compared with is also what was put back.
        before = last_logits(read(model, ids, run, "reading with the weights put back"))
        agreed = agreement(bench, ids, before)
        p, q = probabilities(before), probabilities(after)
        shift = moved(p, q)
        best, other = int(p.argmax()), int(q.argmax())
        right = 2 if difference > 0 else 0 if best == other else 1

        name = engine.token_text
        seen = (
            f"Read twice by llama.cpp, the greatest difference among {len(first):,} logits is "
            f"{difference:g}. With {_what(inputs)} multiplied by {inputs.factor:g}, {shift:.2%} of "
            f"the probability moves, and the first choice "
            + (
                f"stays {name(best)!r} ({p[best]:.1%} before, {q[best]:.1%} after)."
                if best == other
                else f"turns from {name(best)!r} ({p[best]:.1%}) to {name(other)!r} "
                f"({q[other]:.1%})."
            )
        )
        return self.shown(
            inputs,
            right,
            {
                "tokens": len(ids),
                "greatest_difference": difference,
                "readings": [
                    {
                        "id": id,
                        "text": name(id),
                        "first": float(first[id]),
                        "second": float(second[id]),
                    }
                    for id in likeliest(first)
                ],
                "changed": place,
                "moved": shift,
                "before": {"id": best, "text": name(best), "p": float(p[best])},
                "after": {"id": other, "text": name(other), "p": float(q[other])},
                "candidates": [
                    {
                        "id": id,
                        "text": name(id),
                        "logit_before": float(before[id]),
                        "logit_after": float(after[id]),
                        "p_before": float(p[id]),
                        "p_after": float(q[id]),
                    }
                    for id in dict.fromkeys([*likeliest(p), *likeliest(q)])
                ],
                "engines": asdict(agreed),
            },
            (
                _twice(engine, first, second),
                before_and_after(
                    f"next token, {_what(inputs)} times {inputs.factor:g}", engine, p, q
                ),
            ),
            seen,
            (
                "Is a language model random inside?",
                "What is a model, in one sentence?",
                "Where does a model's knowledge sit?",
            ),
            Provenance(
                engine.info.name,
                "llama.cpp twice, then torch in float32 with the same weights",
                measured=(
                    "logits of both llama.cpp readings (memory emptied between them)",
                    "logits of torch with and without the change",
                    agreed.told,
                ),
                calculated=("probabilities over all tokens", "probability moved"),
            ),
        )


def _what(inputs: DeterminismInput) -> str:
    if inputs.change == "layer":
        return f"all that layer {inputs.layer} adds"
    return f"the largest feed-forward weight of layer {inputs.layer}"


@contextmanager
def _changed(model: Any, inputs: DeterminismInput) -> Iterator[dict[str, Any]]:
    """Multiplies the weights, gives where, and puts the old ones back, whatever happens."""
    import torch

    layer = model.get_decoder().layers[inputs.layer]
    down = layer.mlp.down_proj.weight
    place: dict[str, Any] = {"layer": inputs.layer, "factor": inputs.factor}
    if inputs.change == "layer":
        # A block adds two things to the stream of vectors: these matrices are their last step.
        parts = [layer.self_attn.o_proj.weight.data, down.data]
        place["weights"] = sum(part.numel() for part in parts)
    else:
        row, column = divmod(int(down.abs().argmax()), down.shape[1])
        parts = [down.data[row, column]]
        place |= {"weights": 1, "row": row, "column": column, "value": parts[0].item()}
    kept = [part.clone() for part in parts]
    with torch.no_grad():
        try:
            for part in parts:
                part.mul_(inputs.factor)
            yield place
        finally:
            for part, old in zip(parts, kept, strict=True):
                part.copy_(old)


def _twice(engine: Engine, first: Floats, second: Floats) -> Table:
    return Table(
        "the same text, read twice by llama.cpp",
        ("token", "logit, first time", "logit, second time", "difference"),
        tuple(
            (
                visible(engine.token_text(id)),
                f"{first[id]:.6f}",
                f"{second[id]:.6f}",
                f"{second[id] - first[id]:g}",
            )
            for id in likeliest(first)
        ),
    )
