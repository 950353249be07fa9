"""What a text wants by its very letters: a regression over words, pairs of words and parts of words.

Sentence vectors know what phrases have in common, and pass over the one rare word ("XOR") that gives
a request away. scikit-learn fits the weights; deciding needs numpy only.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_PARTS = (3, 4, 5)
"""Characters of the parts of words, the blanks around a word among them: misspelled words share most."""
_LEAST = (2, 3)
"""Texts that a word or pair, and a part of a word, must stand in to count."""
_PENALTY = 3e-6
_EPOCHS = 10

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Family:
    """Grams of one kind: their columns, what each counts (idf, shape (grams,)), and the weights
    (intents, grams)."""

    columns: dict[str, int]
    idf: Floats
    weights: Floats

    def logits(self, grams: Sequence[str]) -> Floats:
        """The weights of a text's grams, which count by logarithm and together have length one."""
        known = [(self.columns[g], n) for g, n in Counter(grams).items() if g in self.columns]
        if not known:
            return np.zeros(len(self.weights), dtype=np.float32)
        at = np.array([column for column, _ in known])
        values = self.idf[at] * np.array([1 + math.log(n) for _, n in known], dtype=np.float32)
        return self.weights[:, at] @ (values / np.linalg.norm(values))


@dataclass(frozen=True, slots=True)
class Wording:
    """One logistic regression an intent over both families; `bias` is of shape (intents,)."""

    words: Family
    parts: Family
    bias: Floats

    def log_p(self, text: str) -> Floats:
        """Natural log-probabilities of the intents, shape (intents,)."""
        logits = self.words.logits(words(text)) + self.parts.logits(parts(text)) + self.bias
        each = -np.logaddexp(0, -logits)
        found: Floats = each - np.logaddexp.reduce(each)
        return found


def words(text: str) -> list[str]:
    """The words of a text and every two neighbours."""
    found = _WORD.findall(text.lower())
    return [*found, *(f"{a} {b}" for a, b in pairwise(found))]


def parts(text: str) -> list[str]:
    """The parts of the words of a text."""
    return [
        padded[at : at + n]
        for padded in (f" {word} " for word in text.lower().split())
        for n in _PARTS
        for at in range(len(padded) - n + 1)
    ]


def fitted(texts: Sequence[str], labels: Sequence[str]) -> Wording:
    """The regression of these labels, the intents in alphabetical order."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier

    grams: tuple[Callable[[str], list[str]], ...] = (words, parts)
    vectorizers = [
        TfidfVectorizer(analyzer=family, min_df=least, sublinear_tf=True)
        for family, least in zip(grams, _LEAST, strict=True)
    ]
    features = hstack([vectorizer.fit_transform(texts) for vectorizer in vectorizers]).tocsr()
    model = SGDClassifier(
        loss="log_loss",
        alpha=_PENALTY,
        max_iter=_EPOCHS,
        tol=None,
        average=True,
        random_state=0,
    )
    model.fit(features, labels)
    # As they are kept, so that the first start decides as the later ones do.
    weights = model.coef_.astype(np.float16).astype(np.float32)
    n = len(vectorizers[0].vocabulary_)
    of_words, of_parts = (
        Family(
            {gram: int(column) for gram, column in vectorizer.vocabulary_.items()},
            vectorizer.idf_.astype(np.float32),
            part,
        )
        for vectorizer, part in zip(vectorizers, (weights[:, :n], weights[:, n:]), strict=True)
    )
    return Wording(of_words, of_parts, model.intercept_.astype(np.float32))
