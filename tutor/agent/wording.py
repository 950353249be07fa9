"""What a text wants by its very letters: a regression over words, pairs of words and parts of words.

Sentence vectors know what phrases have in common, and pass over the one rare word ("XOR") that gives
a request away. scikit-learn fits the weights; deciding needs numpy only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from index.lexical import term_keys

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

_WORD = re.compile(r"\w+")
_PARTS = (3, 4, 5)
"""Characters of the parts of words, the blanks around a word among them: misspelled words share most."""
_LEAST = (2, 3)
"""Texts that a word or pair, and a part of a word, must stand in to count."""
_PENALTY = 3e-6
_EPOCHS = 10
_ORDERS = 3
"""Orders in which the texts are passed: what one of them happens to give is not left to decide."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Family:
    """Grams of one kind, what each counts (idf, shape (grams,)), and its weights (grams, intents).

    They are known by their keys, in order: a dictionary of them would be made at every start.
    """

    keys: NDArray[np.uint64]
    idf: Floats
    weights: NDArray[np.float16]

    def logits(self, grams: Sequence[str]) -> Floats:
        """The weights of a text's grams, which count by logarithm and together have length one."""
        counted = Counter(grams)
        keys = term_keys(counted)
        at = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        known = self.keys[at] == keys
        if not known.any():
            return np.zeros(self.weights.shape[1], dtype=np.float32)
        counts = np.array(list(counted.values()), dtype=np.float32)[known]
        values = self.idf[at[known]] * (1 + np.log(counts))
        return (values / np.linalg.norm(values)) @ self.weights[at[known]].astype(np.float32)


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
    """The mean regression of these labels, the intents in alphabetical order."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier

    grams: tuple[Callable[[str], list[str]], ...] = (words, parts)
    vectorizers = [
        TfidfVectorizer(analyzer=family, min_df=least, sublinear_tf=True)
        for family, least in zip(grams, _LEAST, strict=True)
    ]
    features = hstack([vectorizer.fit_transform(texts) for vectorizer in vectorizers]).tocsr()
    models = [
        SGDClassifier(
            loss="log_loss",
            alpha=_PENALTY,
            max_iter=_EPOCHS,
            tol=None,
            average=True,
            random_state=order,
        ).fit(features, labels)
        for order in range(_ORDERS)
    ]
    coef = np.stack([model.coef_ for model in models]).mean(axis=0)
    bias = np.stack([model.intercept_ for model in models]).mean(axis=0).astype(np.float32)
    n = len(vectorizers[0].vocabulary_)
    of_words, of_parts = map(_family, vectorizers, (coef[:, :n], coef[:, n:]))
    return Wording(of_words, of_parts, bias)


def _family(vectorizer: TfidfVectorizer, weights: NDArray[np.float64]) -> Family:
    keys = term_keys(vectorizer.vocabulary_)
    order = np.argsort(keys)
    columns = np.array(list(vectorizer.vocabulary_.values()))[order]
    return Family(
        keys[order],
        vectorizer.idf_[columns].astype(np.float32),
        weights.T[columns].astype(np.float16),
    )
