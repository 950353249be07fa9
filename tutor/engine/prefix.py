"""What every prompt begins with, kept from one start to the next as llama.cpp saves it.

A file is named after all that it depends on (library, weights, adapter, tokens) and after its own
content: llama.cpp is given none that is cut off or was changed.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from tutor.engine.memory import Memory

_KEPT = 8
"""Files: one a variant that was used, the latest ones."""


def read_prefix(memory: Memory, ids: list[int], folder: Path, made_by: str) -> None:
    """Has `ids` in the empty `memory`: from `folder`, or read now and kept there for the next start.

    `made_by` names library, weights and adapter. A folder that cannot be written costs the reading
    of these tokens at every start, no more.
    """
    key = _digest(f"{made_by}\n{ids}".encode())
    with suppress(OSError):
        for file in folder.glob(f"{key}-*.state"):
            if file.stem == f"{key}-{_digest(file.read_bytes())}" and memory.restore(file, ids):
                file.touch()
                return
            file.unlink()
    memory.read(ids)
    with suppress(OSError):
        _keep(memory, folder, key)


def _keep(memory: Memory, folder: Path, key: str) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    draft = folder / f"{key}.part"
    try:
        if memory.save(draft):
            draft.replace(folder / f"{key}-{_digest(draft.read_bytes())}.state")
    finally:
        draft.unlink(missing_ok=True)
    files = sorted(folder.glob("*.state"), key=lambda file: file.stat().st_mtime)
    for old in files[:-_KEPT]:
        old.unlink()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]
