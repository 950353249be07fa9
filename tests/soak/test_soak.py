"""A few turns of what `python -m tests.soak` does for an hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.__main__ import soak
from tutor.home import Home


async def test_a_few_turns_of_mixed_use_end_without_an_error(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = await soak(4, 1, tmp_path, Home(cache, tmp_path / "data", tmp_path / "config"))
    assert error == ""
