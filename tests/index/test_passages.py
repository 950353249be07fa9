from __future__ import annotations

from dataclasses import replace

import pytest

from corpus import load_lessons
from corpus.gold import load_gold, states
from index.passages import passages_of, split_sentences, without_markup


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two.", ["One.", "Two."]),
        ("A 1.5 GB file. It fits.", ["A 1.5 GB file.", "It fits."]),
        ("Use words, e.g. Paris. Done.", ["Use words, e.g. Paris.", "Done."]),
        ("Why? Because!", ["Why?", "Because!"]),
        ("- first item\n- second item", ["- first item", "- second item"]),
        ("A line\nthat runs on.", ["A line that runs on."]),
        ("It reads: ... Answer: ... and on.", ["It reads: ... Answer: ... and on."]),
    ],
)
def test_sentences_are_cut_where_a_reader_would(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_no_text_of_a_lesson_is_lost_in_sentences() -> None:
    for passage in passages_of(load_lessons()):
        assert "".join("".join(passage.sentences).split()) == "".join(passage.text.split())


def test_markup_is_taken_off_but_snake_case_stays() -> None:
    assert without_markup("**bold** and `code` with top_p") == "bold and code with top_p"


def test_a_passage_cut_into_other_sentences_has_another_digest() -> None:
    passage = passages_of(load_lessons()[:1])[0]
    joined = (" ".join(passage.sentences[:2]), *passage.sentences[2:])
    assert replace(passage, sentences=joined).digest != passage.digest


def test_every_question_of_the_bank_points_to_the_sentences_that_state_its_facts() -> None:
    bank = load_gold("train")
    passages = passages_of(load_lessons(), bank)
    assert all(len(p.stated) == len(p.questions) for p in passages)
    card = next(c for c in bank if c.id == "6-train-03")
    passage = next(p for p in passages if p.passage_id == card.section)
    assert passage.stated[passage.questions.index(card.question)] == tuple(
        n
        for n, sentence in enumerate(passage.sentences)
        if any(states(sentence, fact) for fact in card.facts)
    )
