from __future__ import annotations

from pathlib import Path

import pytest

from corpus import load_lessons
from index.retriever import Retriever
from tutor.demos.workbench import Workbench
from tutor.engine.engine import Engine


@pytest.fixture(scope="session")
def bench(engine: Engine, retriever: Retriever, cache: Path) -> Workbench:
    return Workbench(engine, retriever, load_lessons(), cache)
