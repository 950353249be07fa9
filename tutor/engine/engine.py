"""The engine: one worker thread owns the model, everyone else asks it through a queue.

A generation is an iterator of token events. The longest prefix that a prompt shares with what is
already in memory is not read again. A generation can be cancelled at any moment, also while its
prompt is being read; what was read until then is cut back to what is known to be whole.
"""

from __future__ import annotations

import codecs
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from tutor.engine.chat import render_chat
from tutor.engine.errors import EngineError
from tutor.engine.events import GenerationStats, Message, StopReason, Token, TokenEvent
from tutor.engine.model import Aborted, Model
from tutor.engine.sampler import SamplerChain, entropy_bits, log_probabilities
from tutor.engine.settings import Sampling


class Generation:
    """A running generation: iterate over it for events, then read `stats`."""

    def __init__(
        self, prompt: Sequence[int], sampling: Callable[[], Sampling], cancel: threading.Event
    ) -> None:
        self.prompt = list(prompt)
        self.sampling = sampling
        self.began = time.perf_counter()
        self.cached_tokens = 0
        """Of the prompt, those that were still in memory; known with the first event."""
        self._cancel = cancel
        self._events: queue.SimpleQueue[TokenEvent | GenerationStats | Exception] = (
            queue.SimpleQueue()
        )
        self._stats: GenerationStats | None = None

    def cancel(self) -> None:
        """Stops it at once; the iterator then ends and `stats` tells "cancelled"."""
        self._cancel.set()

    @property
    def cancelled(self) -> bool:
        return self._cancel.is_set()

    @property
    def stats(self) -> GenerationStats:
        """The figures; only after the last event."""
        if self._stats is None:
            raise EngineError("the generation has not ended yet")
        return self._stats

    def put(self, item: TokenEvent | GenerationStats | Exception) -> None:
        """Hands an item to the consumer; the worker's side."""
        self._events.put(item)

    def __iter__(self) -> Iterator[TokenEvent]:
        try:
            while self._stats is None:
                item = self._events.get()
                if isinstance(item, GenerationStats):
                    self._stats = item
                elif isinstance(item, Exception):
                    raise item
                else:
                    yield item
        finally:
            # A consumer that leaves early must not leave the worker talking to nobody.
            if self._stats is None:
                self.cancel()


class Engine:
    """A chat model ready to speak. Raises ModelFileError or EngineError on opening."""

    def __init__(self, path: Path, n_ctx: int = 4096, n_threads: int | None = None) -> None:
        self._running: Generation | None = None
        self._closing = False
        self._model = Model(path, n_ctx, n_threads or os.cpu_count() or 1, self._should_abort)
        self.info = self._model.info
        self.n_ctx = self._model.n_ctx
        self._in_memory: list[int] = []
        self._requests: queue.SimpleQueue[Generation | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._work, name="engine", daemon=True)
        self._worker.start()

    def _should_abort(self) -> bool:
        return self._closing or (self._running is not None and self._running.cancelled)

    def close(self) -> None:
        """Stops what runs and frees the model; closing twice is fine."""
        if not self._closing:
            self._closing = True
            self._requests.put(None)
            self._worker.join()
            self._model.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Text and tokens: read-only, from any thread

    def tokenize(self, text: str, special: bool = False) -> list[int]:
        """Token ids; control tokens are recognised only with `special`."""
        return self._model.tokenize(text, special=special)

    def tokens(self, text: str, special: bool = False) -> list[Token]:
        return [self._model.token(id) for id in self.tokenize(text, special)]

    def token_bytes(self, id: int) -> bytes:
        """The bytes that a token stands for."""
        return self._model.token_bytes(id)

    def count(self, text: str) -> int:
        return len(self.tokenize(text))

    def render_chat(self, messages: Sequence[Message]) -> list[int]:
        """The conversation as token ids, up to where the assistant speaks."""
        assert self.info.chat_template, "the model was loaded as a chat model"
        return render_chat(messages, self.info.chat_template, self.tokenize)

    # Generation

    def generate(
        self,
        prompt: Sequence[int],
        sampling: Callable[[], Sampling],
        cancel: threading.Event | None = None,
    ) -> Generation:
        """Starts a generation; `sampling` is read at every token.

        Raises EngineError for an empty prompt or one that leaves no room for an answer.
        """
        if not prompt:
            raise EngineError("the prompt is empty")
        if len(prompt) >= self.n_ctx:
            raise EngineError(
                f"the prompt has {len(prompt)} tokens and the context {self.n_ctx}: shorten it"
            )
        if self._closing:
            raise EngineError("the engine is closed")
        generation = Generation(prompt, sampling, cancel or threading.Event())
        self._requests.put(generation)
        return generation

    def _work(self) -> None:
        while (generation := self._requests.get()) is not None:
            self._running = generation
            try:
                generation.put(self._generate(generation))
            except Exception as error:
                # Whatever it is belongs to the one who asked; the worker lives on.
                self._forget(0)
                generation.put(error)
            finally:
                self._running = None

    def _read(self, ids: Sequence[int]) -> None:
        """Decodes and remembers `ids`; on an abort, memory is cut back to what it was."""
        known = len(self._in_memory)
        try:
            self._model.decode(ids)
        except Aborted:
            self._forget(known)
            raise
        self._in_memory += ids

    def _forget(self, length: int) -> None:
        self._model.keep(length)
        del self._in_memory[length:]

    def _generate(self, generation: Generation) -> GenerationStats:
        prompt = generation.prompt
        # The last prompt token is always read again: its logits are needed.
        cached = _common_prefix(self._in_memory, prompt[:-1])
        self._forget(cached)
        generation.cached_tokens = cached
        chain = SamplerChain(self._model.n_vocab)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        said = 0
        first_token_ms = 0.0
        first_at = last_at = time.perf_counter()
        stop: StopReason = "cancelled"
        try:
            self._read(prompt[cached:])
            while not self._should_abort():
                settings = generation.sampling()
                if said >= settings.max_tokens:
                    stop = "length"
                    break
                if len(self._in_memory) >= self.n_ctx:
                    stop = "context"
                    break
                logits = self._model.logits()
                logprobs = log_probabilities(logits)
                id = chain.sample(logits, settings)
                if self._model.is_end(id):
                    stop = "end"
                    break
                last_at = time.perf_counter()
                if said == 0:
                    first_at, first_token_ms = last_at, 1000 * (last_at - generation.began)
                data = self._model.token_bytes(id)
                generation.put(
                    TokenEvent(
                        said,
                        id,
                        data,
                        decoder.decode(data),
                        float(logprobs[id]),
                        entropy_bits(logprobs),
                    )
                )
                said += 1
                self._read([id])
        except Aborted:
            stop = "cancelled"
        finally:
            chain.close()
        elapsed = last_at - first_at
        speed = (said - 1) / elapsed if said > 1 and elapsed > 0 else 0.0
        return GenerationStats(len(prompt), cached, said, first_token_ms, speed, stop)


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    length = 0
    for x, y in zip(a, b):  # noqa: B905 (the shorter one decides)
        if x != y:
            break
        length += 1
    return length
