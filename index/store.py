"""The vector store: one Chroma collection of sentence vectors, kept beside the passages' digests.

A passage's vectors are those of its `texts`. The vectors are always our own: Chroma's default embedding function would download a model.
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
SCHEMA = 2
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

    def digests(self) -> dict[str, str]:
        """The digest of every stored passage by its id."""
        rows = self._collection.get(where={"place": 0}, include=["metadatas"])
        return {row["passage_id"]: row["digest"] for row in rows["metadatas"]}

    def remove(self, passage_ids: Sequence[str]) -> None:
        if passage_ids:
            self._collection.delete(where={"passage_id": {"$in": list(passage_ids)}})

    def add(self, passages: Sequence[Passage], encoder: ShippedEncoder) -> None:
        """Embeds and stores passages that are not there yet."""
        texts, ids, rows = [], [], []
        for passage in passages:
            for place, text in enumerate(passage.texts):
                texts.append(text)
                ids.append(f"{passage.passage_id}#{place}")
                rows.append(
                    {
                        "passage_id": passage.passage_id,
                        "digest": passage.digest,
                        "place": place,
                        "lesson": passage.lesson,
                    }
                )
        if texts:
            self._collection.add(ids=ids, embeddings=encoder.encode(texts), metadatas=rows)

    def vectors(self) -> dict[str, Vectors]:
        """Each passage's vectors, (2 + sentences + questions, 384), in the order of `add`."""
        rows = self._collection.get(include=["embeddings", "metadatas"])
        grouped: dict[str, dict[int, Any]] = {}
        for vector, row in zip(rows["embeddings"], rows["metadatas"], strict=True):
            grouped.setdefault(row["passage_id"], {})[row["place"]] = vector
        return {
            id: np.array([places[n] for n in range(len(places))], dtype=np.float32)
            for id, places in grouped.items()
        }
