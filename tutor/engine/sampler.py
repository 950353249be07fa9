"""The sampler chain: llama.cpp's own samplers, applied one after another to the candidates.

One chain for everything, so that what a learner is shown is the path that the token really took.
Settings may change between any two tokens: a stage whose own settings stay keeps its state (random
numbers, what was said), the others are made anew.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from tutor.engine.settings import Sampling
from tutor.engine.trace import Stage

PENALTY_LAST_N = 64
DRY_BASE, DRY_ALLOWED_LENGTH = 1.75, 2
MIROSTAT_ETA = 0.1
_DRY_BREAKERS = (b"\n", b":", b'"', b"*")

# The C struct llama_token_data, so that numpy fills the candidates without a Python loop.
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])

Tokenize = Callable[[str], list[int]]


class SamplerChain:
    """Samplers for one generation over `n_vocab` tokens."""

    def __init__(
        self,
        n_vocab: int,
        tokenize: Tokenize = lambda word: [],
        vocab: llama_cpp.llama_vocab_p | None = None,
        said: Sequence[int] = (),
    ) -> None:
        """`tokenize` cuts banned words, `vocab` (llama.cpp's) is what DRY reads its breakers by.

        `said` are tokens that count as said already: a branch of an answer goes on from them.
        """
        self._vocab = vocab
        self._n_vocab = n_vocab
        self._tokenize = tokenize
        self._candidates = np.zeros(self._n_vocab, dtype=_CANDIDATE)
        self._ids = np.arange(self._n_vocab, dtype=np.int32)
        self._settings: Sampling | None = None
        self._samplers: dict[str, tuple[tuple[object, ...], llama_cpp.llama_sampler_p]] = {}
        self._order: list[str] = []
        self._banned: list[list[int]] = []
        self._said: deque[int] = deque(said, maxlen=PENALTY_LAST_N)

    @property
    def said(self) -> list[int]:
        """The last tokens that count for the penalties."""
        return list(self._said)

    def close(self) -> None:
        """Frees the samplers; closing twice is fine."""
        for _, sampler in self._samplers.values():
            llama_cpp.llama_sampler_free(sampler)
        self._samplers = {}
        self._settings = None

    def sample(
        self,
        logits: NDArray[np.float32],
        settings: Sampling,
        trace: list[Stage] | None = None,
        *,
        brief: bool = False,
    ) -> int:
        """The next token's id from `logits` (n_vocab,); the stages are added to `trace`.

        A `brief` trace leaves out stages that still keep the whole vocabulary, but the last, whose
        logits are `logits` itself where no stage changed any: copying the vocabulary at every token
        would cost more than all samplers together.
        """
        id = self._apply(logits, settings, trace, brief)
        self.accept(id)
        return id

    def accept(self, id: int) -> None:
        """Remembers a token as said, drawn by the chain or picked by the learner."""
        self._said.append(id)
        for _, sampler in self._samplers.values():
            llama_cpp.llama_sampler_accept(sampler, id)

    def _apply(
        self,
        logits: NDArray[np.float32],
        settings: Sampling,
        trace: list[Stage] | None,
        brief: bool,
    ) -> int:
        if settings is not self._settings and settings != self._settings:
            self._configure(settings)
        candidates = self._candidates
        candidates["id"] = self._ids
        candidates["logit"] = logits
        array = llama_cpp.llama_token_data_array(
            candidates.ctypes.data_as(llama_cpp.llama_token_data_p), self._n_vocab, -1, False
        )
        for name in self._order:
            if name == "logit_bias":
                self._bias(candidates, settings)
                array.sorted = False
            else:
                llama_cpp.llama_sampler_apply(self._samplers[name][1], ctypes.byref(array))
            if trace is None:
                continue
            if brief and self._order == ["greedy"]:
                trace.append(Stage(name, self._ids, logits))
            elif not brief or name == self._order[-1] or array.size < self._n_vocab:
                kept = candidates[: array.size]
                trace.append(Stage(name, kept["id"].copy(), kept["logit"].copy()))
        return int(array.data[array.selected].id)

    def _bias(self, candidates: NDArray[np.void], settings: Sampling) -> None:
        def place(id: int) -> Any:
            # Still in the order of ids where this stage runs first; otherwise looked up.
            inside = 0 <= id < self._n_vocab
            return id if inside and ids[id] == id else ids == id

        ids = candidates["id"]
        for id, bias in settings.logit_bias.items():
            candidates["logit"][place(id)] += bias
        said = list(self._said)
        for word in self._banned:
            # A word of several tokens is banned at its last: its beginning is other words' too.
            *before, last = word
            if not before or said[-len(before) :] == before:
                candidates["logit"][place(last)] = -np.inf

    def _configure(self, settings: Sampling) -> None:
        self._settings = settings
        self._banned = [
            ids
            for word in settings.banned
            for form in (word, f" {word}", f" {word.capitalize()}", word.capitalize())
            if (ids := self._tokenize(form))
        ]
        wanted = _stages(settings)
        for name in [n for n in self._samplers if n not in wanted]:
            llama_cpp.llama_sampler_free(self._samplers.pop(name)[1])
        for name, key in wanted.items():
            if name == "logit_bias":
                continue
            if name in self._samplers:
                if self._samplers[name][0] == key:
                    continue
                llama_cpp.llama_sampler_free(self._samplers.pop(name)[1])
            sampler = self._make(name, settings)
            for id in self._said:
                llama_cpp.llama_sampler_accept(sampler, id)
            self._samplers[name] = (key, sampler)
        self._order = list(wanted)

    def _make(self, name: str, s: Sampling) -> llama_cpp.llama_sampler_p:
        if name == "penalties":
            return llama_cpp.llama_sampler_init_penalties(
                self._n_vocab,
                PENALTY_LAST_N,
                s.repeat_penalty,
                s.frequency_penalty,
                s.presence_penalty,
            )
        if name == "dry":
            breakers = (ctypes.c_char_p * len(_DRY_BREAKERS))(*_DRY_BREAKERS)
            return llama_cpp.llama_sampler_init_dry(
                self._vocab,
                s.dry_multiplier,
                DRY_BASE,
                DRY_ALLOWED_LENGTH,
                PENALTY_LAST_N,
                ctypes.cast(breakers, ctypes.POINTER(ctypes.c_char_p)),
                len(_DRY_BREAKERS),
            )
        if name == "mirostat":
            return llama_cpp.llama_sampler_init_mirostat_v2(s.seed, s.mirostat_tau, MIROSTAT_ETA)
        if name == "xtc":
            return llama_cpp.llama_sampler_init_xtc(s.xtc_probability, s.xtc_threshold, 1, s.seed)
        makers: dict[str, Callable[[], llama_cpp.llama_sampler_p]] = {
            "top_n_sigma": lambda: llama_cpp.llama_sampler_init_top_n_sigma(s.top_n_sigma),
            "top_k": lambda: llama_cpp.llama_sampler_init_top_k(s.top_k),
            "typical": lambda: llama_cpp.llama_sampler_init_typical(s.typical_p, 1),
            "top_p": lambda: llama_cpp.llama_sampler_init_top_p(s.top_p, 1),
            "min_p": lambda: llama_cpp.llama_sampler_init_min_p(s.min_p, 1),
            "temperature": lambda: llama_cpp.llama_sampler_init_temp(s.temperature),
            "dist": lambda: llama_cpp.llama_sampler_init_dist(s.seed),
            "greedy": llama_cpp.llama_sampler_init_greedy,
        }
        return makers[name]()


def _stages(s: Sampling) -> dict[str, tuple[object, ...]]:
    """The stages that act under these settings, in order, each with the settings it depends on."""
    greedy = s.greedy or s.temperature == 0
    acting: dict[str, tuple[bool, tuple[object, ...]]] = {
        "logit_bias": (bool(s.logit_bias or s.banned), ()),
        "penalties": (
            s.repeat_penalty != 1 or s.presence_penalty != 0 or s.frequency_penalty != 0,
            (s.repeat_penalty, s.presence_penalty, s.frequency_penalty),
        ),
        "dry": (s.dry_multiplier > 0, (s.dry_multiplier,)),
    }
    if not greedy:
        acting["temperature"] = (True, (s.temperature,))
    if not greedy and s.mirostat_tau == 0:
        acting |= {
            "top_n_sigma": (s.top_n_sigma > 0, (s.top_n_sigma,)),
            "top_k": (s.top_k > 0, (s.top_k,)),
            "typical": (s.typical_p < 1, (s.typical_p,)),
            "top_p": (s.top_p < 1, (s.top_p,)),
            "min_p": (s.min_p > 0, (s.min_p,)),
            "xtc": (s.xtc_probability > 0, (s.xtc_probability, s.xtc_threshold, s.seed)),
        }
    stages = {name: acting[name][1] for name in s.order if name in acting and acting[name][0]}
    if greedy:
        stages["greedy"] = ()
    elif s.mirostat_tau > 0:
        # Mirostat does the truncating itself (llama.cpp: temperature, then mirostat_v2).
        stages["mirostat"] = (s.mirostat_tau, s.seed)
    else:
        stages["dist"] = (s.seed,)
    return stages
