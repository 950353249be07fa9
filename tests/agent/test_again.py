from __future__ import annotations

import pytest

from corpus.gold import load_gold
from index.course import load_course
from index.passages import Passage
from tutor.agent.again import plainer, quizzed, shorter
from tutor.agent.turn import Acted, Done, Exchange
from tutor.agent.tutor import Tutor

BEFORE = Exchange(
    "What is a token?",
    "A token is a piece of text with a number. [1]\n\nThe number is its id. [1]",
    "4/what-is-a-token",
)
BANK = load_gold("train")


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    return list(load_course().passages)


def test_shorter_is_the_first_sentence_without_its_citation() -> None:
    assert shorter([BEFORE]).text == "In short: A token is a piece of text with a number."


def test_plainer_is_the_sections_opening_and_its_example(passages: list[Passage]) -> None:
    told = plainer([BEFORE], passages)
    section = next(p for p in passages if p.passage_id == BEFORE.passage_id)
    assert section.sentences[0] in told.text and told.passage_id == BEFORE.passage_id


def test_before_any_answer_both_say_what_to_do(passages: list[Passage]) -> None:
    assert "ask something first" in shorter([]).text
    assert "ask something first" in plainer([], passages).text


def test_a_quiz_asks_a_question_of_the_lesson_that_is_named() -> None:
    for seed in range(20):
        asked = quizzed("quiz me on lesson 12", [BEFORE], BANK, seed)
        assert asked.passage_id is not None and asked.passage_id.startswith("12/")


def test_a_lesson_that_is_not_there_is_not_asked_from() -> None:
    for number in ("0", "14", "fourteen hundred and 99"):
        asked = quizzed(f"quiz me on lesson {number}", [BEFORE], BANK, 1)
        assert ("There is no lesson" in asked.text) == number.isdecimal()


def test_a_quiz_without_a_lesson_stays_with_the_last_answers() -> None:
    asked = quizzed("ask me something", [BEFORE], BANK, 1)
    assert asked.passage_id is not None and asked.passage_id.startswith("4/")


def test_a_question_after_it_is_searched_in_the_section_that_was_said_again(tutor: Tutor) -> None:
    acted, done = tutor.ask("shorter please", [BEFORE])
    assert isinstance(acted, Acted) and isinstance(done, Done)
    assert done.answer.intent == "shorter"
    assert done.answer.exchange.topic == "what is a token"
    assert done.answer.sources[0].passage_id == BEFORE.passage_id
