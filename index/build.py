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

from corpus import Lesson
from index.encoder import Encoder, Vectors, prepared_encoder
from index.passages import Passage, passages_of
from index.store import VectorStore

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
    sentences: int
    path: Path


def build(
    lessons: Sequence[Lesson], cache: Path, progress: Callable[[float], None] | None = None
) -> BuildReport:
    """Brings the index up to date with the lessons."""
    began = time.perf_counter()
    report = progress or (lambda done: None)
    encoder = prepared_encoder(cache, lambda done: report(done / 2))
    added, removed, unchanged = _update(passages_of(lessons), cache, encoder, report)[:3]
    report(1.0)
    return BuildReport(added, removed, unchanged, time.perf_counter() - began)


def indexed_vectors(
    passages: Sequence[Passage],
    cache: Path,
    encoder: Encoder,
    progress: Callable[[float], None] | None = None,
) -> list[Vectors]:
    """The vectors of each passage, in order, from an index brought up to date.

    They are also kept as one array file named by the lessons' digest: reading it takes a
    millisecond, where opening Chroma takes half a second of every start.
    """
    snapshot = cache / "index" / "vectors.npz"
    try:
        with np.load(snapshot, allow_pickle=False) as kept:
            if list(kept["digests"]) == [p.digest for p in passages]:
                return np.split(kept["vectors"], kept["ends"][:-1])
    # A missing, cut-off or foreign snapshot is written anew; numpy and zipfile raise many types.
    except Exception:
        pass
    vectors = _update(passages, cache, encoder, progress or (lambda done: None))[3]
    found = [vectors[passage.passage_id] for passage in passages]
    draft = snapshot.with_name("vectors.part.npz")
    with FileLock(cache / "index.lock"):
        np.savez(
            draft,
            vectors=np.concatenate(found),
            ends=np.cumsum([len(v) for v in found]),
            digests=np.array([p.digest for p in passages]),
        )
        draft.replace(snapshot)
    return found


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
            return _synchronise(passages, folder, encoder, report)


def _discard(folder: Path) -> None:
    from chromadb.api.client import SharedSystemClient

    # Chroma keeps one system a path for the process; without this the old files stay open.
    SharedSystemClient.clear_system_cache()
    shutil.rmtree(folder, ignore_errors=True)


def _synchronise(
    passages: Sequence[Passage], folder: Path, encoder: Encoder, report: Callable[[float], None]
) -> tuple[int, int, int, dict[str, Vectors]]:
    folder.mkdir(parents=True, exist_ok=True)
    store = VectorStore(folder / "chroma")
    known = store.digests()
    wanted = {passage.passage_id: passage.digest for passage in passages}
    gone = [id for id, digest in known.items() if wanted.get(id) != digest]
    new = [p for p in passages if known.get(p.passage_id) != p.digest]
    store.remove(gone)
    for start in range(0, len(new), _STEP):
        store.add(new[start : start + _STEP], encoder)
        report(0.5 + 0.5 * min(start + _STEP, len(new)) / len(new))
    vectors = store.vectors()
    for passage in passages:
        if len(vectors[passage.passage_id]) != 2 + len(passage.sentences):
            raise ValueError(f"{passage.passage_id} is stored in part")
    store.close()
    return len(new), len(gone), len(passages) - len(new), vectors


def status(cache: Path, lessons: Sequence[Lesson]) -> IndexStatus:
    """How the index stands; changes nothing."""
    folder = cache / "index"
    if not (folder / "chroma").exists():
        return IndexStatus("missing", 0, 0, folder)
    with FileLock(cache / "index.lock"):
        try:
            store = VectorStore(folder / "chroma")
            known = store.digests()
            sentences = sum(len(v) - 2 for v in store.vectors().values())
            store.close()
        except Exception:  # see _update
            return IndexStatus("damaged", 0, 0, folder)
    wanted = {passage.passage_id: passage.digest for passage in passages_of(lessons)}
    return IndexStatus("ready" if known == wanted else "stale", len(known), sentences, folder)
