"""Lesson 5: where one head really looks, and what the next token loses without it.

A map of one head is evidence of where information may come from; it does not explain an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from tutor.demos.demo import Demo, DemoInput, Prediction, Provenance, Run, Shown
from tutor.demos.figures import Heatmap, Table
from tutor.demos.torch_copy import (
    MOST_TOKENS,
    Floats,
    agreement,
    before_and_after,
    last_logits,
    moved,
    number_in,
    open_copy,
    probabilities,
    prompt_of,
    read,
)
from tutor.demos.workbench import Workbench
from tutor.engine.gguf import ModelInfo
from tutor.text import visible

_ROWS = 32


class AttentionInput(DemoInput):
    """The text, and which head to look at."""

    text: str = Field(
        "The trophy did not fit into the suitcase because it was too big",
        min_length=1,
        description=f"Two to {MOST_TOKENS} tokens.",
    )
    layer: int = Field(13, description="Which layer: 0 to 29 in SmolLM2-135M.")
    head: int = Field(8, description="Which query head: 0 to 8 in SmolLM2-135M.")
    hide_sink: bool = Field(
        False, description="Leave the first token's column out of the picture, not of the sums."
    )


class Attention(Demo[AttentionInput]):
    """One head's map."""

    name: ClassVar[str] = "attention"
    lesson: ClassVar[int] = 5
    title: ClassVar[str] = "Attention"
    about: ClassVar[str] = "Choose a layer and a head: see where each token looks; switch it off."
    input = AttentionInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: AttentionInput) -> Prediction:
        return Prediction(
            f"In layer {inputs.layer}, head {inputs.head}: where does the last token of "
            f"{inputs.text.rstrip()[-30:]!r} put most of its attention?",
            (
                "on the very first token",
                "on the token just before it",
                "on itself",
                "on some other token in between",
            ),
        )

    def run(self, bench: Workbench, inputs: AttentionInput, run: Run) -> Shown:
        engine, info = bench.engine, bench.engine.info
        number_in("layer", inputs.layer, info.layers)
        number_in("head", inputs.head, info.heads)
        ids = prompt_of(bench, inputs.text, least=2)
        names = [visible(engine.token_text(id)) for id in ids]

        model = open_copy(bench, run)
        output = read(model, ids, run, "reading the text", output_attentions=True)
        # One layer's weights are (batch, query heads, from, to).
        weights: Floats = output.attentions[inputs.layer][0, inputs.head].numpy()
        before = last_logits(output)
        with _switched_off(model, inputs.layer, inputs.head):
            after = last_logits(read(model, ids, run, "reading without the head"))
        agreed = agreement(bench, ids, before)

        n = len(ids)
        sums = weights.sum(axis=1, dtype=np.float64)
        # The first row can look nowhere else: it says nothing about a sink.
        sink = float(weights[1:, 0].mean())
        most = int(weights[-1].argmax())
        right = {0: 0, n - 2: 1, n - 1: 2}.get(most, 3) if most else 0
        p, q = probabilities(before), probabilities(after)
        best, other = int(p.argmax()), int(q.argmax())
        loss = float(np.log2(p[best]) - np.log2(q[best]))
        kv = inputs.head * info.kv_heads // info.heads
        sharers = _groups(info)[kv]
        text = engine.token_text
        seen = (
            f"The last token puts {weights[-1, most]:.0%} of its attention on {text(ids[most])!r}, "
            f"and the tokens after the first put {sink:.0%} of theirs on the first one, the usual "
            "sink for a head that finds nothing. Without the head, the probability of "
            f"{text(best)!r} goes from {p[best]:.2%} to {q[best]:.2%}, and "
            + ("it stays" if other == best else f"{text(other)!r} becomes")
            + " the first choice."
        )
        return self.shown(
            inputs,
            right,
            {
                "tokens": [{"id": id, "text": text(id)} for id in ids],
                "weights": [
                    [float(w) for w in row[: i + 1]] + [None] * (n - i - 1)
                    for i, row in enumerate(weights)
                ],
                "row_sums": sums.tolist(),
                "above_diagonal": float(np.triu(weights, 1).max()),
                "sink": sink,
                "last_looks_at": most,
                "kv_head": kv,
                "shared_with": [head for head in sharers if head != inputs.head],
                "without_head": {
                    "moved": moved(p, q),
                    "bits_lost": loss,
                    "before": {"id": best, "text": text(best), "p": float(p[best])},
                    "p_after": float(q[best]),
                    "after": {"id": other, "text": text(other), "p": float(q[other])},
                },
                "engines": asdict(agreed),
            },
            (
                _map(inputs, names, weights),
                _rows(names, weights, sums),
                Table(
                    "grouped-query attention: which query heads share keys and values",
                    ("key-value head", "query heads"),
                    tuple(
                        (f"{group}{' <' if group == kv else ''}", ", ".join(map(str, heads)))
                        for group, heads in enumerate(_groups(info))
                    ),
                ),
                before_and_after("next token, before and after the head is off", engine, p, q),
            ),
            seen,
            (
                "Do attention weights explain why a model answered something?",
                "What is grouped-query attention?",
                "What does the causal mask do?",
            ),
            Provenance(
                info.name,
                "torch in float32 with the running file's weights",
                measured=(
                    f"attention weights of layer {inputs.layer}, head {inputs.head}",
                    "logits with and without the head",
                    agreed.told,
                ),
                calculated=("row sums", "mean on the first token", "probabilities, bits"),
                illustration=("a map of one head is no explanation of the answer",),
            ),
        )


@contextmanager
def _switched_off(model: Any, layer: int, head: int) -> Iterator[None]:
    """Sets a head's part of what the output matrix mixes to zero, until the end of the block."""
    attention = model.get_decoder().layers[layer].self_attn
    part = slice(head * attention.head_dim, (head + 1) * attention.head_dim)

    def without(module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        # The heads' results stand side by side: (batch, tokens, heads x head_dim).
        mixed = given[0].clone()
        mixed[..., part] = 0
        return (mixed, *given[1:])

    hook = attention.o_proj.register_forward_pre_hook(without)
    try:
        yield
    finally:
        hook.remove()


def _groups(info: ModelInfo) -> list[list[int]]:
    """The query heads of each key-value head."""
    size = info.heads // info.kv_heads
    return [list(range(kv * size, (kv + 1) * size)) for kv in range(info.kv_heads)]


def _map(inputs: AttentionInput, names: list[str], weights: Floats) -> Heatmap:
    first = int(inputs.hide_sink)
    shown = tuple(
        tuple(float(w) if first <= j <= i else None for j, w in enumerate(row))
        for i, row in enumerate(weights)
    )
    hidden = ", first token's column hidden" if first else ""
    high = max((w for row in shown for w in row if w is not None), default=1.0)
    return Heatmap(
        f"layer {inputs.layer}, head {inputs.head}: row = who looks, column = at whom{hidden}",
        tuple(names),
        tuple(names),
        shown,
        high=high if first else 1.0,
    )


def _rows(names: list[str], weights: Floats, sums: Floats) -> Table:
    rows = []
    for i in range(max(len(names) - _ROWS, 0), len(names)):
        row = weights[i]
        at = int(row[1 : i + 1].argmax()) + 1 if i else 0
        beside = f"{names[at]} {row[at]:.3f}" if i else ""
        rows.append((names[i], f"{sums[i]:.6f}", f"{row[0]:.3f}", beside))
    last = f", the last {_ROWS}" if len(names) > _ROWS else ""
    return Table(
        f"every row{last}: it sums to 1",
        ("token", "row sum", "on the first token", "most on another"),
        tuple(rows),
    )
