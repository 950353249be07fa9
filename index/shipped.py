"""The vectors of the course's own texts, computed once and shipped: nobody waits for them again.

They belong to one encoder, by name; with another one, and for a text that has changed since, the
vector is computed. A vector is kept as 384 signed bytes and a scale, which moves a cosine by under
0.002 (tests/index/test_shipped.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpus.intents import load_requests
from index.course import load_course
from index.encoder import DIMENSIONS, Encoder, Vectors
from index.export import ADAPTER

FILE = ADAPTER / "vectors.npz"
"""`encoder`: its name; `keys` (n, 8): digests of the texts; `bytes` (n, 384) and `scales` (n,)."""
_STEP = 256


class ShippedEncoder:
    """An encoder that looks up what was shipped and computes the rest."""

    def __init__(self, encoder: Encoder, file: Path = FILE) -> None:
        self.encoder = encoder
        self._known = _read(file, encoder.name)

    def has(self, text: str) -> bool:
        """Whether the text's vector was shipped."""
        return _key(text) in self._known

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (len(texts), 384), float32, of length one."""
        found = [self._known.get(_key(text)) for text in texts]
        missing = [n for n, vector in enumerate(found) if vector is None]
        computed = self.encoder.encode([texts[n] for n in missing])
        for n, vector in zip(missing, computed, strict=True):
            found[n] = vector
        return np.array(found, dtype=np.float32).reshape(len(texts), DIMENSIONS)


def course_texts() -> list[str]:
    """Every text of ours that is ever encoded: passages, unanswered questions, requests."""
    course = load_course()
    texts = [text for passage in course.passages for text in passage.texts]
    texts += course.unanswered
    texts += [text for request in load_requests("train") for text in request.forms]
    return list(dict.fromkeys(texts))


def ship(
    texts: Sequence[str],
    encoder: Encoder,
    progress: Callable[[float], None] = lambda done: None,
    file: Path = FILE,
) -> None:
    """Leaves the vectors of these texts in `file`; those that stand there already are kept."""
    known = ShippedEncoder(encoder, file)
    vectors = []
    for start in range(0, len(texts), _STEP):
        vectors.append(known.encode(texts[start : start + _STEP]))
        progress(min((start + _STEP) / len(texts), 1.0))
    exact = np.concatenate(vectors)
    scales = np.abs(exact).max(axis=1) / 127
    draft = file.with_suffix(".part.npz")
    np.savez_compressed(
        draft,
        encoder=np.array(encoder.name),
        keys=np.stack([np.frombuffer(_key(text), dtype=np.uint8) for text in texts]),
        bytes=np.round(exact / scales[:, None]).astype(np.int8),
        scales=scales.astype(np.float32),
    )
    draft.replace(file)
    _read.cache_clear()


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


@cache
def _read(file: Path, name: str) -> dict[bytes, NDArray[np.float32]]:
    """The vectors by key; none where the file is of another encoder or is not there."""
    if not file.exists():
        return {}
    with np.load(file, allow_pickle=False) as kept:
        if str(kept["encoder"]) != name:
            return {}
        vectors = kept["bytes"].astype(np.float32) * kept["scales"][:, None]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return {key.tobytes(): vector for key, vector in zip(kept["keys"], vectors, strict=True)}
