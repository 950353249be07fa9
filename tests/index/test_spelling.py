from __future__ import annotations

import pytest

from index.retriever import Retriever


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("wat are residul conections", "wat are residual connections"),
        ("overfiting", "overfitting"),
        ("what is atention", "what is attention"),
    ],
)
def test_a_misspelled_word_becomes_the_courses_own(
    retriever: Retriever, typed: str, meant: str
) -> None:
    assert retriever.mended(typed) == meant


@pytest.mark.parametrize(
    "text",
    [
        "my grandmother likes bread",
        "GPT-4 vs Llama",
        "what is RoPE?",
        "what is a transistor",
        "is my modem a hamster",
    ],
)
def test_everyday_words_and_names_are_left_alone(retriever: Retriever, text: str) -> None:
    assert retriever.mended(text) == text
