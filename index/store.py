"""The vector store: one Chroma collection of sentence vectors, kept beside the passages' digests.

A passage's vectors are those of its `texts`, and always our own: Chroma's default embedding function
would download a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from index.encoder import Vectors
from index.passages import Passage
from index.shipped import ShippedEncoder

COLLECTION = "lesson-sentences"
SCHEMA = 3
"""Raised when the stored vectors mean something else; an index of another schema, or by another
encoder, is rebuilt."""


# Every search is exact and over all vectors (index.retriever), so Chroma's graph need not be good:
# a small one is built in a third of the time.
_GRAPH = {"hnsw:space": "cosine", "hnsw:construction_ef": 10, "hnsw:M": 4}


class OtherVersionError(Exception):
    """The index holds other vectors than those that are asked for."""


class VectorStore:
    """Vectors of passages by passage id. Not safe for several processes: index.build locks."""

    def __init__(self, folder: Path, encoder: str) -> None:
        """`encoder` names whose vectors these are. Raises OtherVersionError where they are not."""
        import chromadb

        self._client = chromadb.PersistentClient(
            path=str(folder), settings=chromadb.Settings(anonymized_telemetry=False)
        )
        self._collection: Any = self._client.get_or_create_collection(
            COLLECTION,
            embedding_function=None,
            metadata={**_GRAPH, "schema": SCHEMA, "encoder": encoder},
        )
        stored = self._collection.metadata or {}
        if (stored.get("schema"), stored.get("encoder")) != (SCHEMA, encoder):
            self._client.close()
            raise OtherVersionError("the index was made by another version")

    def close(self) -> None:
        self._client.close()

    def __len__(self) -> int:
        return int(self._collection.count())

    def digests(self) -> dict[str, str]:
        """The digest of every stored passage by its id."""
        return {id: row["digest"] for id, row in self._firsts().items()}

    def remove(self, passage_ids: Sequence[str]) -> None:
        firsts = self._firsts()
        if ids := [_id(id, n) for id in passage_ids for n in range(firsts[id]["vectors"])]:
            self._collection.delete(ids)

    def add(self, passages: Sequence[Passage], encoder: ShippedEncoder) -> None:
        """Embeds and stores passages that are not there yet."""
        texts: list[str] = []
        ids: list[str] = []
        rows: list[dict[str, str | int] | None] = []
        for passage in passages:
            n = len(passage.texts)
            texts += passage.texts
            ids += (_id(passage.passage_id, place) for place in range(n))
            # Metadata of every vector would be most of the work.
            rows += [{"digest": passage.digest, "vectors": n}, *[None] * (n - 1)]
        if texts:
            self._collection.add(ids=ids, embeddings=encoder.encode(texts), metadatas=rows)

    def vectors(self) -> dict[str, Vectors]:
        """Each passage's vectors, (2 + sentences + questions, 384), in the order of `add`."""
        rows = self._collection.get(include=["embeddings"])
        place = {id: n for n, id in enumerate(rows["ids"])}
        return {
            id: np.array(
                [rows["embeddings"][place[_id(id, n)]] for n in range(row["vectors"])],
                dtype=np.float32,
            )
            for id, row in self._firsts().items()
        }

    def _firsts(self) -> dict[str, Any]:
        """The metadata of every stored passage's first vector, by the passage's id."""
        rows = self._collection.get(where={"vectors": {"$gt": 0}}, include=["metadatas"])
        return {
            id.rpartition("#")[0]: row
            for id, row in zip(rows["ids"], rows["metadatas"], strict=True)
        }


def _id(passage_id: str, place: int) -> str:
    return f"{passage_id}#{place}"
