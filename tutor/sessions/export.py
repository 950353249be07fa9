"""A conversation as JSON or as Markdown."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from tutor.sessions.store import Store
from tutor.text import plain


def conversation_json(store: Store, id: int) -> dict[str, Any]:
    """A conversation with all its messages. Raises StoreError for an unknown id."""
    conversation = store.conversation(id)
    messages = [
        {
            "role": message.role,
            "text": message.text,
            "state": message.state,
            "created": message.created,
            "answer": _answer(message.answer),
        }
        for message in store.messages(id)
    ]
    return asdict(conversation) | {"messages": messages}


def _answer(kept: str) -> Any:
    """The kept answer; the text as it stands where it is damaged, since an export loses nothing."""
    try:
        return json.loads(kept) if kept else None
    except (ValueError, RecursionError):
        return kept


def conversation_markdown(store: Store, id: int) -> str:
    """A conversation as Markdown. Raises StoreError for an unknown id."""
    speaker = {"user": "You", "assistant": "Tutor"}
    parts = [f"# {store.conversation(id).title}"]
    for message in store.messages(id):
        parts.append(f"**{speaker.get(message.role, message.role)}**\n\n{message.text}")
    return "\n\n".join(parts) + "\n"


def write_conversation(store: Store, id: int, kind: str, folder: Path) -> Path:
    """Writes a conversation as `md` or `json` into a new file of the folder, for its owner only.

    Raises StoreError, or OSError: then the file is gone again.
    """
    if kind == "json":
        text = json.dumps(conversation_json(store, id), ensure_ascii=False)
    else:
        text = plain(conversation_markdown(store, id))
    file = _new_file(folder, f"conversation-{id}", kind)
    path = Path(file.name)
    try:
        with file:
            file.write(text)
    except OSError:
        path.unlink()
        raise
    return path


def _new_file(folder: Path, name: str, kind: str) -> TextIO:
    """A file that was not there before, open for writing."""
    path, n = folder / f"{name}.{kind}", 1
    while True:
        try:
            return open(path, "x", encoding="utf-8", opener=_private)
        except FileExistsError:
            n += 1
            path = folder / f"{name}-{n}.{kind}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
