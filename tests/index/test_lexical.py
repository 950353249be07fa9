from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bm25s import BM25

from index.lexical import Lexicon, content_words, terms

TEXTS = (
    "Temperature divides the logits before the softmax.",
    "A token is a piece of text with an id.",
    "The KV cache keeps keys and values of tokens that were read.",
)
QUERY = "which tokens does the cache keep"


def test_the_text_that_shares_most_words_scores_highest() -> None:
    assert Lexicon(TEXTS).scores(QUERY).argmax() == 2


def test_unknown_words_score_nothing() -> None:
    assert not Lexicon(TEXTS).scores("zebra quagga").any()


def test_the_share_of_known_words_is_counted_over_those_that_carry_meaning() -> None:
    assert Lexicon(TEXTS).known_share("the zebra of tokens") == 0.5


def test_the_texts_with_a_word_are_those_whose_content_words_it_is_among() -> None:
    lexicon = Lexicon(TEXTS)
    words = {word for text in TEXTS for word in content_words(text)}
    for word in words | {"zebra"}:
        expected = [n for n, text in enumerate(TEXTS) if word in content_words(text)]
        assert sorted(lexicon.texts_with(word)) == expected


@pytest.mark.parametrize("query", [QUERY, "token token a token of text", "the", "zebra"])
def test_the_scores_are_those_of_bm25s(query: str) -> None:
    reference = BM25(k1=1.2, b=0.5)
    reference.index([terms(text) for text in TEXTS], show_progress=False)
    known = [term for term in terms(query) if term in reference.vocab_dict]
    expected = reference.get_scores(known) if known else np.zeros(len(TEXTS))
    assert Lexicon(TEXTS).scores(query) == pytest.approx(expected)


def test_a_kept_index_is_read_and_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Lexicon(TEXTS, tmp_path).scores(QUERY)
    monkeypatch.setattr(BM25, "index", None)
    assert np.array_equal(Lexicon(TEXTS, tmp_path).scores(QUERY), expected)


def test_a_kept_index_of_other_texts_is_not_used(tmp_path: Path) -> None:
    Lexicon(TEXTS[::-1], tmp_path)
    assert Lexicon(TEXTS, tmp_path).scores(QUERY).argmax() == 2


@pytest.mark.parametrize("left", [0.0, 0.5])
def test_a_kept_index_that_is_cut_off_is_made_again(tmp_path: Path, left: float) -> None:
    expected = Lexicon(TEXTS, tmp_path).scores(QUERY)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: int(left * len(whole))])
    assert np.array_equal(Lexicon(TEXTS, tmp_path).scores(QUERY), expected)
    assert file.stat().st_size == len(whole)
    assert np.array_equal(Lexicon(TEXTS, tmp_path).scores(QUERY), expected)
