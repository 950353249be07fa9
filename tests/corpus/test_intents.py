"""The phrases of requests: readable, and no phrase in two splits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from corpus import CourseError
from corpus.gold import SPLITS
from corpus.intents import load_requests


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def test_no_phrase_stands_in_two_splits() -> None:
    phrases = {split: {words(r.phrase) for r in load_requests(split)} for split in SPLITS}
    assert not phrases["train"] & phrases["dev"]
    assert not phrases["train"] & phrases["test"]
    assert not phrases["dev"] & phrases["test"]


def test_the_payload_stands_in_the_phrase_and_not_in_the_head(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text('{"tokens": ["cut {good morning} for me"]}')
    (request,) = load_requests("train", tmp_path)
    assert (request.phrase, request.head) == ("cut good morning for me", "cut for me")
    assert request.payload == "good morning"
    # In this order in every process: the classifier's place in the cache is made of them.
    assert request.forms == ("cut good morning for me", "cut for me")


@pytest.mark.parametrize("text", ['["a"]', '{"tokens": "a"}', '{"tokens": ["a"', "tokens: [a]"])
def test_a_file_that_is_no_mapping_to_phrases_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(CourseError, match="list of phrases"):
        load_requests("train", tmp_path)


def test_words_are_one_blank_apart() -> None:
    for request in load_requests("train"):
        assert request.head == " ".join(request.head.split())
