"""Which model may be used, and what the list of models says of one that is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tutor.cli import main
from tutor.engine.adapters import SHIPPED
from tutor.home import Home
from tutor.settings import Settings, load, save, set_value


def test_a_chat_model_is_used_from_now_on(run: Run, model_path: Path) -> None:
    run("models", "use", str(model_path), "--json")
    assert load(Home.locate().settings_file).model == str(model_path)


def test_an_adapter_is_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "use", str(SHIPPED)]) == 2
    assert "is an adapter" in capsys.readouterr().err
    assert load(Home.locate().settings_file) == Settings()


def test_the_model_in_use_is_marked_under_its_short_path_too(
    run: Run, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.gguf").symlink_to(model_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    save(set_value(Settings(), "model", "~/x.gguf"), Home.locate().create().settings_file)
    (found,) = run("models", "list", "--json")
    assert [model["path"] for model in found["models"] if model["in_use"]] == [
        str(tmp_path / "x.gguf")
    ]


def test_a_model_that_is_gone_is_listed_with_the_reason(run: Run) -> None:
    save(set_value(Settings(), "model", "/nowhere.gguf"), Home.locate().create().settings_file)
    embedded, gone = run("models", "list", "--json")[0]["models"]
    assert embedded["parameters"] and not embedded["in_use"]
    assert gone["in_use"] and "No such file" in gone["error"]
