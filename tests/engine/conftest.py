from __future__ import annotations

import pytest

from tutor.engine.memory import Memory
from tutor.engine.model import Model


@pytest.fixture
def memory(model: Model) -> Memory:
    """An empty memory over the model of the test's own module."""
    model.keep(0)
    return Memory(model)
