from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tutor.sessions.export import write_conversation
from tutor.sessions.store import Store


@pytest.fixture
def conversation(store: Store) -> int:
    conversation = store.begin()
    store.add(conversation, "user", "What is a token?")
    return conversation


def test_an_export_overwrites_no_file(store: Store, conversation: int, tmp_path: Path) -> None:
    (tmp_path / "conversation-1.md").write_text("of my own")
    written = [write_conversation(store, conversation, "md", tmp_path) for _ in range(2)]
    assert [path.name for path in written] == ["conversation-1-2.md", "conversation-1-3.md"]
    assert (tmp_path / "conversation-1.md").read_text() == "of my own"


@pytest.mark.parametrize("kind", ["md", "json"])
def test_an_export_is_readable_by_its_owner_only(
    store: Store, conversation: int, tmp_path: Path, kind: str
) -> None:
    path = write_conversation(store, conversation, kind, tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_export_as_json_can_be_read_back(
    store: Store, conversation: int, tmp_path: Path
) -> None:
    path = write_conversation(store, conversation, "json", tmp_path)
    (message,) = json.loads(path.read_text(encoding="utf-8"))["messages"]
    assert (message["role"], message["text"]) == ("user", "What is a token?")


def test_an_export_keeps_a_damaged_answer_as_it_stands(
    store: Store, conversation: int, tmp_path: Path
) -> None:
    store.update(store.add(conversation, "assistant", ""), "An answer.", answer='{"answer": "An')
    path = write_conversation(store, conversation, "json", tmp_path)
    stored = json.loads(path.read_text(encoding="utf-8"))["messages"][1]
    assert (stored["text"], stored["answer"]) == ("An answer.", '{"answer": "An')
