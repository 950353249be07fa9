from __future__ import annotations

import pytest

from index.verdict import asks_openly, same_verdict, without_verdict


@pytest.mark.parametrize(
    "question",
    [
        "How does a seed work?",
        "ok so what would you pick",
        "My bot turns into word salad. Why?",
        "up to what size do folks call one small?",
        "There's no message, so how would I spot that",
        "Tell me everything about attention",
        "The one with the experts",
    ],
)
def test_what_yes_or_no_cannot_answer_asks_openly(question: str) -> None:
    assert asks_openly(question)


@pytest.mark.parametrize(
    "question",
    [
        "Does a model know what it says?",
        "They work the way our heads do, true?",
        "For sorting mails, is a little one really a match?",
        "and can it count",
    ],
)
def test_a_question_for_yes_or_no_does_not_ask_openly(question: str) -> None:
    assert not asks_openly(question)


def test_a_verdict_is_cut_and_the_cut_of_a_quote_is_shown() -> None:
    assert without_verdict("No, a model forgets.") == "A model forgets."
    assert without_verdict("Yes, it can.", "… ") == "… it can."
    assert without_verdict("No person chooses them.") == "No person chooses them."


@pytest.mark.parametrize(
    ("question", "known"),
    [
        ("is a model a zip file of its training data", "Isn't a model just a compressed copy?"),
        ("So it is one big table, isn't it?", "Is a language model a database of facts?"),
        ("did it learn something in between, no?", "Has the model learned something?"),
        ("Can a base model answer without training?", "can it answer without any training"),
        ("is 82 out of 100 better than 80", "Is 82 out of 100 better than 80 out of 100?"),
    ],
)
def test_a_yes_or_no_fits_what_asks_the_same_in_other_words(question: str, known: str) -> None:
    assert same_verdict(question, known, "")


@pytest.mark.parametrize(
    ("question", "known"),
    [
        ("can a tiny model ever beat a giant one", "Can a small model never beat a large one?"),
        ("can i run it without a gpu", "Does this tutor need a graphics card?"),
        ("Is letting it write my examples a bad idea?", "Can I let it write my examples?"),
        ("shall I take the plain one or the chat one", "Is the chat template used?"),
        ("my curve has zigzags, should I be worried?", "Are zigzags normal?"),
        ("are 300 tokens enough?", "Are 4,096 tokens enough?"),
        ("how does a seed work?", "Does a seed work?"),
    ],
)
def test_a_yes_or_no_does_not_fit_what_is_turned_round_a_choice_or_other_numbers(
    question: str, known: str
) -> None:
    assert not same_verdict(question, known, "")
