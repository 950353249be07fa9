"""Work that the engine does for someone: a stream of events, the figures at its end."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from tutor.engine.cancel import Cancel
from tutor.engine.errors import EngineError
from tutor.engine.events import ColumnEvent, GenerationStats, TokenEvent
from tutor.engine.settings import Sampling

E = TypeVar("E")
S = TypeVar("S")


class Stream(Generic[E, S]):
    """Iterate over it for events, then read `stats`; the worker puts them in."""

    def __init__(self, cancel: Cancel | None = None) -> None:
        self.began = time.perf_counter()
        self.stop = cancel or Cancel()
        """Set by whoever wants no more of it."""
        self._events: queue.SimpleQueue[tuple[E | None, S | None, Exception | None]] = (
            queue.SimpleQueue()
        )
        self._stats: S | None = None

    def cancel(self) -> None:
        """Stops it at once; the iterator then ends."""
        self.stop.set()

    @property
    def cancelled(self) -> bool:
        return self.stop.is_set()

    @property
    def stats(self) -> S:
        """The figures; only after the last event."""
        if self._stats is None:
            raise EngineError("the generation has not ended yet")
        return self._stats

    def put(self, event: E) -> None:
        self._events.put((event, None, None))

    def end(self, stats: S) -> None:
        """The worker is done."""
        self._events.put((None, stats, None))

    def fail(self, error: Exception) -> None:
        """The worker could not go on; the consumer gets the error."""
        self._events.put((None, None, error))

    def __iter__(self) -> Iterator[E]:
        try:
            while self._stats is None:
                event, self._stats, error = self._events.get()
                if error is not None:
                    raise error
                if event is not None:
                    yield event
        finally:
            # A consumer that leaves early must not leave the worker talking to nobody.
            if self._stats is None:
                self.cancel()


class Generation(Stream[TokenEvent, GenerationStats]):
    """One running answer."""

    def __init__(
        self,
        prompt: Sequence[int],
        sampling: Callable[[], Sampling],
        cancel: Cancel | None = None,
        said: Sequence[int] = (),
        top: int = 0,
        draft: int = 0,
        stopping: Callable[[TokenEvent], bool] | None = None,
    ) -> None:
        super().__init__(cancel)
        self.prompt = list(prompt)
        self.sampling = sampling
        self.said = list(said)
        self.top = top
        self.draft = draft
        self.stopping = stopping
        self.cached_tokens = 0
        """Of the prompt, those that were still in memory; known with the first event."""


class Comparison(Stream[ColumnEvent, tuple[GenerationStats, ...]]):
    """Several answers that are decoded together, a column each."""

    def __init__(
        self,
        columns: Sequence[tuple[Sequence[int], Sampling]],
        cancel: Cancel | None = None,
        top: int = 0,
    ) -> None:
        super().__init__(cancel)
        self.columns = [(list(prompt), sampling) for prompt, sampling in columns]
        self.top = top
