"""What the sampler chain did at one step: which tokens it kept, which stage cut the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutor.engine.events import Candidate, Step

_PART = 64
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


def log_normaliser_and_entropy(
    logits: NDArray[np.float32], scratch: NDArray[np.float32] | None = None
) -> tuple[float, float]:
    """log(sum(exp(logits))), so that logit minus it is a log-probability; and the entropy in bits.

    One pass, since it runs over the whole vocabulary at every token; with a `scratch` of shape
    (2, n_vocab) no memory is asked for, which takes as long as the pass. A banned token's logit of
    minus infinity adds nothing.
    """
    shifted, weights = (None, None) if scratch is None else scratch
    peak = float(logits.max())
    shifted = np.subtract(logits, np.float32(peak), out=shifted)
    weights = np.exp(shifted, out=weights)
    total = float(weights.sum())
    with np.errstate(invalid="ignore"):
        mean = float(weights @ shifted) / total
    if np.isnan(mean):  # nothing times minus infinity
        mean = float(weights @ np.maximum(shifted, -1e4, out=shifted)) / total
    return peak + float(np.log(total)), (float(np.log(total)) - mean) / _LN2


def _likeliest(logits: NDArray[np.float32], top: int) -> NDArray[np.int64]:
    """The ids of the `top` highest logits, highest first."""
    # `top` parts of the vocabulary have their peak at the floor or above: so have `top` tokens, and
    # hardly more. A partition of the whole vocabulary takes twice as long.
    parts = len(logits) // _PART
    peaks = logits[: parts * _PART].reshape(_PART, parts).max(axis=0)
    floor = np.partition(peaks, -top)[-top] if parts >= top else -np.inf
    ids = np.flatnonzero(logits >= floor)
    return ids[np.argsort(-logits[ids], kind="stable")[:top]]


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
        inside = (left[:, None] == stage.ids).any(axis=1)
        cut_by |= dict.fromkeys(left[~inside].tolist(), stage.name)
        left = left[inside]
    final = stages[-1]
    # Greedy without penalties leaves all as it was: no second pass over the vocabulary.
    final_normaliser, final_entropy = (
        (normaliser, entropy)
        if final.logits is logits
        else log_normaliser_and_entropy(final.logits)
    )
    if final.kept == len(logits) and np.array_equal(final.ids[left], left):
        places = left  # still in the order of the vocabulary
    else:
        places = (left[:, None] == final.ids).argmax(axis=1)
    p_final = dict.fromkeys(ids.tolist(), 0.0) | dict(
        zip(left.tolist(), np.exp(final.logits[places] - final_normaliser).tolist(), strict=True)
    )
    raw = logits[ids]
    return Step(
        chosen,
        entropy,
        final_entropy,
        tuple((stage.name, stage.kept) for stage in stages),
        tuple(
            Candidate(id, logit, p_full, p_final[id], cut_by.get(id))
            for id, logit, p_full in zip(
                ids.tolist(), raw.tolist(), np.exp(raw - normaliser).tolist(), strict=True
            )
        ),
    )
