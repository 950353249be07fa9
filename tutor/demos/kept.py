"""What demonstrations keep in the cache: named after the file that it was made from, never half."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def key_of(path: Path, *also: object) -> str:
    """A name for what is made from a file as it is now, and from what else it depends on (JSON)."""
    found = path.stat()
    key = f"{path.stem}-{found.st_size}-{found.st_mtime_ns}"
    if not also:
        return key
    return f"{key}-{hashlib.sha256(json.dumps(also).encode()).hexdigest()[:16]}"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A draft to write, put in the place of `path` at the end of the block; gone if it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
