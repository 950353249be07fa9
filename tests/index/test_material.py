from __future__ import annotations

from corpus.gold import load_gold
from index.cards import nearest_card
from index.evidence import Evidence
from index.lexical import content_words
from index.material import (
    NOTES,
    SENTENCES,
    Material,
    gathered,
    repeats,
)
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
    found = material(retriever, "Are bananas yellow?")
    assert found.card is None and len(found.picked) == SENTENCES + 1
    assert set(found.notes) < {without_markup(e.sentence) for e in found.picked}


def test_the_notes_are_the_sentences_that_fit_best_in_reading_order(retriever: Retriever) -> None:
    found = material(retriever, "Are bananas yellow?")
    scores = sorted((e.score for e in found.picked), reverse=True)
    best = [without_markup(e.sentence) for e in found.picked if e.score >= scores[NOTES - 1]]
    assert list(found.notes) == best


def test_no_note_repeats_a_run_of_words_of_another(retriever: Retriever) -> None:
    passage = retriever.passages[0]
    told = "A model is a function from an input to an output whose behaviour is learned."
    again = "Recall that a model is a function from an input to an output."
    new = "A thermometer's scale is a model too."
    picked = tuple(
        Evidence(passage, text, score) for text, score in ((told, 3), (again, 2), (new, 1))
    )
    assert Material(None, picked).notes == (told, new)


def test_a_quote_that_was_cut_is_a_sentence_of_its_own_among_the_notes(
    retriever: Retriever,
) -> None:
    quote = Evidence(retriever.passages[0], "… a model does not see the letters.", 1)
    assert Material(None, (quote,)).notes == ("A model does not see the letters.",)


def test_two_texts_repeat_each_other_from_eight_words_in_a_row_on() -> None:
    assert repeats(
        "one two three four five six seven eight", "ONE two, three four five six seven eight!"
    )
    assert not repeats("one two three four five six seven", "one two three four five six seven")


def test_an_open_question_is_answered_without_another_questions_yes_or_no(
    retriever: Retriever,
) -> None:
    asked = [q for q in load_gold("train") if q.kind == "yes-no"][:120]
    for question in (f"how come {q.question}" for q in asked):
        found = material(retriever, question)
        texts = [e.sentence for e in found.picked] + ([found.card.answer] if found.card else [])
        assert not [text for text in texts if text.startswith(("Yes,", "No,"))]


def test_a_question_the_other_way_round_is_answered_without_the_known_ones_yes_or_no(
    retriever: Retriever,
) -> None:
    known = material(retriever, "is it impossible to beat a giant model with a small one?").card
    turned = material(retriever, "can a tiny model ever beat a giant one").card
    assert known is not None and known.answer.startswith("No, ")
    assert turned is not None and not turned.answer.startswith(("Yes, ", "No, "))


def test_beside_a_card_no_quote_begins_with_a_yes_or_no_of_its_own(retriever: Retriever) -> None:
    for question in [q.question for q in load_gold("train") if q.kind == "yes-no"][:120]:
        found = material(retriever, question)
        assert found.card is not None
        assert not [e for e in found.picked if e.sentence.startswith(("Yes,", "No,"))]
