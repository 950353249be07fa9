"""Builds and mends the index: only what changed is embedded again, and damage is rebuilt.

One lock file guards the store, since Chroma is not safe for several processes at once.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock

from index.encoder import Encoder, Vectors, prepared_encoder
from index.errors import RetrievalError
from index.export import encoder_name
from index.kept import keep_vectors, kept_vectors
from index.passages import Passage
from index.shipped import ShippedEncoder
from index.store import OtherVersionError, VectorStore

_STEP = 16


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did."""

    added: int
    removed: int
    unchanged: int
    seconds: float


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The state of the index against the lessons; counts are of what is stored."""

    state: Literal["ready", "stale", "missing", "damaged"]
    passages: int
    vectors: int
    path: Path


def build(
    passages: Sequence[Passage], cache: Path, progress: Callable[[float], None] | None = None
) -> BuildReport:
    """Brings the index up to date with the passages. Raises RetrievalError where it cannot."""
    began = time.perf_counter()
    report = progress or (lambda done: None)
    encoder = prepared_encoder(cache, lambda done: report(done / 2))
    added, removed, unchanged = _update(passages, cache, encoder, report)[:3]
    report(1.0)
    return BuildReport(added, removed, unchanged, time.perf_counter() - began)


def indexed_vectors(
    passages: Sequence[Passage],
    cache: Path,
    encoder: Encoder,
    progress: Callable[[float], None] | None = None,
) -> Vectors:
    """The vectors of the passages' texts, in order, from an index brought up to date."""
    folder = cache / "index"
    keys = [encoder.name, *(p.digest for p in passages)]
    if (kept := kept_vectors(folder, "vectors", keys)) is not None:
        return kept
    vectors = _update(passages, cache, encoder, progress or (lambda done: None))[3]
    found = np.concatenate([vectors[passage.passage_id] for passage in passages])
    with FileLock(cache / "index.lock"):
        return keep_vectors(folder, "vectors", keys, found)


def cached_vectors(texts: Sequence[str], name: str, cache: Path, encoder: Encoder) -> Vectors:
    """The vectors of some fixed texts, (len(texts), 384), encoded anew only where a text changed."""
    folder = cache / "index"
    keys = [encoder.name, *texts]
    if (kept := kept_vectors(folder, name, keys)) is not None:
        return kept
    found = ShippedEncoder(encoder).encode(texts)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "index.lock"):
        return keep_vectors(folder, name, keys, found)


def _update(
    passages: Sequence[Passage],
    cache: Path,
    encoder: Encoder,
    report: Callable[[float], None],
) -> tuple[int, int, int, dict[str, Vectors]]:
    folder = cache / "index"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "index.lock"):
        try:
            return _synchronise(passages, folder, encoder, report)
        except Exception:
            # Whatever Chroma, SQLite or a foreign schema raised: the index holds nothing that
            # cannot be made again from the lessons.
            _discard(folder)
        try:
            return _synchronise(passages, folder, encoder, report)
        except Exception as error:  # a full disk, say, in Chroma's words
            raise RetrievalError(f"the index cannot be built in {folder}: {error}") from error


def _discard(folder: Path) -> None:
    from chromadb.api.client import SharedSystemClient

    # Chroma keeps one system a path for the process; without this the old files stay open.
    SharedSystemClient.clear_system_cache()
    shutil.rmtree(folder, ignore_errors=True)


def _synchronise(
    passages: Sequence[Passage], folder: Path, encoder: Encoder, report: Callable[[float], None]
) -> tuple[int, int, int, dict[str, Vectors]]:
    folder.mkdir(parents=True, exist_ok=True)
    store = VectorStore(folder / "chroma", encoder.name)
    known = store.digests()
    wanted = {passage.passage_id: passage.digest for passage in passages}
    gone = [id for id, digest in known.items() if wanted.get(id) != digest]
    new = [p for p in passages if known.get(p.passage_id) != p.digest]
    if len(gone) > len(known) / 2:
        # Deleting leaves holes in Chroma's graph: beyond some, a new index is made sooner.
        store.close()
        _discard(folder)
        store, new = VectorStore(folder / "chroma", encoder.name), list(passages)
    else:
        store.remove(gone)
    shipped = ShippedEncoder(encoder)
    for start in range(0, len(new), _STEP):
        store.add(new[start : start + _STEP], shipped)
        report(0.5 + 0.5 * min(start + _STEP, len(new)) / len(new))
    vectors = store.vectors()
    for passage in passages:
        if len(vectors[passage.passage_id]) != passage.question_rows.stop:
            raise ValueError(f"{passage.passage_id} is stored in part")
    store.close()
    return len(new), len(gone), len(passages) - len(new), vectors


def status(cache: Path, passages: Sequence[Passage]) -> IndexStatus:
    """How the index stands; changes nothing."""
    folder = cache / "index"
    if not (folder / "chroma").exists():
        return IndexStatus("missing", 0, 0, folder)
    with FileLock(cache / "index.lock"):
        try:
            store = VectorStore(folder / "chroma", encoder_name())
            known = store.digests()
            vectors = len(store)
            store.close()
        except OtherVersionError:
            return IndexStatus("stale", 0, 0, folder)
        except Exception:  # see _update
            return IndexStatus("damaged", 0, 0, folder)
    wanted = {passage.passage_id: passage.digest for passage in passages}
    return IndexStatus("ready" if known == wanted else "stale", len(known), vectors, folder)
