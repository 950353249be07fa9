"""llama-cpp-python by itself: what the tutor's figures are held against."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from tutor.engine.cores import usable_cores

if TYPE_CHECKING:
    from llama_cpp import Llama

_COLD = """
import json, os, sys
from llama_cpp import Llama
path, adapter, cores, tokens = json.loads(sys.argv[1])
llama = Llama(path, n_ctx=4096, n_threads=cores, n_threads_batch=cores, flash_attn=True,
              lora_path=adapter, verbose=False)
next(llama.generate(tokens, temp=0.0))
print("said", flush=True)
os._exit(0)
"""
"""The least that a program must do to say one token."""


def cold_first_token_ms(path: Path, adapter: Path | None, prompt: Sequence[int]) -> float:
    """From starting a process that does nothing else to its first token."""
    told = json.dumps([str(path), str(adapter) if adapter else None, usable_cores(), list(prompt)])
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", _COLD, told], check=True, capture_output=True)
    return 1000 * (time.perf_counter() - began)


class Loop:
    """The library's own greedy loop on all cores, with flash attention, in a process of its own.

    Where one process has more OpenMP threads than cores, libgomp lets them sleep between any two
    steps of a graph: a second model beside the tutor's would slow both to a third.
    """

    def __init__(self, path: Path, adapter: Path | None) -> None:
        self._process = ProcessPoolExecutor(1, get_context("spawn"), _open, (path, adapter))

    def tokens_per_second(self, prompt: Sequence[int], n: int) -> float:
        """The speed of `n` tokens after the first one."""
        return self._process.submit(_tokens_per_second, list(prompt), n).result()

    def close(self) -> None:
        self._process.shutdown()


_opened: list[Llama] = []
"""The model of such a process."""


def _open(path: Path, adapter: Path | None) -> None:
    from llama_cpp import Llama

    cores = usable_cores()
    llama = Llama(
        str(path),
        n_ctx=4096,
        n_threads=cores,
        n_threads_batch=cores,
        flash_attn=True,
        lora_path=str(adapter) if adapter else None,
        verbose=False,
    )
    _opened.append(llama)


def _tokens_per_second(prompt: list[int], n: int) -> float:
    stream = _opened[0].generate(prompt, temp=0.0)
    next(stream)
    began = time.perf_counter()
    for _ in range(n):
        next(stream)
    return n / (time.perf_counter() - began)


class Plain:
    """The plain way, in a process of its own: `create_chat_completion` with the library's defaults."""

    def __init__(self, path: Path) -> None:
        self._process = ProcessPoolExecutor(1, get_context("spawn"), _open_plainly, (path,))

    def first_word_ms(self, messages: list[dict[str, str]]) -> float:
        """The time to the first word of an answer; one instance answers them all."""
        return self._process.submit(_first_word_ms, messages).result()

    def close(self) -> None:
        self._process.shutdown()


def _open_plainly(path: Path) -> None:
    from llama_cpp import Llama

    _opened.append(Llama(str(path), verbose=False))


def _first_word_ms(messages: list[dict[str, str]]) -> float:
    began = time.perf_counter()
    for chunk in _opened[0].create_chat_completion(messages, stream=True, temperature=0.0):  # type: ignore[arg-type]
        if chunk["choices"][0]["delta"].get("content", "").strip():  # type: ignore[index, union-attr]
            break
    return 1000 * (time.perf_counter() - began)
