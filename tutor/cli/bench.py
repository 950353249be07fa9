"""`tutor bench`: time to first word, tokens a second against a bare loop, memory.

Medians over repeats; the bare loop runs on the same prepared file in the same run, so that the
ratio means something on a busy machine too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tutor.cli.decoding import kept_settings
from tutor.cli.main import UseError
from tutor.cli.output import print_json
from tutor.home import Home

if TYPE_CHECKING:
    from tutor.agent.tutor import Tutor
    from tutor.engine.engine import Engine

QUESTIONS = (
    "Why does a high temperature make answers stranger?",
    "What is a token?",
    "What does the KV cache keep?",
    "What is overfitting?",
    "What does LoRA train?",
)
BARE_TOKENS = 128
_REPEATS = 5


def run_bench(arguments: argparse.Namespace) -> None:
    """Measures and prints; nothing is asserted here."""
    if os.name != "posix":
        raise UseError("bench needs a Unix terminal")
    from tutor.agent.turn import Delta, Done, Retrieved
    from tutor.agent.tutor import Tutor
    from tutor.engine.settings import Sampling

    home = Home.locate().create()
    settings = kept_settings(home)
    sampling = Sampling(greedy=True, max_tokens=BARE_TOKENS)
    usable = statistics.median(_app_usable_ms(home) for _ in range(3))
    help_ms = _median_ms([sys.executable, "-m", "tutor", "--help"], 5)

    Tutor.open(home, settings).close()  # whatever has to be prepared is prepared before the clock
    began = time.perf_counter()
    tutor = Tutor.open(home, settings)
    open_ms = 1000 * (time.perf_counter() - began)

    evidence_ms, first_word_ms, retrieve_ms, speed = [], [], [], []
    for question in QUESTIONS:
        began = time.perf_counter()
        said = False
        for event in tutor.ask(question, sampling=lambda: sampling):
            now = 1000 * (time.perf_counter() - began)
            if isinstance(event, Retrieved):
                evidence_ms.append(now)
            elif isinstance(event, Delta) and event.event.text.strip() and not said:
                first_word_ms.append(now)
                said = True
            elif isinstance(event, Done):
                retrieve_ms.append(event.answer.timings.retrieve_ms)
                if event.answer.usage.completion_tokens > 16:
                    speed.append(event.answer.timings.tokens_per_second)
    path = Path(tutor.info.path)
    variants = _variants(tutor)
    # Of this process while it was a tutor, before the bare loop loads the model again.
    peak_memory = _peak_memory_mb()
    tutor.close()
    bare = [_bare_tokens_per_second(path, BARE_TOKENS) for _ in range(3)]

    figures = {
        "help_ms": help_ms,
        "app_usable_ms": usable,
        "open_warm_ms": open_ms,
        "question_to_evidence_ms": statistics.median(evidence_ms),
        "question_to_first_word_ms": statistics.median(first_word_ms),
        "retrieve_ms": statistics.median(retrieve_ms),
        "tokens_per_second": statistics.median(speed),
        "bare_tokens_per_second": statistics.median(bare),
        "ratio_to_bare": statistics.median(speed) / statistics.median(bare),
        "peak_memory_mb": peak_memory,
        **variants,
    }
    if arguments.json:
        print_json({name: round(value, 3) for name, value in figures.items()})
    else:
        for name, value in figures.items():
            print(f"{name:<28} {value:>10.2f}")


def _variants(tutor: Tutor) -> dict[str, float]:
    """Base against adapter, untraced against traced: taken in turn, so that both see one machine."""
    from tutor.agent.trace import TOP
    from tutor.agent.variants import NONE, SHIPPED

    speeds: dict[tuple[str, int], list[float]] = {}
    swaps = []
    for _ in range(_REPEATS):
        for adapter in (NONE, SHIPPED):
            began = time.perf_counter()
            tutor.use(adapter)
            swaps.append(1000 * (time.perf_counter() - began))
            for top in (0, TOP):
                speeds.setdefault((adapter, top), []).append(_engine_speed(tutor.engine, top))
    base, traced, tuned = (
        statistics.median(speeds[key]) for key in ((NONE, 0), (NONE, TOP), (SHIPPED, 0))
    )
    return {
        "base_tokens_per_second": base,
        "traced_tokens_per_second": traced,
        "tracing_costs": 1 - traced / base,
        "adapter_tokens_per_second": tuned,
        "adapter_costs": 1 - tuned / base,
        "swap_ms": statistics.median(swaps),
    }


def _engine_speed(engine: Engine, top: int) -> float:
    from tutor.engine.settings import Sampling

    sampling = Sampling(greedy=True, max_tokens=BARE_TOKENS)
    prompt = engine.tokenize("Once upon a time")
    generation = engine.generate(prompt, lambda: sampling, top=top)
    for _ in generation:
        pass
    return generation.stats.tokens_per_second


def _median_ms(command: list[str], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def _app_usable_ms(home: Home) -> float:
    """From starting the process to the app's input being drawn, in a pseudo-terminal."""
    import pty

    with tempfile.TemporaryDirectory() as folder:
        # The user's conversations are none of a measurement's business; the cache is.
        (Path(folder) / "cache").symlink_to(home.cache, target_is_directory=True)
        began = time.perf_counter()
        pid, terminal = pty.fork()
        if pid == 0:
            environment = os.environ | {"TUTOR_HOME": folder, "TERM": "xterm-256color"}
            os.execve(sys.executable, [sys.executable, "-m", "tutor"], environment)
        seen = b""
        while b"sk, or /help" not in seen:
            if not (read := _read(terminal)):
                raise ChildProcessError("the app ended before it could be used: run tutor")
            seen += read
        elapsed = 1000 * (time.perf_counter() - began)
        os.write(terminal, b"\x11")  # Ctrl+Q
        while _read(terminal):
            pass
        os.waitpid(pid, 0)
        os.close(terminal)
        return elapsed


def _read(terminal: int) -> bytes:
    """What the terminal shows next; nothing at its end."""
    try:
        return os.read(terminal, 65_536)
    except OSError:  # how a closed pseudo-terminal says that it is at its end
        return b""


def _peak_memory_mb() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def _bare_tokens_per_second(path: Path, count: int) -> float:
    """llama-cpp-python's own greedy loop on the same file, all cores, flash attention."""
    from llama_cpp import Llama

    cores = os.cpu_count()
    llama = Llama(
        str(path),
        n_ctx=4096,
        n_threads=cores,
        n_threads_batch=cores,
        flash_attn=True,
        verbose=False,
    )
    tokens = llama.tokenize(b"Once upon a time", add_bos=False)
    stream = llama.generate(tokens, temp=0.0)
    next(stream)
    began = time.perf_counter()
    for _ in range(count):
        next(stream)
    speed = count / (time.perf_counter() - began)
    llama.close()
    return speed
