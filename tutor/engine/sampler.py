"""The sampler chain: llama.cpp's own samplers, applied one after another to the candidates.

Order as in llama.cpp's common_sampler: penalties, top_k, top_p, min_p, temperature, dist. One
chain for everything, so that what a learner is shown is the path the token really took.
"""

from __future__ import annotations

import ctypes
from collections import deque

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from tutor.engine.settings import Sampling

PENALTY_LAST_N = 64
_LN2 = float(np.log(2.0))

# The C struct llama_token_data, so that numpy fills the candidates without a Python loop.
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class SamplerChain:
    """Samplers for one generation; settings may change between any two tokens."""

    def __init__(self, n_vocab: int) -> None:
        self._n_vocab = n_vocab
        self._candidates = np.zeros(n_vocab, dtype=_CANDIDATE)
        self._ids = np.arange(n_vocab, dtype=np.int32)
        self._settings: Sampling | None = None
        self._samplers: list[llama_cpp.llama_sampler_p] = []
        self._penalties: llama_cpp.llama_sampler_p | None = None
        # The random state lives in this sampler: it is kept while other knobs are turned.
        self._dist: llama_cpp.llama_sampler_p | None = None
        self._recent: deque[int] = deque(maxlen=PENALTY_LAST_N)

    def close(self) -> None:
        self._free_stages()
        if self._dist:
            llama_cpp.llama_sampler_free(self._dist)
            self._dist = None

    def sample(self, logits: NDArray[np.float32], settings: Sampling) -> int:
        """The next token's id from `logits` (n_vocab,); remembered for the penalties."""
        if settings != self._settings:
            self._configure(settings)
        candidates = self._candidates
        candidates["id"] = self._ids
        candidates["logit"] = logits
        array = llama_cpp.llama_token_data_array(
            candidates.ctypes.data_as(llama_cpp.llama_token_data_p), self._n_vocab, -1, False
        )
        for sampler in self._samplers:
            llama_cpp.llama_sampler_apply(sampler, ctypes.byref(array))
        id = int(array.data[array.selected].id)
        self._recent.append(id)
        if self._penalties:
            llama_cpp.llama_sampler_accept(self._penalties, id)
        return id

    def _free_stages(self) -> None:
        for sampler in self._samplers:
            if sampler is not self._dist:
                llama_cpp.llama_sampler_free(sampler)
        self._samplers, self._penalties = [], None

    def _configure(self, settings: Sampling) -> None:
        before, self._settings = self._settings, settings
        self._free_stages()
        stages = self._samplers
        if settings.repeat_penalty != 1:
            self._penalties = llama_cpp.llama_sampler_init_penalties(
                self._n_vocab, PENALTY_LAST_N, settings.repeat_penalty, 0.0, 0.0
            )
            for id in self._recent:
                llama_cpp.llama_sampler_accept(self._penalties, id)
            stages.append(self._penalties)
        if self._dist is None or (before and before.seed != settings.seed):
            if self._dist:
                llama_cpp.llama_sampler_free(self._dist)
            self._dist = llama_cpp.llama_sampler_init_dist(settings.seed)
        if settings.greedy or settings.temperature == 0:
            stages.append(llama_cpp.llama_sampler_init_greedy())
            return
        if settings.top_k > 0:
            stages.append(llama_cpp.llama_sampler_init_top_k(settings.top_k))
        if settings.top_p < 1:
            stages.append(llama_cpp.llama_sampler_init_top_p(settings.top_p, 1))
        if settings.min_p > 0:
            stages.append(llama_cpp.llama_sampler_init_min_p(settings.min_p, 1))
        stages.append(llama_cpp.llama_sampler_init_temp(settings.temperature))
        stages.append(self._dist)


def log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural logarithms of the softmax over the whole vocabulary, shape (n_vocab,)."""
    shifted = logits - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()), dtype=np.float32)


def entropy_bits(logprobs: NDArray[np.float32]) -> float:
    """Shannon entropy of the full distribution in bits; log2(n_vocab) at most."""
    return float(-(np.exp(logprobs) * logprobs).sum()) / _LN2
