from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tutor.engine.cores import usable_cores


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
