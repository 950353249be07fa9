"""The doctor names what is wrong, whatever it is, and goes on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Run
from tutor.cli import main
from tutor.home import Home
from tutor.settings import Settings, save, set_value


def checks(run: Run) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in run("doctor", "--json")[0]["checks"]}


def test_what_speaks_is_checked(run: Run) -> None:
    found = checks(run)
    assert found["model in use"]["detail"] == "the embedded one"
    assert found["adapter in use"]["detail"].startswith("tutor, ")


@pytest.mark.parametrize("name", ["model", "adapter"])
def test_what_speaks_and_is_gone_is_a_fault(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    save(set_value(Settings(), name, "/nowhere.gguf"), Home.locate().create().settings_file)
    assert main(["doctor"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if f"{name} in use" in line]
    assert line.startswith("FAIL") and "/nowhere.gguf" in line


def test_an_error_without_words_is_told_by_its_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> str:
        raise MemoryError

    monkeypatch.setattr("tutor.cli.doctor._lessons", fails)
    assert main(["doctor"]) == 1
    assert "MemoryError" in capsys.readouterr().out
