from __future__ import annotations

from pathlib import Path

import llama_cpp
import pytest

from tutor.engine.cancel import Cancel
from tutor.engine.logs import collect_logs, or_why
from tutor.engine.model import Model


def load(path: Path) -> object:
    return llama_cpp.llama_model_load_from_file(
        str(path).encode(), llama_cpp.llama_model_default_params()
    )


def test_nothing_of_it_is_written_to_the_terminal(
    model_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Model(model_path, 512, 1, Cancel()).close()
    load(tmp_path / "none.gguf")
    assert capfd.readouterr() == ("", "")


def test_what_fails_is_told_with_llama_cpps_reason(tmp_path: Path) -> None:
    found, why = or_why(lambda: load(tmp_path / "none.gguf"))
    assert not found
    assert "failed to load model" in why


def test_what_works_is_done_once() -> None:
    done: list[int] = []
    assert or_why(lambda: done.append(1) or "made") == ("made", "")
    assert done == [1]


def test_what_was_logged_before_the_block_is_none_of_its_errors(tmp_path: Path) -> None:
    load(tmp_path / "none.gguf")
    with collect_logs() as logs:
        assert logs.last == ""
        load(tmp_path / "none.gguf")
        assert "none.gguf" in " ".join(logs.lines)
