from __future__ import annotations

from pathlib import Path

import pytest

from tutor.cli.app import keep_changes
from tutor.settings import Settings, SettingsError, from_environment, load, save, set_value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


def test_a_variable_does_not_become_a_setting_of_the_file(file: Path) -> None:
    started = from_environment(load(file), {"TUTOR_MODEL": "/x.gguf", "TUTOR_TOP_K": "7"})
    keep_changes(file, started, set_value(started, "temperature", 1.2))
    assert load(file) == set_value(Settings(), "temperature", 1.2)


def test_what_was_written_meanwhile_stays(file: Path) -> None:
    started = load(file)
    save(set_value(Settings(), "seed", 7), file)
    keep_changes(file, started, set_value(started, "adapter", "none"))
    assert load(file) == set_value(set_value(Settings(), "seed", 7), "adapter", "none")


def test_a_knob_of_words_is_kept_as_others_are(file: Path) -> None:
    keep_changes(file, Settings(), set_value(Settings(), "banned", "token,model"))
    assert load(file).sampling.banned == ("token", "model")


def test_a_file_that_was_damaged_meanwhile_is_told_and_left_alone(file: Path) -> None:
    file.write_text("{")
    with pytest.raises(SettingsError, match=r"settings\.json"):
        keep_changes(file, Settings(), set_value(Settings(), "seed", 7))
    assert file.read_text() == "{"
