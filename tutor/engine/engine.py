"""The engine: one worker thread owns the model, everyone else asks it through a queue.

A generation is an iterator of token events. The longest prefix that a prompt shares with what is
already in memory is not read again. A generation can be cancelled at any moment, also while its
prompt is being read; what was read until then is cut back to what is known to be whole.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from tutor.engine.adapters import Adapters
from tutor.engine.alone import decode_alone
from tutor.engine.cancel import Cancel
from tutor.engine.chat import render_chat
from tutor.engine.errors import EngineError
from tutor.engine.events import (
    Adapter,
    GenerationStats,
    Message,
    NextToken,
    Segment,
    StopReason,
    Token,
    TokenEvent,
)
from tutor.engine.generation import Comparison, Generation
from tutor.engine.lookup import DRAFT
from tutor.engine.memory import Memory
from tutor.engine.model import MAX_SEQUENCES, Aborted, Logits, Model
from tutor.engine.prefix import read_prefix
from tutor.engine.sampler import SamplerChain
from tutor.engine.settings import Sampling
from tutor.engine.together import decode_together, needed, shared_prefix
from tutor.engine.trace import Stage, log_normaliser_and_entropy, summarise
from tutor.engine.voice import Voice

T = TypeVar("T")

SCORED_TOGETHER = 32
"""Rows of one batch whose logits are all kept: 32 x 49,152 x 4 bytes are 6 MB."""
READ_AHEAD = 32
"""Tokens that are read ahead at once, a tenth of a second here."""


class Engine:
    """A model ready to speak, without `chat` a base model too.

    Raises ModelFileError or EngineError on opening.
    """

    def __init__(
        self,
        path: Path,
        n_ctx: int = 4096,
        n_threads: int | None = None,
        *,
        chat: bool = True,
    ) -> None:
        self._closing = False
        self._closed = Cancel()
        self._model = Model(path, n_ctx, n_threads, self._closed, chat=chat)
        self.info = self._model.info
        found = path.stat()
        self._weights = (llama_cpp.__version__, path.resolve(), found.st_size, found.st_mtime_ns)
        self.n_ctx = self._model.n_ctx
        self._adapters = Adapters(self._model)
        self._memory = Memory(self._model)
        # What the last answer said, and the logits after it: for a preview of the next token.
        self._said: list[int] = []
        self._after: Logits | None = None
        self._requests: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # What is put before the closing None is still answered; nothing is put after it.
        self._gate = threading.Lock()
        self._worker = threading.Thread(target=self._work, name="engine", daemon=True)
        self._worker.start()

    def close(self) -> None:
        """Stops what runs and frees the model; closing twice is fine."""
        with self._gate:
            if self._closing:
                return
            self._closing = True
            self._requests.put(None)
        self._closed.set()
        self._model.cancel.set()
        self._worker.join()
        self._adapters.close()
        self._model.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
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

    def token_text(self, id: int) -> str:
        """A token as text; bytes that are no whole character are replaced."""
        return self.token_bytes(id).decode("utf-8", "replace")

    @property
    def end_id(self) -> int:
        """The token that ends an answer."""
        return self._model.end_id

    def count(self, text: str) -> int:
        return len(self.tokenize(text))

    def render_chat(self, messages: Sequence[Message]) -> list[Segment]:
        """The conversation as segments of token ids, up to where the assistant speaks."""
        assert self.info.chat_template, "the model was loaded as a chat model"
        return render_chat(messages, self.info.chat_template, self.tokenize, self._model.framing)

    # Adapters

    @property
    def adapter(self) -> Adapter | None:
        """The adapter that acts now; None where the base speaks alone."""
        return self._adapters.active

    def use_adapter(self, path: Path | None, scale: float = 1.0) -> None:
        """Adds the LoRA adapter of `path` to the weights, `scale` (0 to 1) strong; None: none.

        Waits until what runs has ended; what was read under other weights is forgotten. Raises
        AdapterError, and what acted before goes on acting.
        """
        self._call(lambda: self._use_adapter(path, scale))

    @contextmanager
    def adapter_kept(self) -> Iterator[None]:
        """What acts now acts again afterwards, whatever is swapped in meanwhile."""
        kept = self.adapter
        try:
            yield
        finally:
            self.use_adapter(kept.path if kept else None, kept.scale if kept else 1.0)

    # Generation

    def generate(
        self,
        prompt: Sequence[int],
        sampling: Callable[[], Sampling],
        cancel: Cancel | None = None,
        said: Sequence[int] = (),
        top: int = 0,
        draft: int = DRAFT,
        stopping: Callable[[TokenEvent], bool] | None = None,
    ) -> Generation:
        """Starts a generation; `sampling` is read at every token.

        `said` stands after the prompt and counts as said: a branch goes on from it. With `top`
        every event carries its step of the sampler chain with that many candidates. Up to `draft`
        tokens are guessed from the text before and read together: the same words but for rounding,
        sooner where the answer repeats its prompt. The answer ends after the token at which
        `stopping` says so, on the worker's thread. Raises EngineError for an empty prompt or one
        that leaves no room for an answer.
        """
        self._check(len(prompt) + len(said))
        generation = Generation(prompt, sampling, cancel, said, top, draft, stopping)
        self._put(lambda: self._run(generation))
        return generation

    def compare(
        self,
        columns: Sequence[tuple[Sequence[int], Sampling]],
        cancel: Cancel | None = None,
        top: int = 0,
    ) -> Comparison:
        """Starts up to four generations that are decoded together, (prompt, settings) each.

        What the prompts share at their beginning is read once. Raises EngineError, also where the
        answers do not all have room.
        """
        if not 1 <= len(columns) <= MAX_SEQUENCES:
            raise EngineError(f"compare 1 to {MAX_SEQUENCES} answers, not {len(columns)}")
        self._check(min(len(prompt) for prompt, _ in columns))
        if (tokens := needed(columns)) >= self.n_ctx:
            raise EngineError(
                f"{len(columns)} answers need {tokens} tokens and the context has {self.n_ctx}: "
                "compare fewer or shorter ones (max_tokens)"
            )
        comparison = Comparison(columns, cancel, top)
        self._put(lambda: self._run_together(comparison))
        return comparison

    def next(self, prompt: Sequence[int], sampling: Sampling, top: int = 10) -> NextToken:
        """What could follow `prompt` under these settings; nothing is said. Raises EngineError."""
        self._check(len(prompt))
        return self._call(lambda: self._next(list(prompt), sampling, top))

    def preview(self, sampling: Sampling, top: int = 10) -> NextToken | None:
        """What would follow the last answer, under other settings; None where there is none."""
        return self._call(lambda: self._preview(sampling, top))

    def score(self, ids: Sequence[int], given: int = 1) -> NDArray[np.float32]:
        """Natural log-probabilities of ids[given:], each after all before it, shape (n - given,).

        Raises EngineError, also where nothing is given.
        """
        self._check(len(ids) if given else 0)
        return self._call(lambda: self._score(list(ids), given))

    def begin_with(self, ids: Sequence[int], folder: Path) -> None:
        """Reads ahead what the next prompts begin with, or takes it from `folder`, where an earlier
        start kept it. Nobody waits for it, and what is in memory already is left alone."""
        self._put(lambda: self._begin_with(list(ids), folder))

    def read_ahead(self, ids: Sequence[int], cancel: Cancel) -> None:
        """Reads what the next prompt may begin with. Nobody waits for it; a cancel stops it at once,
        and what was read by then stays."""
        self._put(lambda: self._read_ahead(list(ids), cancel))

    def forget(self) -> None:
        """Empties the memory: the next prompt is read whole, as by a fresh engine."""
        self._call(lambda: self._memory.forget(0))

    def kv_bytes(self) -> int:
        """Bytes of the keys and values in memory, as llama.cpp saves them: with each token's place."""
        return self._call(self._model.kv_bytes)

    def _check(self, length: int) -> None:
        if not length:
            raise EngineError("the prompt is empty")
        if length >= self.n_ctx:
            raise EngineError(
                f"the prompt has {length} tokens and the context {self.n_ctx}: shorten it"
            )

    def _put(self, job: Callable[[], None]) -> None:
        with self._gate:
            if self._closing:
                raise EngineError("the engine is closed")
            self._requests.put(job)

    # The worker's side

    def _work(self) -> None:
        while (job := self._requests.get()) is not None:
            job()

    @contextmanager
    def _stopped_by(self, stop: Cancel) -> Iterator[None]:
        """What is read meanwhile ends where `stop` is set; closing sets it."""
        self._model.cancel = stop
        if self._closing:
            stop.set()
        try:
            yield
        finally:
            self._model.cancel = self._closed

    def _call(self, work: Callable[[], T]) -> T:
        """Runs `work` on the worker and gives its result, or raises its error."""
        future: Future[T] = Future()

        def job() -> None:
            try:
                future.set_result(work())
            except Exception as error:
                self._memory.forget(0)
                future.set_exception(error)

        self._put(job)
        return future.result()

    def _run(self, generation: Generation) -> None:
        try:
            with self._stopped_by(generation.stop):
                stats = self._generate(generation)
            generation.end(stats)
        except Exception as error:
            # Whatever it is belongs to the one who asked; the worker lives on.
            self._memory.forget(0)
            generation.fail(error)

    def _run_together(self, comparison: Comparison) -> None:
        shared = shared_prefix([prompt for prompt, _ in comparison.columns])
        try:
            with self._stopped_by(comparison.stop):
                self._memory.read_prompt(shared)
                stats = decode_together(
                    self._model, self._chain, comparison, len(shared), self.adapter
                )
            comparison.end(stats)
        except Aborted:
            comparison.end(())
        except Exception as error:  # as above
            self._memory.forget(0)
            comparison.fail(error)
        finally:
            for sequence in range(1, MAX_SEQUENCES):
                self._model.keep(0, sequence)
            self._memory.forget(min(len(self._memory), len(shared)))

    def _use_adapter(self, path: Path | None, scale: float) -> None:
        if self._adapters.use(path, scale):
            self._memory.forget(0)
            self._after = None

    def _begin_with(self, ids: list[int], folder: Path) -> None:
        if len(self._memory) or not ids:
            return
        try:
            read_prefix(self._memory, ids, folder, f"{self._weights} {self._adapters.acting}")
        except Exception:
            # It was a favour: the next prompt is read whole.
            self._memory.forget(0)

    def _read_ahead(self, ids: list[int], cancel: Cancel) -> None:
        if cancel.is_set():
            return
        try:
            # In small parts: of the one that a cancel comes into, nothing stays.
            with self._stopped_by(cancel):
                for start in range(self._memory.keep(ids), len(ids), READ_AHEAD):
                    self._memory.read(ids[start : start + READ_AHEAD])
                    if cancel.is_set():
                        break
        except Aborted:
            pass
        except Exception:  # as above
            self._memory.forget(0)

    def _chain(self, said: Sequence[int] = ()) -> SamplerChain:
        return SamplerChain(self._model.n_vocab, self.tokenize, self._model.vocab, said)

    def _next(self, prompt: list[int], sampling: Sampling, top: int) -> NextToken:
        return self._apply(self._memory.read_prompt(prompt)[1], sampling, top)

    def _score(self, ids: list[int], given: int) -> NDArray[np.float32]:
        known = self._memory.keep(ids[:given])
        self._memory.read(ids[known : given - 1])
        found: list[float] = []
        for start in range(given - 1, len(ids) - 1, SCORED_TOGETHER):
            part = ids[start : min(start + SCORED_TOGETHER, len(ids) - 1)]
            self._memory.read_rows(part)
            for row, id in enumerate(ids[start + 1 : start + 1 + len(part)]):
                logits = self._model.logits(row)
                found.append(float(logits[id]) - log_normaliser_and_entropy(logits)[0])
        return np.array(found, dtype=np.float32)

    def _preview(self, sampling: Sampling, top: int) -> NextToken | None:
        return None if self._after is None else self._apply(self._after, sampling, top)

    def _apply(self, logits: Logits, sampling: Sampling, top: int) -> NextToken:
        stages: list[Stage] = []
        with closing(self._chain(self._said)) as chain:
            id = chain.sample(logits, sampling, stages)
        normaliser, entropy = log_normaliser_and_entropy(logits)
        step = summarise(id, logits, stages, top, normaliser, entropy)
        return NextToken(step, tuple(stages), logits - np.float32(normaliser))

    def _generate(self, generation: Generation) -> GenerationStats:
        prompt = generation.prompt + generation.said
        stop: StopReason = "cancelled"
        self._after = None
        with closing(Voice(self._model, self._chain(generation.said), generation.top)) as voice:
            try:
                generation.cached_tokens, logits = self._memory.read_prompt(prompt)
                stop, self._after = decode_alone(
                    self._model, self._memory, voice, generation, logits
                )
            except Aborted:
                stop = "cancelled"
            self._said = voice.chain.said
        return GenerationStats(
            len(prompt),
            generation.cached_tokens,
            voice.count,
            voice.first_token_ms(generation.began),
            voice.tokens_per_second,
            stop,
            self.adapter,
        )
