"""One answer in the making: its tokens are drawn from the logits and told as events."""

from __future__ import annotations

import codecs
import time

import numpy as np

from tutor.engine.events import TokenEvent
from tutor.engine.model import Logits, Model
from tutor.engine.sampler import SamplerChain
from tutor.engine.settings import Sampling
from tutor.engine.trace import Stage, log_normaliser_and_entropy, summarise


class Voice:
    """Says one answer. `count` tokens have been said, the first one at `first_at` seconds."""

    def __init__(self, model: Model, chain: SamplerChain, top: int) -> None:
        """With `top` every event carries its step of the chain with that many candidates."""
        self._model = model
        self._top = top
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._last_at = 0.0
        self._scratch = np.empty((2, model.n_vocab), dtype=np.float32)
        self.chain = chain
        self.count = 0
        self.first_at = 0.0

    def say(self, logits: Logits, settings: Sampling) -> TokenEvent | None:
        """Draws the next token from its logits, shape (n_vocab,); None where the answer ends."""
        normaliser, entropy = log_normaliser_and_entropy(logits, self._scratch)
        stages: list[Stage] | None = [] if self._top else None
        id = self.chain.sample(logits, settings, stages, brief=True)
        if self._model.is_end(id):
            return None
        step = summarise(id, logits, stages, self._top, normaliser, entropy) if stages else None
        self._last_at = time.perf_counter()
        if not self.count:
            self.first_at = self._last_at
        data = self._model.token_bytes(id)
        text = self._decoder.decode(data)
        logprob = float(logits[id]) - normaliser
        self.count += 1
        return TokenEvent(self.count - 1, id, data, text, logprob, entropy, settings, step)

    def first_token_ms(self, began: float) -> float:
        """Milliseconds from `began` (time.perf_counter) to the first token; 0 without one."""
        return 1000 * (self.first_at - began) if self.count else 0.0

    @property
    def tokens_per_second(self) -> float:
        """From the first token to the last; 0 where there are no two."""
        elapsed = self._last_at - self.first_at
        return (self.count - 1) / elapsed if self.count > 1 and elapsed > 0 else 0.0

    def close(self) -> None:
        """Frees the chain; closing twice is fine."""
        self.chain.close()
