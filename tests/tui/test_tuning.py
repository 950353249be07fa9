from __future__ import annotations

import pytest

from tutor.settings import Settings, SettingsError
from tutor.tui.tuning import Tuning


@pytest.fixture
def kept() -> list[tuple[float, float]]:
    """The temperatures before and after every change that was written down."""
    return []


@pytest.fixture
def tuning(kept: list[tuple[float, float]]) -> Tuning:
    def keep(before: Settings, after: Settings) -> None:
        kept.append((before.sampling.temperature, after.sampling.temperature))

    return Tuning(Settings(), keep)


def test_a_change_and_its_undo_are_written_down_with_what_was_before(
    tuning: Tuning, kept: list[tuple[float, float]]
) -> None:
    tuning.set("temperature", 1.2)
    tuning.undo()
    assert kept == [(0.7, 1.2), (1.2, 0.7)]


def test_setting_what_is_set_already_writes_nothing(
    tuning: Tuning, kept: list[tuple[float, float]]
) -> None:
    tuning.set("temperature", 0.7)
    assert kept == []


def test_what_nobody_asked_for_counts_and_is_neither_written_down_nor_undone(
    tuning: Tuning, kept: list[tuple[float, float]]
) -> None:
    tuning.fall_back("adapter", "none")
    assert tuning.settings.adapter == "none" and kept == []
    with pytest.raises(SettingsError, match="no change"):
        tuning.undo()


def test_an_unknown_preset_is_named_with_the_known_ones(tuning: Tuning) -> None:
    with pytest.raises(SettingsError, match="no preset 'tame': choose one of precise"):
        tuning.preset("tame")
