"""Errors become one line and a status: 2 for a wrong use, 1 for what failed."""

from __future__ import annotations

import ast
import errno
import io
from importlib import import_module
from pathlib import Path

import pytest

from tutor.cli import main
from tutor.cli.main import FAILURES, USE_ERRORS

ROOT = Path(__file__).parents[2]


def own_errors() -> set[str]:
    """Every error class of ours, by its whole name."""
    found = set()
    for path in (
        p for folder in ("corpus", "index", "tutor") for p in (ROOT / folder).rglob("*.py")
    ):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                found.add(f"{module}.{node.name}")
    return found


def test_every_error_of_ours_is_either_a_wrong_use_or_a_failure() -> None:
    assert own_errors() == USE_ERRORS | FAILURES and not USE_ERRORS & FAILURES


@pytest.mark.parametrize("name", sorted(USE_ERRORS | FAILURES))
def test_an_error_has_the_name_by_which_it_is_known(name: str) -> None:
    module, _, kind = name.rpartition(".")
    error = getattr(import_module(module), kind)
    assert f"{error.__module__}.{error.__qualname__}" == name


def test_a_missing_embedded_model_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["models", "list"]) == 1
    assert "pip install" in capsys.readouterr().err


def test_an_unwritable_home_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUTOR_HOME", str(tmp_path / "file"))
    assert main(["config", "set", "seed", "1"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_error_of_the_system_is_one_line_and_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    assert main(["config", "show", "--json"]) == 1
    assert capsys.readouterr().err == "tutor: No space left on device\n"


def test_an_error_of_others_with_a_name_of_ours_is_not_swallowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class UseError(Exception):
        pass

    def fails(arguments: object) -> None:
        raise UseError("theirs")

    monkeypatch.setattr("tutor.cli.manage.show_config", fails)
    with pytest.raises(UseError):
        main(["config", "show"])
