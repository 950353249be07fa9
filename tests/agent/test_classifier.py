"""The fitted classifier is kept in the cache, and made again where that is cut off."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from corpus.intents import load_requests
from index.course import load_course
from index.retriever import Retriever
from tutor.agent.classifier import Classifier


def test_a_classifier_that_is_cut_off_is_fitted_again(
    tmp_path: Path, cache: Path, retriever: Retriever
) -> None:
    requests, unanswered = load_requests("train"), load_course().unanswered
    first = Classifier.trained(requests, unanswered, retriever, cache)
    kept = max((cache / "index").glob("intents-*.npz"), key=lambda file: file.stat().st_mtime)
    own = tmp_path / "index" / kept.name
    own.parent.mkdir()
    shutil.copyfile(kept, own)
    own.write_bytes(own.read_bytes()[: own.stat().st_size // 2])
    again = Classifier.trained(requests, unanswered, retriever, tmp_path)
    assert again.intents == first.intents
    np.testing.assert_allclose(again.weights, first.weights, atol=1e-3)
    assert own.stat().st_size == kept.stat().st_size
