"""What the sampler chain did at one step: which tokens it kept, which stage cut the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutor.engine.events import Candidate, Step

_NEAR = (5.0, 10.0, 20.0, np.inf)
_LN2 = float(np.log(2.0))


@dataclass(frozen=True, slots=True)
class Stage:
    """The candidates after one stage: `ids` and `logits`, shape (kept,), in the chain's order."""

    name: str
    ids: NDArray[np.int32]
    logits: NDArray[np.float32]

    @property
    def kept(self) -> int:
        return len(self.ids)

    @property
    def p(self) -> NDArray[np.float32]:
        """The softmax over what is kept; sums to 1."""
        return np.asarray(np.exp(log_probabilities(self.logits)), dtype=np.float32)


def log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural logarithms of the softmax, same shape."""
    shifted = logits - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()), dtype=np.float32)


def log_normaliser_and_entropy(logits: NDArray[np.float32]) -> tuple[float, float]:
    """log(sum(exp(logits))), so that logit minus it is a log-probability; and the entropy in bits.

    One pass, since it runs over the whole vocabulary at every token. A banned token's logit of
    minus infinity adds nothing.
    """
    peak = float(logits.max())
    shifted = logits - peak
    weights = np.exp(shifted)
    total = float(weights.sum())
    mean = float(weights @ np.maximum(shifted, -1e4)) / total
    return peak + float(np.log(total)), (float(np.log(total)) - mean) / _LN2


def _likeliest(logits: NDArray[np.float32], top: int) -> NDArray[np.int64]:
    """The ids of the `top` highest logits, highest first."""
    # A comparison over the vocabulary is ten times as fast as a partition of it.
    peak = logits.max()
    for near in _NEAR:
        ids = np.flatnonzero(logits > peak - near)
        if len(ids) >= top:
            break
    return ids[np.argsort(-logits[ids], kind="stable")][:top]


def summarise(
    chosen: int,
    logits: NDArray[np.float32],
    stages: list[Stage],
    top: int,
    normaliser: float,
    entropy: float,
) -> Step:
    """A step from the raw `logits` (n_vocab,) and the stages of the chain, at least one.

    `normaliser` and `entropy` are those of the raw logits.
    """
    ids = _likeliest(logits, top)
    if chosen not in ids:
        ids = np.append(ids, chosen)
    cut_by: dict[int, str] = {}
    left = ids
    for stage in stages:
        if stage.kept == len(logits):
            continue
        inside = np.zeros(len(logits), dtype=bool)
        inside[stage.ids] = True
        gone = ~inside[left]
        for id in left[gone]:
            cut_by[int(id)] = stage.name
        left = left[~gone]
    final = stages[-1]
    # Greedy without penalties leaves all as it was: no second pass over the vocabulary.
    unchanged = np.array_equal(final.logits, logits)
    final_normaliser, final_entropy = (
        (normaliser, entropy) if unchanged else log_normaliser_and_entropy(final.logits)
    )
    shown = np.zeros(len(logits), dtype=bool)
    shown[ids] = True
    kept = shown[final.ids]
    p = np.exp(final.logits[kept] - final_normaliser)
    p_final = dict(zip(final.ids[kept].tolist(), p.tolist(), strict=True))
    return Step(
        chosen,
        entropy,
        final_entropy,
        tuple((stage.name, stage.kept) for stage in stages),
        tuple(
            Candidate(
                int(id),
                float(logits[id]),
                float(np.exp(logits[id] - normaliser)),
                0.0 if int(id) in cut_by else p_final.get(int(id), 0.0),
                cut_by.get(int(id)),
            )
            for id in ids
        ),
    )
