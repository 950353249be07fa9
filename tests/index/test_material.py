from __future__ import annotations

from index.cards import nearest_card
from index.lexical import content_words
from index.material import NOTES, SENTENCES, Material, gathered
from index.passages import without_markup
from index.retriever import Retriever


def material(retriever: Retriever, question: str) -> Material:
    return gathered(retriever, retriever.search(question, 3))


def test_a_known_questions_answer_is_the_first_note(retriever: Retriever) -> None:
    question = "What is a model?"
    found = material(retriever, question)
    card = nearest_card(retriever, retriever.search(question, 3))
    assert card is not None and found.card == card
    assert found.notes[0] == without_markup(card.answer) and len(found.notes) == NOTES


def test_what_the_card_says_is_not_said_again_beside_it(retriever: Retriever) -> None:
    found = material(retriever, "What is a model?")
    assert found.card is not None and len(found.picked) == SENTENCES
    said = set(content_words(found.card.answer))
    for picked in found.picked:
        words = set(content_words(picked.sentence))
        assert len(words & said) < 0.8 * len(words), picked.sentence


def test_without_a_card_one_sentence_more_is_picked(retriever: Retriever) -> None:
    found = material(retriever, "tell me about bananas")
    assert found.card is None and len(found.picked) == SENTENCES + 1
    assert found.notes == tuple(without_markup(e.sentence) for e in found.picked)[:NOTES]
