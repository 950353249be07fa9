from __future__ import annotations

import pytest

from corpus.gold import load_gold
from index.cards import KNOWN, NEAR, nearest_card
from index.retriever import Retriever


@pytest.mark.parametrize("id", ["6-train-03", "1-train-02", "12-train-05"])
def test_a_question_of_the_bank_finds_its_own_answer(retriever: Retriever, id: str) -> None:
    known = next(q for q in load_gold("train") if q.id == id)
    card = nearest_card(retriever, retriever.search(known.question, 3))
    assert card is not None and card.answer == known.answer
    assert card.passage.passage_id == known.section


def test_a_question_that_no_card_comes_near_has_none(retriever: Retriever) -> None:
    assert nearest_card(retriever, retriever.search("tell me about bananas", 3)) is None


def test_a_card_that_is_near_and_not_the_same_question_is_not_known(retriever: Retriever) -> None:
    asked = [question.question for question in load_gold("dev")[:16]]
    cards = [nearest_card(retriever, retriever.search(question, 3)) for question in asked]
    near = [card for card in cards if card and not card.known]
    assert near and all(NEAR <= card.cosine < KNOWN for card in near)


def test_known_questions_of_dev_belong_to_a_right_section(retriever: Retriever) -> None:
    found = [
        (question, card)
        for question in load_gold("dev")
        if not question.history
        and (card := nearest_card(retriever, retriever.search(question.question, 3)))
        and card.known
    ]
    assert len(found) >= 10
    right = [card.passage.passage_id in question.relevant for question, card in found]
    # Measured 48 of 49; the aim is 0.97.
    assert sum(right) >= 0.94 * len(right)
