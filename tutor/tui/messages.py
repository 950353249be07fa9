"""What the worker threads and the chat tell the app."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from textual.message import Message

from tutor.agent.prompt import Part
from tutor.agent.turn import Performed, Retrieved
from tutor.engine.events import Adapter, Step
from tutor.settings import Settings
from tutor.tui.conversation import Turn

if TYPE_CHECKING:
    from tutor.agent.tutor import Tutor


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of an answer so far, in tokens and tokens a second."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    tokens_per_second: float
    n_ctx: int
    parts: dict[Part, int] = field(default_factory=dict)
    """Prompt tokens by what they are there for."""


class CommandTyped(Message):
    """The learner typed `/name argument`."""

    def __init__(self, name: str, argument: str) -> None:
        super().__init__()
        self.name = name
        self.argument = argument


class Loading(Message):
    """How far opening the tutor has come; `done` is 0 to 1."""

    def __init__(self, stage: str, done: float) -> None:
        super().__init__()
        self.stage = stage
        self.done = done


class Opened(Message):
    """The tutor is there, opened under `settings`; `fault` says why not with the adapter `asked`."""

    def __init__(
        self, tutor: Tutor, settings: Settings, fault: str = "", asked: str | None = None
    ) -> None:
        super().__init__()
        self.tutor = tutor
        self.settings = settings
        self.fault = fault
        self.asked = asked


class Previewed(Message):
    """What would be said next under the settings of now, and what their last change did."""

    def __init__(self, step: Step, effect: str) -> None:
        super().__init__()
        self.step = step
        self.effect = effect


class Swapped(Message):
    """Another variant speaks, or (`fault`) could not be taken after the settings `before`."""

    def __init__(
        self, adapter: Adapter | None, fault: str = "", before: Settings | None = None
    ) -> None:
        super().__init__()
        self.adapter = adapter
        self.fault = fault
        self.before = before


class Evidence(Message):
    """The quoted part of the answer is known."""

    def __init__(self, turn: Turn, retrieved: Retrieved) -> None:
        super().__init__()
        self.turn = turn
        self.retrieved = retrieved


class Did(Message):
    """The turn was a request and was done; the app does what only the app can."""

    def __init__(self, turn: Turn, performed: Performed) -> None:
        super().__init__()
        self.turn = turn
        self.performed = performed


class Words(Message):
    """The model said `fragment` more."""

    def __init__(self, turn: Turn, fragment: str, figures: Figures) -> None:
        super().__init__()
        self.turn = turn
        self.fragment = fragment
        self.figures = figures


class Progress(Message):
    """New figures of the running or finished answer of `turn`, which the chat has shown."""

    def __init__(self, turn: Turn, figures: Figures) -> None:
        super().__init__()
        self.turn = turn
        self.figures = figures


class Finished(Message):
    """The answer as it was stored."""

    def __init__(self, turn: Turn, record: dict[str, Any], figures: Figures) -> None:
        super().__init__()
        self.turn = turn
        self.record = record
        self.figures = figures


class Failed(Message):
    """The turn (or, without one, the start) failed; `reason` is one line for the learner."""

    def __init__(self, turn: Turn | None, reason: str) -> None:
        super().__init__()
        self.turn = turn
        self.reason = reason
