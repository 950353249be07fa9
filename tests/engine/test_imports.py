from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from tutor.engine.imports import made_to_stay


def test_what_is_made_to_stay_is_left_out_of_collections_and_others_are_not() -> None:
    before = gc.get_freeze_count()
    try:
        with pytest.raises(KeyError), made_to_stay():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() and gc.get_freeze_count() > before
        collected: list[str] = []

        class Circle:
            def __init__(self) -> None:
                self.itself = self

            def __del__(self) -> None:
                collected.append("collected")

        Circle()
        gc.collect()
        assert collected == ["collected"]
    finally:
        gc.unfreeze()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is mapped")
def test_torchs_libraries_are_mapped_before_the_import_that_would_hold_up_other_threads() -> None:
    # In a process of its own, where nothing of it is mapped yet.
    script = """
import sys
from tutor.engine.imports import _map_torch
_map_torch()
assert "torch" not in sys.modules
print(open("/proc/self/maps").read())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "libtorch_cpu" in done.stdout
