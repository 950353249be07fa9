"""The settings while they are turned: every change is checked, kept on disk, and can be undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tutor.engine.settings import PRESETS, Sampling
from tutor.settings import Settings, SettingsError, set_value

_UNDO = 100

Keep = Callable[[Settings, Settings], None]
"""Writes down what differs between the settings before and after a change."""


class Tuning:
    """The settings as they count now, and those before."""

    def __init__(self, settings: Settings, keep: Keep) -> None:
        self.settings = settings
        self._keep = keep
        self._past: list[Settings] = []

    def set(self, name: str, value: Any) -> None:
        """Changes one setting. Raises SettingsError and changes nothing otherwise."""
        self._take(set_value(self.settings, name, value))

    def fall_back(self, name: str, value: Any) -> None:
        """Changes one setting as long as the app runs; nobody asked for it, so it is not kept."""
        self.settings = set_value(self.settings, name, value)

    def preset(self, name: str) -> None:
        """Takes a preset's knobs; seed and length stay. Raises SettingsError for another name."""
        if name not in PRESETS:
            unknown = f"there is no preset {name!r}: " if name else ""
            raise SettingsError(f"{unknown}choose one of {', '.join(PRESETS)}")
        now = self.settings.sampling
        kept = {"seed": now.seed, "max_tokens": now.max_tokens}
        self.sampling(PRESETS[name].model_copy(update=kept))

    def sampling(self, sampling: Sampling) -> None:
        """Takes all decoding knobs at once."""
        self._take(self.settings.model_copy(update={"sampling": sampling}))

    def undo(self) -> None:
        """Takes the last change back. Raises SettingsError where there is none."""
        if not self._past:
            raise SettingsError("there is no change to take back")
        before, self.settings = self.settings, self._past.pop()
        self._keep(before, self.settings)

    def _take(self, settings: Settings) -> None:
        if settings != self.settings:
            before, self.settings = self.settings, settings
            self._past = [*self._past[-_UNDO:], before]
            self._keep(before, settings)
