"""What demonstrations work with: the running model, the index, the lessons; more on request."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpus import Lesson
    from index.retriever import Retriever
    from tutor.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Workbench:
    """The open tutor's parts. `cache` is a folder in which a demonstration may keep what is slow
    to make and can be made again; `turn` is held by whatever runs with another adapter than the
    learner's: a demonstration, a comparison."""

    engine: Engine
    retriever: Retriever
    lessons: Sequence[Lesson]
    cache: Path
    turn: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
