"""What the worker threads tell the app."""

from __future__ import annotations

from typing import Any

from textual.message import Message

from tutor.agent.turn import Retrieved
from tutor.tui.conversation import Turn


class Loading(Message):
    """How far opening the tutor has come; `done` is 0 to 1."""

    def __init__(self, stage: str, done: float) -> None:
        super().__init__()
        self.stage = stage
        self.done = done


class Evidence(Message):
    """The quoted part of the answer is known."""

    def __init__(self, turn: Turn, retrieved: Retrieved) -> None:
        super().__init__()
        self.turn = turn
        self.retrieved = retrieved


class Words(Message):
    """The model's words so far."""

    def __init__(self, turn: Turn, text: str) -> None:
        super().__init__()
        self.turn = turn
        self.text = text


class Finished(Message):
    """The answer as it was stored."""

    def __init__(self, turn: Turn, record: dict[str, Any]) -> None:
        super().__init__()
        self.turn = turn
        self.record = record


class Failed(Message):
    """The turn (or, without one, the start) failed; `reason` is one line for the learner."""

    def __init__(self, turn: Turn | None, reason: str) -> None:
        super().__init__()
        self.turn = turn
        self.reason = reason
