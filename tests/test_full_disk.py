"""A disk that is really full: a small one in memory, in a mount namespace of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.pseudo_terminal import environ
from tutor.sessions.store import Store

EXPORT = """
import sys
from pathlib import Path
from tutor.sessions.export import write_conversation
from tutor.sessions.store import Store
try:
    write_conversation(Store(Path(sys.argv[1])), 1, "md", Path())
except OSError as error:
    print(error.strerror)
print(list(Path().iterdir()))
"""
Ran = subprocess.CompletedProcess[str]
_SMALL = 'mount -t tmpfs -o size={size}k none "$0" && cd "$0" && {before} "$@"'


@pytest.fixture
def on_a_small_disk(tmp_path: Path) -> Callable[..., Ran]:
    """Runs `tutor` in a folder that holds only so many kilobytes; `before` is done there first."""
    apart = ["unshare", "--mount", "--map-root-user"]
    folder = tmp_path / "small"
    folder.mkdir()
    able = (
        shutil.which("unshare")
        and not subprocess.run(
            [*apart, "sh", "-c", _SMALL.format(size=8, before=""), str(folder), "true"],
            capture_output=True,
        ).returncode
    )
    if not able:
        pytest.skip("this system lets no process mount a disk of its own")

    def run(*command: str, size: int, before: str = "") -> Ran:
        script = _SMALL.format(size=size, before=before)
        return subprocess.run(
            [*apart, "sh", "-c", script, str(folder), sys.executable, *command],
            env=environ(folder) | {"PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def told_in_one_line(ran: Ran) -> str:
    """What a command that failed over the disk says."""
    assert ran.returncode == 1, ran.stderr
    (line,) = ran.stderr.splitlines()
    return line


def test_a_model_that_finds_no_room_is_told(on_a_small_disk: Callable[..., Ran]) -> None:
    ran = on_a_small_disk("-m", "tutor", "models", "prepare", size=40_000)
    assert "the model needs 145 MB in" in told_in_one_line(ran)


def test_an_encoder_that_finds_no_room_is_told(on_a_small_disk: Callable[..., Ran]) -> None:
    ran = on_a_small_disk("-m", "tutor", "index", "build", size=40_000)
    assert "the encoder cannot be made in" in told_in_one_line(ran)


def test_an_index_that_finds_no_room_is_told(
    on_a_small_disk: Callable[..., Ran], cache: Path, retriever: object
) -> None:
    before = f'mkdir cache && ln -s "{cache / "encoder"}" cache/encoder &&'
    ran = on_a_small_disk("-m", "tutor", "index", "build", size=4_000, before=before)
    assert "the index cannot be built in" in told_in_one_line(ran)


def test_an_export_that_finds_no_room_leaves_no_half_of_it(
    on_a_small_disk: Callable[..., Ran], tmp_path: Path
) -> None:
    database = tmp_path / "conversations.sqlite3"
    with closing(Store(database)) as store:
        store.add(store.begin(), "user", "word " * 50_000)
    ran = on_a_small_disk("-c", EXPORT, str(database), size=64)
    assert ran.stdout.splitlines() == ["No space left on device", "[]"], ran.stderr
