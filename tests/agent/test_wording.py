from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier

from corpus.intents import load_requests
from tutor.agent.wording import Wording, fitted, parts, words

INTENTS = ("tokens", "attention", "network", "quiz")


@pytest.fixture(scope="module")
def phrases() -> tuple[list[str], list[str]]:
    some = [r for r in load_requests("train") if r.intent in INTENTS]
    return [r.phrase for r in some], [r.intent for r in some]


@pytest.fixture(scope="module")
def wording(phrases: tuple[list[str], list[str]]) -> Wording:
    return fitted(*phrases)


def test_the_probabilities_are_scikit_learns(
    wording: Wording, phrases: tuple[list[str], list[str]]
) -> None:
    known = (
        TfidfVectorizer(analyzer=g, min_df=n, sublinear_tf=True)
        for g, n in ((words, 2), (parts, 3))
    )
    vectorizers = list(known)
    features = hstack([v.fit_transform(phrases[0]) for v in vectorizers])
    models = [
        SGDClassifier(
            loss="log_loss", alpha=3e-6, max_iter=10, tol=None, average=True, random_state=order
        ).fit(features, phrases[1])
        for order in range(3)
    ]
    reference = models[0]
    reference.coef_ = np.mean([model.coef_ for model in models], axis=0)
    reference.intercept_ = np.mean([model.intercept_ for model in models], axis=0)
    asked = [r.phrase for r in load_requests("dev")][:60]
    expected = reference.predict_proba(hstack([v.transform(asked) for v in vectorizers]))
    found = np.exp([wording.log_p(text) for text in asked])
    assert found == pytest.approx(expected, abs=0.02)


def test_a_rare_word_gives_the_request_away(wording: Wording) -> None:
    best = sorted(INTENTS)[int(wording.log_p("some cells and XOR while we look on").argmax())]
    assert best == "network"


def test_a_misspelled_word_shares_its_parts() -> None:
    assert len(set(parts("tokenise")) & set(parts("tokennise"))) >= 10


def test_a_text_of_unknown_letters_has_probabilities_too(wording: Wording) -> None:
    for text in ("", "ψψψψψ", " \n"):
        assert np.exp(wording.log_p(text)).sum() == pytest.approx(1, abs=1e-4)


def test_words_are_counted_alone_and_with_their_neighbour() -> None:
    assert words("Show me, please!") == ["show", "me", "please", "show me", "me please"]
