"""What is kept in the cache from start to start: vectors of known texts, and texts.

Vectors are mapped into memory from one array a file, which takes a few milliseconds, where opening
Chroma takes half a second of every start; and two starts share the same memory. A file's name tells
what it is of, and its checksum.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from index.encoder import Vectors
from index.passages import digest

T = TypeVar("T")


def kept_vectors(folder: Path, name: str, keys: Sequence[str]) -> Vectors | None:
    """What was kept in `folder` under this name for these keys, read-only; None where nothing whole is."""
    return _kept(folder, name, keys, ".npy", _mapped, _sum)


def keep_vectors(folder: Path, name: str, keys: Sequence[str], vectors: Vectors) -> Vectors:
    """Leaves them in `folder` instead of what was kept under this name, and gives them back.

    For whoever holds the index's lock. Raises OSError.
    """
    draft = folder / f"{name}.part.npy"
    np.save(draft, vectors)
    _put(draft, folder, name, keys, _sum(vectors))
    return vectors


def kept_text(folder: Path, name: str, keys: Sequence[str]) -> bytes | None:
    """As `kept_vectors`, of text."""
    return _kept(folder, name, keys, ".json", Path.read_bytes, _crc)


def keep_text(folder: Path, name: str, keys: Sequence[str], text: bytes) -> None:
    """As `keep_vectors`, of text."""
    draft = folder / f"{name}.part.json"
    draft.write_bytes(text)
    _put(draft, folder, name, keys, _crc(text))


def _kept(
    folder: Path,
    name: str,
    keys: Sequence[str],
    ending: str,
    read: Callable[[Path], T],
    checksum: Callable[[T], str],
) -> T | None:
    for file in folder.glob(f"{name}-{_short(keys)}-*{ending}"):
        # One that is cut off or foreign is as good as none; numpy raises many types.
        with suppress(Exception):
            found = read(file)
            if file.stem.endswith(f"-{checksum(found)}"):
                return found
    return None


def _put(draft: Path, folder: Path, name: str, keys: Sequence[str], checksum: str) -> None:
    for old in folder.glob(f"{name}-*{draft.suffix}"):
        with suppress(OSError):  # on Windows another process may have it open
            old.unlink()
    draft.replace(folder / f"{name}-{_short(keys)}-{checksum}{draft.suffix}")


def _short(keys: Sequence[str]) -> str:
    return digest(keys).hex()[:16]


def _mapped(file: Path) -> Vectors:
    return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))


def _sum(vectors: Vectors) -> str:
    """All bytes as one sum of numbers of 64 bits: a CRC of 60 MB takes five times as long."""
    words = np.ascontiguousarray(vectors).reshape(-1).view(np.uint64)
    return f"{int(words.sum(dtype=np.uint64)):016x}"


def _crc(text: bytes) -> str:
    return f"{zlib.crc32(text):08x}"
