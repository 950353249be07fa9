from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from index.encoder import prepared_encoder
from index.export import adapted, encoder_name
from index.retriever import Retriever

TEXTS = ["token", "What does top_p do?", "The loss goes down. " * 10, "attention " * 400]


def test_vectors_equal_those_of_sentence_transformers(retriever: Retriever) -> None:
    theirs = adapted().encode(TEXTS, normalize_embeddings=True)
    ours = np.stack([retriever.encoder.encode([text])[0] for text in TEXTS])
    assert np.abs(ours - theirs).max() < 1e-4


def test_a_batch_gives_the_vectors_of_its_texts_in_order(retriever: Retriever) -> None:
    together = retriever.encoder.encode(TEXTS)
    single = np.concatenate([retriever.encoder.encode([text]) for text in TEXTS])
    assert together == pytest.approx(single, abs=1e-5)


@pytest.mark.parametrize("cut_off", [".onnx", ".onnx.data"])
def test_an_encoder_whose_graph_or_weights_are_cut_off_is_exported_again(
    retriever: Retriever, cache: Path, tmp_path: Path, cut_off: str
) -> None:
    made = cache / "encoder"
    own = tmp_path / "encoder"
    own.mkdir()
    sizes = {}
    for suffix in (".onnx", ".onnx.data"):
        name = f"{encoder_name()}{suffix}"
        shutil.copy(made / name, own / name)
        sizes[name] = (own / name).stat().st_size
    damaged = own / f"{encoder_name()}{cut_off}"
    os.truncate(damaged, sizes[damaged.name] // 2)
    found = prepared_encoder(tmp_path).encode(TEXTS)
    assert found == pytest.approx(retriever.encoder.encode(TEXTS), abs=1e-5)
    for name, size in sizes.items():
        # Not to the byte: the exporter notes where it was called from.
        assert (own / name).stat().st_size == pytest.approx(size, rel=1e-2)
