"""What a demonstration is: typed input, a prediction asked first, typed data back.

A module of this folder defines one subclass of Demo and draws nothing. `result` holds the numbers
for programs, `figures` the same numbers for eyes, `seen` two sentences on what they show.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tutor.demos.figures import Figure
from tutor.demos.workbench import Workbench
from tutor.engine.cancel import Cancel

Progress = Callable[[str, float], None]

_WAIT_SECONDS = 0.1
_ECHO = 60


class DemoError(Exception):
    """An input that a demonstration cannot take; the message names the range and what to do.

    `where` is the input field, or a part of it ("texts.0"); the message begins with it.
    """

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.field = where.partition(".")[0]


class DemoCancelled(Exception):
    """The learner stopped it."""


class DemoInput(BaseModel):
    """Base of every demonstration's input: immutable, unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the learner is asked before anything is shown; `choices` are two to five."""

    question: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the numbers come from: the model, the engine and seed; what was measured here, what
    was calculated from it, and what is an illustration only."""

    model: str
    engine: str
    measured: tuple[str, ...] = ()
    calculated: tuple[str, ...] = ()
    illustration: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The same as lines to read."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        kinds = ("measured", "calculated", "illustration")
        told = [f"{kind}: {', '.join(names)}" for kind in kinds if (names := getattr(self, kind))]
        return (f"{self.model}, {self.engine}{seed}", *told)


@dataclass(frozen=True, slots=True)
class Shown:
    """A finished demonstration. `right` is the choice that came true, computed from `result`."""

    demo: str
    lesson: int
    inputs: dict[str, Any]
    prediction: Prediction
    right: int
    result: dict[str, Any]
    figures: tuple[Figure, ...]
    seen: str
    ask: tuple[str, ...]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Run:
    """One run's way to the outside: progress, and whether the learner stopped it."""

    progress: Progress = lambda stage, done: None
    cancel: Cancel = field(default_factory=Cancel)

    def report(self, stage: str, done: float) -> None:
        """Tells how far it is, 0 to 1. Raises DemoCancelled where the learner has stopped it."""
        if self.cancel.is_set():
            raise DemoCancelled
        self.progress(stage, done)


I = TypeVar("I", bound=DemoInput)  # noqa: E741 (input)


class Demo(ABC, Generic[I]):
    """One demonstration."""

    name: ClassVar[str]
    lesson: ClassVar[int]
    title: ClassVar[str]
    about: ClassVar[str]
    """One sentence: what can be turned, and what is seen."""
    input: type[I]
    text: ClassVar[str | None] = None
    """The input field that free text (a sentence of the learner's) goes to, if there is one."""

    @abstractmethod
    def predict(self, inputs: I) -> Prediction:
        """What to ask before it is shown; must not need the model."""

    @abstractmethod
    def run(self, bench: Workbench, inputs: I, run: Run) -> Shown:
        """Does it with the running model. Raises DemoError, DemoCancelled or EngineError."""

    def run_alone(self, bench: Workbench, inputs: I, run: Run) -> Shown:
        """The same with the base model, after whichever demonstration runs now: they share weights
        that some change. The adapter that acted acts again afterwards.

        Raises DemoCancelled where it was stopped, also at its end: what it has may be cut short.
        """
        while not bench.turn.acquire(timeout=_WAIT_SECONDS):
            run.report("waiting for another demonstration", 0.0)
        try:
            with bench.engine.adapter_kept():
                bench.engine.use_adapter(None)
                shown = self.run(bench, inputs, run)
        finally:
            bench.turn.release()
        if run.cancel.is_set():
            raise DemoCancelled
        return shown

    def shown(
        self,
        inputs: I,
        right: int,
        result: dict[str, Any],
        figures: tuple[Figure, ...],
        seen: str,
        ask: tuple[str, ...],
        provenance: Provenance,
    ) -> Shown:
        """The finished demonstration, with what is the same for every run filled in."""
        return Shown(
            self.name,
            self.lesson,
            inputs.model_dump(),
            self.predict(inputs),
            right,
            result,
            figures,
            seen,
            ask,
            provenance,
        )

    def parse(self, values: dict[str, Any]) -> I:
        """The input from names and values. Raises DemoError that names what is wrong."""
        try:
            return self.input.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            if first["type"] == "extra_forbidden":
                names = ", ".join(self.input.model_fields) or "none"
                raise DemoError(
                    f"{self.name} has no input {_echo(where)}: it takes {names}"
                ) from error
            message = str(first["msg"]).removeprefix("Value error, ")
            raise DemoError(f"{message}, not {_echo(first['input'])}", where) from error


def spoken(text: str) -> str:
    """The same text of a learner's. Raises DemoError where it is nothing but spaces."""
    if not text.strip():
        raise DemoError("give at least one character that is not a space", "text")
    return text


def _echo(value: object) -> str:
    """What was given, in at most 60 characters: its beginning, and the sign that closes it."""
    echo = repr(value)
    return echo if len(echo) <= _ECHO else f"{echo[: _ECHO - 2]}…{echo[-1]}"
