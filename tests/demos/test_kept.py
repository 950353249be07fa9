from __future__ import annotations

import os
from pathlib import Path

import pytest

from tutor.demos.kept import key_of, written_whole


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    return path


def test_a_name_is_the_same_for_the_same_file_and_the_same_rest(source: Path) -> None:
    assert key_of(source, 4, "text") == key_of(source, 4, "text")
    assert key_of(source).startswith("model-7-")


def test_another_name_is_given_once_the_file_or_the_rest_is_another(source: Path) -> None:
    names = {key_of(source), key_of(source, 4), key_of(source, 5)}
    os.utime(source, ns=(1, 1))
    assert len(names | {key_of(source)}) == 4


def test_what_was_written_is_there_and_no_draft_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "made" / "table.txt"
    with written_whole(target) as draft:
        draft.write_text("new")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["table.txt"]
    assert target.read_text() == "new"


def test_what_fails_in_the_middle_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "table.txt"
    target.write_text("old")
    with pytest.raises(OSError, match="disk full"), written_whole(target) as draft:
        draft.write_text("ha")
        raise OSError("disk full")
    assert [path.name for path in tmp_path.iterdir()] == ["table.txt"]
    assert target.read_text() == "old"
