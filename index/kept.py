"""Vectors of known texts, one array a file that is mapped into memory.

Reading them takes a few milliseconds, where opening Chroma takes half a second of every start; and
two starts share the same memory. A file's name tells what it is of, and its checksum.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from index.encoder import Vectors
from index.passages import digest


def kept_vectors(folder: Path, name: str, keys: Sequence[str]) -> Vectors | None:
    """What was kept in `folder` under this name for these keys, read-only; None where nothing whole is."""
    for file in folder.glob(f"{name}-{_short(keys)}-*.npy"):
        # One that is cut off or foreign is as good as none; numpy raises many types.
        with suppress(Exception):
            vectors = np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
            if file.stem.endswith(_checksum(vectors)):
                return vectors
    return None


def keep_vectors(folder: Path, name: str, keys: Sequence[str], vectors: Vectors) -> Vectors:
    """Leaves them in `folder` instead of what was kept under this name, and gives them back.

    For whoever holds the index's lock. Raises OSError.
    """
    draft = folder / f"{name}.part.npy"
    np.save(draft, vectors)
    for old in folder.glob(f"{name}-*.npy"):
        with suppress(OSError):  # on Windows another process may have it open
            old.unlink()
    draft.replace(folder / f"{name}-{_short(keys)}-{_checksum(vectors)}.npy")
    return vectors


def _short(keys: Sequence[str]) -> str:
    return digest(keys).hex()[:16]


def _checksum(vectors: Vectors) -> str:
    return f"{zlib.crc32(np.ascontiguousarray(vectors).data):08x}"
