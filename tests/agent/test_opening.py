from __future__ import annotations

import threading
from pathlib import Path

import pytest

from index.errors import RetrievalError
from tutor.agent.opening import open_tutor
from tutor.engine.errors import ModelFileError
from tutor.home import Home
from tutor.settings import Settings, set_value


def test_a_model_that_cannot_be_loaded_is_told_before_anything_else_is_made(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "cache", tmp_path / "data", tmp_path / "config")
    with pytest.raises(ModelFileError):
        open_tutor(home, set_value(Settings(), "model", str(tmp_path / "none.gguf")))
    assert not home.cache.exists()


@pytest.mark.parametrize(
    "failing",
    [
        "index.course.load_course",
        "tutor.agent.router.Router",
        "tutor.agent.variants.use_variant",
    ],
)
def test_a_start_that_fails_leaves_no_model_open(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fails(*given: object, **more: object) -> None:
        raise RetrievalError("no such thing")

    def engines() -> int:
        return sum(thread.name == "engine" for thread in threading.enumerate())

    monkeypatch.setattr(failing, fails)
    before = engines()
    with pytest.raises(RetrievalError, match="no such thing"):
        open_tutor(Home(cache, tmp_path, tmp_path), Settings())
    assert engines() == before
