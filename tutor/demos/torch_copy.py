"""The model's copy in torch, as demonstrations read it; and how far it is from llama.cpp.

Both compute with the same dequantized numbers, but llama.cpp also rounds the inputs of every matrix
product, as its weights are: to 8 bits with Q8_0, to 16 with BF16. Measured on a 2-core AVX2 machine:
with the file in float32, no logit differed by more than 0.015 on 6 texts; with Q8_0, on 125 texts of
1 to 80 tokens, half differed by under 0.7 in their worst logit and 3% of the probability, and the
worst by 2.5 and 10%.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutor.demos.demo import DemoError, Run
from tutor.demos.figures import Bar, Bars
from tutor.demos.workbench import Workbench
from tutor.engine.engine import Engine
from tutor.engine.settings import Sampling
from tutor.engine.trace import log_probabilities
from tutor.engine.weights import torch_model
from tutor.text import visible

MOST_TOKENS = 128
BOUND = 0.15
"""The share of the next token's probability by which the two may differ (total variation)."""

_TOP = 5
_PLAIN = Sampling(greedy=True, repeat_penalty=1.0)

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Agreement:
    """llama.cpp against torch on one prompt: greatest difference of a logit, and the share of the
    next token's probability that lies elsewhere."""

    logit: float
    share: float

    @property
    def told(self) -> str:
        """The same as a line of the provenance."""
        kept = "within" if self.share <= BOUND else "OUTSIDE"
        return (
            f"llama.cpp (rounded inputs) against torch (32-bit) on this text: {self.share:.1%} of "
            f"the probability differs, {kept} the bound of {BOUND:.0%}; worst logit {self.logit:.2f}"
        )


def prompt_of(bench: Workbench, text: str, least: int = 1, most: int = MOST_TOKENS) -> list[int]:
    """The ids of a learner's text without its trailing space. Raises DemoError that counts them."""
    ids = bench.engine.tokenize(text.rstrip())
    if len(ids) < least:
        raise DemoError(f"give {least} to {most} tokens, this has {len(ids)}", "text")
    if len(ids) > most:
        raise DemoError(f"at most {most} tokens fit here, this has {len(ids)}: shorten it", "text")
    return ids


def number_in(name: str, value: int, count: int) -> int:
    """The same number. Raises DemoError where the model has no such layer or head."""
    if not 0 <= value < count:
        raise DemoError(f"there are 0 to {count - 1}, not {value}", name)
    return value


def open_copy(bench: Workbench, run: Run) -> Any:
    """The torch model of the running file, loaded when first asked for."""
    return torch_model(Path(bench.engine.info.path), bench.cache, run.report)


def read(model: Any, ids: Sequence[int], run: Run, stage: str, **wanted: bool) -> Any:
    """One forward pass over `ids`, told (and stoppable) after every layer."""
    import torch

    layers = model.get_decoder().layers
    hooks = [
        layer.register_forward_hook(lambda *_, n=n: run.report(stage, n / len(layers)))
        for n, layer in enumerate(layers, start=1)
    ]
    try:
        with torch.inference_mode():
            return model(torch.tensor([list(ids)]), use_cache=False, **wanted)
    finally:
        for hook in hooks:
            hook.remove()


def last_logits(output: Any) -> Floats:
    """The logits after the last token, shape (n_vocab,)."""
    return np.asarray(output.logits[0, -1].numpy(), dtype=np.float32)


def llama_logits(bench: Workbench, ids: Sequence[int], *, afresh: bool = False) -> Floats:
    """The same from llama.cpp, shape (n_vocab,); `afresh` reads every token again."""
    if afresh:
        bench.engine.forget()
    (stage,) = bench.engine.next(ids, _PLAIN, 1).stages
    logits = np.empty_like(stage.logits)
    logits[stage.ids] = stage.logits
    return logits


def agreement(bench: Workbench, ids: Sequence[int], logits: Floats) -> Agreement:
    """How far torch's `logits` are from llama.cpp's after the same prompt."""
    other = llama_logits(bench, ids)
    return Agreement(
        float(np.abs(other - logits).max()), moved(probabilities(other), probabilities(logits))
    )


def probabilities(logits: Floats) -> Floats:
    """The softmax over the whole vocabulary."""
    return np.asarray(np.exp(log_probabilities(logits)), dtype=np.float32)


def moved(before: Floats, after: Floats) -> float:
    """The share of probability that lies elsewhere (total variation), 0 to 1."""
    return float(np.abs(before.astype(np.float64) - after).sum() / 2)


def likeliest(logits: Floats) -> list[int]:
    """The ids of the few highest values, highest first."""
    return np.argsort(-logits, kind="stable")[:_TOP].tolist()


def before_and_after(title: str, engine: Engine, p: Floats, q: Floats) -> Bars:
    """Two bars on one scale for each token that is likely before (p) or after (q)."""
    return Bars(
        title,
        tuple(
            bar
            for id in dict.fromkeys([*likeliest(p), *likeliest(q)])
            for bar in (
                Bar(visible(engine.token_text(id)), float(p[id]), "before"),
                Bar("", float(q[id]), "after"),
            )
        ),
        digits=4,
    )
