"""Every knob has a flag, which says what the knob does and counts over variable and file."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tutor.cli.decoding import FLAGS, add_flags, add_variant, settings_of
from tutor.engine.settings import Sampling
from tutor.home import Home
from tutor.settings import Settings, save, set_value


def given(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    add_variant(parser)
    return parser.parse_args(flags)


def test_every_knob_has_a_flag() -> None:
    assert {*FLAGS, "greedy"} == set(Sampling.model_fields)


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_says_what_its_knob_does(name: str) -> None:
    said = str(Sampling.model_fields[name].description)
    assert FLAGS[name][1] == said[0].lower() + said[1:].rstrip(".")


def test_a_flag_counts_over_a_variable_and_a_variable_over_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Home.locate().create()
    kept = set_value(set_value(Settings(), "top_k", 1), "min_p", 0.5)
    save(kept, here.settings_file)
    monkeypatch.setenv("TUTOR_TOP_K", "2")
    monkeypatch.setenv("TUTOR_TOP_N_SIGMA", "2")
    sampling = settings_of(given("--top-n-sigma", "3", "--greedy"), here).sampling
    found = (sampling.min_p, sampling.top_k, sampling.top_n_sigma, sampling.greedy)
    assert found == (0.5, 2, 3, True)


def test_the_adapters_scale_has_a_flag() -> None:
    assert settings_of(given("--adapter-scale", "0.5"), Home.locate()).adapter_scale == 0.5
