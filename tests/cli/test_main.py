"""Errors become one line and a status: 2 for a wrong use, 1 for what failed."""

from __future__ import annotations

import ast
import errno
import io
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from tests.permissions import bound
from tests.tui.driver import QUESTION
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


def buffered() -> dict[str, str]:
    """An environment in which Python writes to a pipe in blocks, as it does by itself."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["lessons"],
        ["lessons", "1", "--json"],
        # These hand what they print over at their end, this one in colours.
        ["--help"],
        ["demo"],
        ["sessions", "list"],
        ["next", "Once upon a"],
    ],
)
def test_a_reader_that_has_gone_is_no_error(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "tutor", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=buffered(),
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_is_full_at_the_end_of_a_command_is_one_line_and_a_failure() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tutor", "demo"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=buffered(),
        )
    assert (done.returncode, done.stderr) == (1, "tutor: No space left on device\n")


def test_an_interrupted_answer_ends_at_once_with_its_status() -> None:
    # Nearly uniform draws miss the end token: the answer goes on until it is interrupted.
    knobs = ("--temperature", "5", "--top-k", "0", "--top-p", "1", "--max-tokens", "1500")
    asking = subprocess.Popen(
        [sys.executable, "-m", "tutor", "ask", QUESTION, "--adapter", "none", *knobs],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asking.stdout
    while "in its own words" not in asking.stdout.readline():
        assert asking.poll() is None
    asking.send_signal(signal.SIGINT)
    rest, told = asking.communicate(timeout=20)
    assert (asking.returncode, told) == (130, "")
    assert "[1] lesson" not in rest


@pytest.mark.parametrize("after", [0.05, 0.2, 0.4, 0.7])
def test_interrupted_while_it_loads_a_command_ends_without_a_complaint(after: float) -> None:
    # The command's parts are imported one after another, then model and lessons are loaded; where
    # that takes less time, it has begun to answer.
    run = f"print('begun', flush=True); sys.exit(main(['ask', {QUESTION!r}]))"
    asking = subprocess.Popen(
        [sys.executable, "-c", f"import sys; from tutor.cli.main import main; {run}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asking.stdout and asking.stdout.readline() == "begun\n"
    time.sleep(after)
    asking.send_signal(signal.SIGINT)
    _, told = asking.communicate(timeout=60)
    assert (asking.returncode, told) == (130, "")


def test_a_read_only_home_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "read-only"
    home.mkdir(mode=0o500)
    monkeypatch.setenv("TUTOR_HOME", str(home))
    command = [*bound(), sys.executable, "-m", "tutor", "config", "set", "seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    (told,) = done.stderr.splitlines()
    assert done.returncode == 1 and str(home) in told and "set TUTOR_HOME to a folder" in told
