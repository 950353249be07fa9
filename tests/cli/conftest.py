"""The command line, called in this process, in a home of its own with the session's cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tutor.cli import main

Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, cache: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home whose cache is the session's."""
    (tmp_path / "cache").symlink_to(cache)
    monkeypatch.setenv("TUTOR_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command that must succeed; gives the JSON objects that it prints."""

    def called(*arguments: str) -> list[dict[str, Any]]:
        assert main(arguments) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return called
