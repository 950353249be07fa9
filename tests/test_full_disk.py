"""A disk that is really full: a small one in memory, in a mount namespace of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.pseudo_terminal import App, environ, wait_until
from tutor.engine.prepare import QUANTIZATIONS, fast_quantization
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
_SMALL = 'mount -t tmpfs -o size={size}k none "$0" && cd "$0" && {before} exec "$@"'


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The folder that `apart` mounts a small disk in, for what it starts alone."""
    folder = tmp_path / "small"
    folder.mkdir()
    able = (
        shutil.which("unshare")
        and not subprocess.run([*apart(folder, 8), "true"], capture_output=True).returncode
    )
    if not able:
        pytest.skip("this system lets no process mount a disk of its own")
    return folder


def apart(folder: Path, kilobytes: int, before: str = "") -> list[str]:
    """The beginning of a command that is run in a folder which holds only so many kilobytes;
    `before` is done there first."""
    script = _SMALL.format(size=kilobytes, before=before)
    return ["unshare", "--mount", "--map-root-user", "sh", "-c", script, str(folder)]


@pytest.fixture
def on_a_small_disk(small: Path) -> Callable[..., Ran]:
    """Runs Python on a small disk."""

    def run(*command: str, size: int, before: str = "") -> Ran:
        return subprocess.run(
            [*apart(small, size, before), sys.executable, *command],
            env=environ(small) | {"PYTHONPATH": str(Path.cwd())},
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
    needed = QUANTIZATIONS[fast_quantization()]
    assert f"the model needs {needed} MB in" in told_in_one_line(ran)


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


def test_a_disk_that_fills_up_in_the_app_is_told_and_the_app_goes_on(
    small: Path, cache: Path, retriever: object
) -> None:
    before = f'ln -s "{cache}" cache &&'
    environment = {"TUTOR_MAX_TOKENS": "30", "PYTHONPATH": str(Path.cwd())}
    app = App(small, environment, apart(small, 400, before))
    try:
        app.wait_for("tok/s")
        asked = 0
        while b"disk is full" not in app.drawn:
            asked += 1
            assert asked < 30
            app.type("What is attention?\r")
            time.sleep(2)
        app.drawn = b""
        app.type("\x15/nothing\r")
        app.wait_for("there is no command /nothing")
        app.type("\x11")
        wait_until(lambda: app.process.poll() is not None, "the app's end")
        assert app.process.returncode == 0
    finally:
        app.close()
    assert b"Traceback" not in app.drawn
