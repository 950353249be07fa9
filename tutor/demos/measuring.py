"""Model files opened one after another and measured on this machine: speed, memory, loss on a text.

Every file is opened anew beside the running model, with the engine's own settings, so that all are
measured alike. What other programs do meanwhile slows it down.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np
import psutil  # type: ignore[import-untyped]
from numpy.typing import NDArray

from tutor.demos.demo import DemoError, Run
from tutor.engine.cores import usable_cores
from tutor.engine.engine import Engine
from tutor.engine.errors import EngineError
from tutor.engine.events import GenerationStats
from tutor.engine.gguf import Header, read_header
from tutor.engine.settings import Sampling

T = TypeVar("T")

N_CTX = 1024
PROMPT_TOKENS, ANSWER_TOKENS = 128, 24
_REPEATS = 2
_MOST_SECONDS = 4.0
_FEW, _MORE = 8, 72
_SCORED_TOGETHER = 64
_LOOK_SECONDS = 0.1
_REST_SECONDS = 0.3
# Larger than the caches of common processors.
_READ_BYTES = 1 << 28
_PASSES = 5

_TIMED = Sampling(greedy=True, repeat_penalty=1.0, max_tokens=ANSWER_TOKENS)
_CUT = _TIMED.model_copy(update={"max_tokens": 2})


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """A file on this machine: tokens a second; bytes by which the process grew, with the pages of
    the file; bytes of KV cache a token; nats of every token of the text, shape (tokens,)."""

    prompt_speed: float
    answer_speed: float
    memory: int
    kv_bytes: float
    nats: NDArray[np.float64]


def meanwhile(run: Run, work: Callable[[Run], T]) -> T:
    """Does `work` in another thread, and tells ten times a second how far it is.

    A learner who stops it does not wait for native code: that thread ends at its next report.
    """
    told = ("getting ready", 0.0)

    def tell(stage: str, done: float) -> None:
        nonlocal told
        told = (stage, done)

    inside = Run(tell)
    pool = ThreadPoolExecutor(1, "measuring")
    try:
        working = pool.submit(work, inside)
        while not working.done():
            run.report(*told)
            wait([working], timeout=_LOOK_SECONDS)
        return working.result()
    finally:
        inside.cancel.set()
        pool.shutdown(wait=False)


def measure(path: Path, sample: str, text: str, run: Run, done: float) -> MeasuredFile:
    """Reads and goes on with the beginning of `sample`, then scores `text` (may be empty).

    `done` is told as the progress. Raises EngineError for a file that is no model, DemoError for
    one that memory cannot hold.
    """
    tell = partial(run.report, f"measuring {path.stem}", done)
    tell()
    header = read_header(path)
    if header.file_bytes > (free := free_memory()):
        raise DemoError(f"needs {gigabytes(header.file_bytes)} of memory, {gigabytes(free)} free")
    before = _own_memory()
    with Engine(path, N_CTX, chat=False) as engine:
        ids = engine.tokenize(sample)[: PROMPT_TOKENS + _REPEATS]
        # Weights are slower at their first touch, so this comes before the clock runs.
        few, more = (_kv_bytes(engine, ids[:n]) for n in (_FEW, _MORE))
        timed: list[GenerationStats] = []
        late = perf_counter() + _MOST_SECONDS
        while len(timed) < _REPEATS and not (timed and perf_counter() > late):
            tell()
            n = len(timed)
            # Each begins elsewhere: what stands in memory already would not be read again.
            timed.append(_timed(engine, ids[n + 1 : n + 1 + PROMPT_TOKENS], run))
        tell()
        memory = psutil.Process().memory_info().rss - before
        nats = _nats(engine, _given(engine, header), text, tell)
    return MeasuredFile(
        max(1000 * (s.prompt_tokens - s.cached_tokens) / s.first_token_ms for s in timed),
        max(s.tokens_per_second for s in timed),
        memory,
        (more - few) / (_MORE - _FEW),
        nats,
    )


def _kv_bytes(engine: Engine, ids: list[int]) -> int:
    engine.next(ids, _TIMED, 1)
    return engine.kv_bytes()


def _timed(engine: Engine, prompt: list[int], run: Run) -> GenerationStats:
    """The figures of one answer, cut after two tokens where the machine is too slow."""
    late = perf_counter() + _MOST_SECONDS
    answer = engine.generate(
        prompt, lambda: _TIMED if perf_counter() < late else _CUT, cancel=run.cancel, draft=0
    )
    for _ in answer:
        pass
    if answer.stats.completion_tokens < 2 and not run.cancel.is_set():
        raise EngineError("the model ends at once, so that there is no answer to be timed")
    return answer.stats


def _given(engine: Engine, header: Header) -> list[int]:
    """What stands before a text: the file's own token for a beginning, if it asks for one, and a
    line break, so that all bytes of the text are predicted whatever the tokenizer."""
    meta = header.metadata
    # llama.cpp adds it by default for this kind of tokenizer only (llama-vocab.cpp).
    add = meta.get("tokenizer.ggml.add_bos_token", meta.get("tokenizer.ggml.model") == "llama")
    begin = meta.get("tokenizer.ggml.bos_token_id")
    return ([begin] if add and begin is not None else []) + engine.tokenize("\n")


def _nats(
    engine: Engine, given: list[int], text: str, tell: Callable[[], None]
) -> NDArray[np.float64]:
    ids = given + engine.tokenize(text)
    found = [np.empty(0)]
    for start in range(len(given), len(ids), _SCORED_TOGETHER):
        tell()
        found.append(-engine.score(ids[: start + _SCORED_TOGETHER], start).astype(np.float64))
    return np.concatenate(found)


def _own_memory() -> int:
    """Bytes of this process in memory, once the C library has given back what was freed."""
    with suppress(AttributeError, OSError, TypeError):
        # glibc keeps what an earlier model freed: the next one would seem smaller than it is.
        ctypes.CDLL(None).malloc_trim(0)
    return int(psutil.Process().memory_info().rss)


def free_memory() -> int:
    """Bytes that programs can still get without swapping."""
    return int(psutil.virtual_memory().available)


def all_memory() -> int:
    """Bytes of memory that the machine has."""
    return int(psutil.virtual_memory().total)


def busy_elsewhere() -> float:
    """The share of the processor that other programs use now, 0 to 1; call it while ours rests."""
    return float(psutil.cpu_percent(interval=_REST_SECONDS)) / 100


def read_bandwidth() -> float:
    """Bytes a second that all cores together read from memory, in the fastest of a few passes."""
    cores = usable_cores()
    parts = [np.ones(_READ_BYTES // 8 // cores, dtype=np.uint64) for _ in range(cores)]
    seconds = []
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(_PASSES):
            began = perf_counter()
            list(pool.map(np.bitwise_or.reduce, parts))
            seconds.append(perf_counter() - began)
    return sum(part.nbytes for part in parts) / min(seconds)


def gigabytes(size: float) -> str:
    """A number of bytes as text, in GB of 10^9 bytes."""
    return f"{size / 1e9:,.{1 if size >= 1e10 else 2}f} GB"
