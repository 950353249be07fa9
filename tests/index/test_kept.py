from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from index.encoder import Vectors
from index.kept import keep_vectors, kept_vectors

KEYS = ["an encoder", "one text", "another"]


@pytest.fixture
def vectors() -> Vectors:
    return np.random.default_rng(0).normal(size=(2, 384)).astype(np.float32)


def test_what_was_kept_is_read(tmp_path: Path, vectors: Vectors) -> None:
    keep_vectors(tmp_path, "some", KEYS, vectors)
    np.testing.assert_array_equal(kept_vectors(tmp_path, "some", KEYS), vectors)


def test_it_is_mapped_from_the_file_and_cannot_be_written_to(
    tmp_path: Path, vectors: Vectors
) -> None:
    keep_vectors(tmp_path, "some", KEYS, vectors)
    kept = kept_vectors(tmp_path, "some", KEYS)
    assert kept is not None
    with pytest.raises(ValueError, match="read-only"):
        kept[0, 0] = 1.0


@pytest.mark.parametrize(("name", "keys"), [("other", KEYS), ("some", KEYS[::-1])])
def test_what_was_kept_under_another_name_or_for_other_keys_is_not_given(
    tmp_path: Path, vectors: Vectors, name: str, keys: list[str]
) -> None:
    keep_vectors(tmp_path, "some", KEYS, vectors)
    assert kept_vectors(tmp_path, name, keys) is None


def test_keeping_leaves_one_file(tmp_path: Path, vectors: Vectors) -> None:
    keep_vectors(tmp_path, "some", KEYS, vectors)
    keep_vectors(tmp_path, "some", KEYS, vectors * 2)
    keep_vectors(tmp_path, "some", KEYS[:2], vectors[:1])
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("some-")


def flipped(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", flipped])
def test_what_is_cut_off_or_has_another_bit_is_not_given(
    tmp_path: Path, vectors: Vectors, damage: Callable[[bytes], bytes]
) -> None:
    keep_vectors(tmp_path, "some", KEYS, vectors)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert kept_vectors(tmp_path, "some", KEYS) is None
