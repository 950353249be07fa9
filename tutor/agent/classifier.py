"""Tells intents by a text's sentence vector and by its wording, trained once and kept in the cache.

Either is a regression of its own, and their log-probabilities are mixed. scikit-learn fits them;
deciding is a matrix product and a sum, so that the chat imports numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from corpus.intents import QUESTION, Request
from index.encoder import Vectors
from index.passages import digest
from index.retriever import Retriever
from index.shipped import ShippedEncoder
from tutor.agent.wording import Family, Wording, fitted

_VERSION = 9
_STRENGTH = 40.0
"""The inverse of the L2 penalty. Chosen on dev."""
_QUESTIONS = 6_000
_ASIDE_EVERY = 2
"""Of the questions that no lesson answers every second is learned from: they too are no request."""
_QUESTION_WEIGHT = 1.0
"""Of one question against one phrase. Chosen on dev: acting on a question is the worse error."""


_WORDING = 0.6
"""The share of the wording in the mixed log-probabilities; the rest is the vector's. Chosen on dev."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """`weights` (intents, 384) and `bias` (intents,) of a softmax over `intents`, and their wording."""

    intents: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    wording: Wording

    def decide(self, text: str, vector: Vectors) -> tuple[str, float]:
        """The likeliest intent of a text with this vector (384,), and its probability."""
        logits = self.weights @ vector + self.bias
        by_vector = logits - np.logaddexp.reduce(logits)
        mixed = (1 - _WORDING) * by_vector + _WORDING * self.wording.log_p(text)
        p = np.exp(mixed - mixed.max())
        best = int(p.argmax())
        return self.intents[best], float(p[best] / p.sum())

    @classmethod
    def trained(
        cls,
        requests: Sequence[Request],
        unanswered: Sequence[str],
        retriever: Retriever,
        cache: Path,
    ) -> Classifier:
        """The classifier of these phrases, of the retriever's bank and of questions that no lesson
        answers, from the cache if it is there."""
        bank = retriever.questions()
        every = max(len(bank) // _QUESTIONS, 1)
        asked = bank[::every]
        aside = unanswered[::_ASIDE_EVERY]
        learned = [part for r in requests for part in (r.intent, r.phrase, r.head)]
        told = digest([str(_VERSION), retriever.encoder.name, *learned, *asked, *aside])
        file = cache / "index" / f"intents-{told.hex()[:16]}.npz"
        if (kept := _read(file)) is not None:
            return kept
        texts = [text for request in requests for text in request.forms]
        labels = [request.intent for request in requests for _ in request.forms]
        file.parent.mkdir(parents=True, exist_ok=True)
        shipped = ShippedEncoder(retriever.encoder)
        with FileLock(cache / "index.lock"):
            # Another start may have fitted it while this one waited.
            if (kept := _read(file)) is not None:
                return kept
            known = np.concatenate([*map(retriever.question_vectors, retriever.passages)])[::every]
            found = _fit(
                [*texts, *aside, *asked],
                np.concatenate([shipped.encode([*texts, *aside]), known]),
                [*labels, *[QUESTION] * (len(aside) + len(asked))],
            )
            for old in file.parent.glob("intents-*.npz"):
                old.unlink(missing_ok=True)
            draft = file.with_name("intents.part.npz")
            np.savez(draft, **_arrays(found))  # type: ignore[arg-type]
            draft.replace(file)
        return found


def _arrays(classifier: Classifier) -> dict[str, NDArray[Any]]:
    """What is kept of it."""
    arrays: dict[str, NDArray[Any]] = {
        "intents": np.array(classifier.intents),
        "weights": classifier.weights,
        "bias": classifier.bias,
        "wording_bias": classifier.wording.bias,
    }
    for name, family in (("words", classifier.wording.words), ("parts", classifier.wording.parts)):
        arrays |= {f"{name}_{field.name}": getattr(family, field.name) for field in fields(family)}
    return arrays


def _read(file: Path) -> Classifier | None:
    try:
        with np.load(file, allow_pickle=False) as kept:
            words, parts = (
                Family(**{field.name: kept[f"{name}_{field.name}"] for field in fields(Family)})
                for name in ("words", "parts")
            )
            return Classifier(
                tuple(map(str, kept["intents"])),
                kept["weights"],
                kept["bias"],
                Wording(words, parts, kept["wording_bias"]),
            )
    # A missing or cut-off file is made anew; numpy and zipfile raise many types.
    except Exception:
        return None


def _fit(texts: Sequence[str], vectors: Vectors, labels: Sequence[str]) -> Classifier:
    from sklearn.linear_model import LogisticRegression

    weights = dict.fromkeys(labels, 1.0) | {QUESTION: _QUESTION_WEIGHT}
    model = LogisticRegression(C=_STRENGTH, max_iter=500, class_weight=weights)
    model.fit(vectors, labels)
    return Classifier(
        tuple(map(str, model.classes_)),
        model.coef_.astype(np.float32),
        model.intercept_.astype(np.float32),
        fitted(texts, labels),
    )
