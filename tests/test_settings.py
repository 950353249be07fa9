from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutor.settings import Settings, SettingsError, from_environment, load, names, save, set_value


def test_a_saved_setting_is_loaded_again(tmp_path: Path) -> None:
    save(set_value(Settings(), "temperature", "1.2"), tmp_path / "s.json")
    assert load(tmp_path / "s.json").sampling.temperature == 1.2


def test_a_variable_counts_over_the_file() -> None:
    settings = set_value(Settings(), "top_k", 10)
    assert from_environment(settings, {"TUTOR_TOP_K": "20"}).sampling.top_k == 20


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", -1), ("top_p", 1.5), ("seed", "text"), ("temperature", "nan"), ("n_ctx", 1)],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=name):
        set_value(Settings(), name, value)


def test_an_unknown_setting_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="temperature"):
        set_value(Settings(), "warmth", 1)


def test_an_order_that_lacks_stages_is_told_in_plain_words() -> None:
    with pytest.raises(SettingsError, match=r"^order: name every stage once"):
        set_value(Settings(), "order", "top_k")


@pytest.mark.parametrize(
    ("text", "field"),
    [('{"warmth": 1}', "warmth"), ('{"sampling": {"top_p": 2}}', r"sampling\.top_p")],
)
def test_a_file_with_a_wrong_field_is_refused_by_its_name(
    tmp_path: Path, text: str, field: str
) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(SettingsError, match=rf"\({field}: "):
        load(tmp_path / "s.json")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(SettingsError, match=r"s\.json"):
        load(tmp_path / "s.json")


@given(
    st.sampled_from(names()),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
)
def test_whatever_a_setting_is_given_is_taken_and_kept_or_refused(name: str, value: object) -> None:
    try:
        taken = set_value(Settings(), name, value)
    except SettingsError as error:
        assert name in str(error)
        return
    assert Settings.model_validate_json(taken.model_dump_json()) == taken


def test_biases_are_read_from_ids_and_numbers() -> None:
    assert set_value(Settings(), "logit_bias", "5=1, 7=-2.5").sampling.logit_bias == {
        5: 1.0,
        7: -2.5,
    }
    with pytest.raises(SettingsError, match="logit_bias"):
        set_value(Settings(), "logit_bias", '{"5": 1}')


def test_a_save_that_fails_leaves_no_draft_and_the_file_that_was_there(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    save(set_value(Settings(), "seed", 7), file)
    script = """
import resource, sys
from pathlib import Path
from tutor.settings import Settings, SettingsError, save
# No file may hold more, as on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
try:
    save(Settings(), Path(sys.argv[1]))
except SettingsError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True
    )
    assert f"{file} cannot be written: " in done.stdout
    assert list(tmp_path.iterdir()) == [file] and load(file).sampling.seed == 7
