from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus import load_lessons
from index.retriever import Retriever
from tutor.demos.demo import DemoError, Run
from tutor.demos.workbench import Workbench
from tutor.engine.cancel import Cancel
from tutor.engine.engine import Engine
from tutor.engine.weights import torch_model


@pytest.fixture(scope="session")
def bench(engine: Engine, retriever: Retriever, cache: Path) -> Workbench:
    return Workbench(engine, retriever, load_lessons(), cache)


@pytest.fixture(scope="module")
def model(model_path: Path, cache: Path) -> Any:
    """The running file's weights in torch."""
    return torch_model(model_path, cache)


def assert_refused(show: Callable[[], object], message: str) -> None:
    """Wrong input is told in one line that matches `message`."""
    with pytest.raises(DemoError, match=message) as refused:
        show()
    assert "\n" not in str(refused.value)


def stopping(when: Callable[[str, float], bool] = lambda stage, done: True) -> Run:
    """A run that the learner stops at the first report of which `when` holds."""
    cancel = Cancel()

    def tell(stage: str, done: float) -> None:
        if when(stage, done):
            cancel.set()

    return Run(tell, cancel)
