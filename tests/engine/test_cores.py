from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import llama_cpp
import psutil
import pytest

from tests.pseudo_terminal import wait_until
from tutor.engine.cores import Share, give_way, usable_cores
from tutor.engine.engine import Engine
from tutor.engine.settings import Sampling


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no system call that pins")
def test_cores_that_a_process_may_not_use_do_not_count() -> None:
    program = (
        "import os; from tutor.engine.cores import usable_cores;"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(usable_cores())"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(found.stdout) == 1


def test_there_is_always_a_core() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_threads_that_only_calculate_give_way_to_those_that_run_python(engine: Engine) -> None:
    next(iter(engine.generate(engine.tokenize("One"), lambda: Sampling())))
    give_way()
    of_python = {thread.native_id for thread in threading.enumerate()}
    nice = {
        int(task.name): os.getpriority(os.PRIO_PROCESS, int(task.name))
        for task in Path("/proc/self/task").iterdir()
    }
    calculating = [nice[thread] for thread in nice if thread not in of_python]
    assert calculating and min(calculating) > 0
    assert all(nice[thread] == 0 for thread in of_python if thread in nice)


@pytest.mark.skipif(
    usable_cores() == 1 or usable_cores() != psutil.cpu_count(),
    reason="one thread is the least, and of some of the cores alone nothing is known",
)
def test_cores_that_other_programs_keep_busy_get_no_thread() -> None:
    share = Share()
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        wait_until(lambda: share.threads() < usable_cores(), "fewer threads")
        assert share.threads() >= 1
    finally:
        busy.kill()
        busy.wait()


@pytest.mark.skipif(usable_cores() == 1 or usable_cores() != psutil.cpu_count(), reason="as above")
def test_a_model_computes_with_fewer_threads_beside_a_busy_program(model_path: Path) -> None:
    with Engine(model_path, n_ctx=512) as engine:
        prompt = engine.tokenize("Once upon a time")

        def threads() -> int:
            for _ in engine.generate(prompt, lambda: Sampling(max_tokens=4)):
                pass
            return llama_cpp.llama_n_threads(engine._model._context)

        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            wait_until(lambda: threads() < usable_cores(), "fewer threads")
        finally:
            busy.kill()
            busy.wait()


def test_an_answer_does_not_depend_on_how_many_threads_there_are(model_path: Path) -> None:
    said = []
    for threads in (1, 2, 3):
        with Engine(model_path, n_ctx=512, n_threads=threads) as engine:
            prompt = engine.tokenize("Attention is a calculation by which " * 12)
            events = engine.generate(prompt, lambda: Sampling(seed=3, max_tokens=24))
            said.append([(event.id, event.logprob) for event in events])
    assert said[0] == said[1] == said[2]
