from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

from tutor.engine import logs
from tutor.engine.adapters import SHIPPED
from tutor.engine.cancel import Cancel
from tutor.engine.model import Model


def called_back(model_path: Path) -> int:
    """How often llama.cpp calls Python while a model and an adapter are loaded and a prompt is read."""
    count = 0

    def called(frame: FrameType, event: str, _given: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_name == "_collect"

    sys.setprofile(called)
    try:
        model = Model(model_path, 512, 2, Cancel())
        adapter = model.load_adapter(SHIPPED)
        model.set_adapter(adapter, 1.0)
        model.decode(model.tokenize("What is a token? " * 20))
        model.set_adapter(None)
        model.free_adapter(adapter)
        model.close()
    finally:
        sys.setprofile(None)
    return count


def test_llama_cpp_calls_no_python_while_it_loads_and_reads(model_path: Path) -> None:
    assert called_back(model_path) == 0


def test_its_log_would_call_python_a_thousand_times(model_path: Path) -> None:
    with logs.collect_logs():
        assert called_back(model_path) > 1_000
