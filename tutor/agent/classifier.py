"""A softmax regression from sentence vectors to intents, trained once and kept in the cache.

scikit-learn fits it; deciding is one matrix product, so that the chat imports numpy only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from corpus.intents import QUESTION, Request
from index.encoder import Vectors
from index.passages import unanswered
from index.retriever import Retriever
from index.shipped import ShippedEncoder

_VERSION = 6
_STRENGTH = 40.0
"""The inverse of the L2 penalty. Chosen on dev."""
_QUESTIONS = 6_000
_ASIDE_EVERY = 2
"""Of the questions that no lesson answers every second is learned from: they too are no request."""
_QUESTION_WEIGHT = 1.0
"""Of one question against one phrase. Chosen on dev: acting on a question is the worse error."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """`weights` (intents, 384) and `bias` (intents,) of a softmax over `intents`."""

    intents: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def decide(self, vector: Vectors) -> tuple[str, float]:
        """The likeliest intent of a text's vector (384,), and its probability."""
        logits = self.weights @ vector + self.bias
        p = np.exp(logits - logits.max())
        best = int(p.argmax())
        return self.intents[best], float(p[best] / p.sum())

    @classmethod
    def trained(cls, requests: Sequence[Request], retriever: Retriever, cache: Path) -> Classifier:
        """The classifier of these phrases and the retriever's bank, from the cache if it is there."""
        bank = retriever.questions()
        questions = bank[:: max(len(bank) // _QUESTIONS, 1)]
        texts = [text for request in requests for text in request.forms]
        labels = [request.intent for request in requests for _ in request.forms]
        asked = [text for text, _ in questions]
        aside = unanswered()[::_ASIDE_EVERY]
        told = "\n".join([str(_VERSION), retriever.encoder.name, *texts, *labels, *asked, *aside])
        file = cache / "index" / f"intents-{hashlib.sha256(told.encode()).hexdigest()[:16]}.npz"
        if (kept := _read(file)) is not None:
            return kept
        file.parent.mkdir(parents=True, exist_ok=True)
        shipped = ShippedEncoder(retriever.encoder)
        with FileLock(cache / "index.lock"):
            # Another start may have fitted it while this one waited.
            if (kept := _read(file)) is not None:
                return kept
            found = _fit(
                np.concatenate([shipped.encode([*texts, *aside]), [v for _, v in questions]]),
                [*labels, *[QUESTION] * (len(aside) + len(questions))],
            )
            for old in file.parent.glob("intents-*.npz"):
                old.unlink(missing_ok=True)
            draft = file.with_name("intents.part.npz")
            np.savez(draft, intents=np.array(found.intents), weights=found.weights, bias=found.bias)
            draft.replace(file)
        return found


def _read(file: Path) -> Classifier | None:
    try:
        with np.load(file, allow_pickle=False) as kept:
            return Classifier(tuple(map(str, kept["intents"])), kept["weights"], kept["bias"])
    # A missing or cut-off file is made anew; numpy and zipfile raise many types.
    except Exception:
        return None


def _fit(vectors: Vectors, labels: Sequence[str]) -> Classifier:
    from sklearn.linear_model import LogisticRegression

    weights = dict.fromkeys(labels, 1.0) | {QUESTION: _QUESTION_WEIGHT}
    model = LogisticRegression(C=_STRENGTH, max_iter=500, class_weight=weights)
    model.fit(vectors, labels)
    return Classifier(
        tuple(map(str, model.classes_)),
        model.coef_.astype(np.float32),
        model.intercept_.astype(np.float32),
    )
