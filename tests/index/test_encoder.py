from __future__ import annotations

import numpy as np
import pytest

from index.export import adapted
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
