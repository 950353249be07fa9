"""Training examples: turns in the very format of a turn, and nothing of dev or test."""

from __future__ import annotations

import random

import pytest

from corpus.gold import load_gold, states
from corpus.reading import NOT_SAID
from index.retriever import Retriever
from tutor.engine.engine import Engine
from tutor.lora.dataset import Example, encoded, examples, with_other_numbers


@pytest.fixture(scope="module")
def some(retriever: Retriever) -> list[Example]:
    return examples(retriever, load_gold("train")[::12])


def test_no_question_of_dev_or_test_is_among_them(some: list[Example]) -> None:
    held = {w for split in ("dev", "test") for q in load_gold(split) for w in q.asked}  # type: ignore[arg-type]
    assert not held & {example.question for example in some}


def test_the_notes_of_a_card_state_its_facts(some: list[Example]) -> None:
    cards = {w: q for q in load_gold("train") for w in (q.question, *q.wordings) if q.facts}
    read = [
        e
        for e in some
        if e.answer != NOT_SAID and e.question in cards and e.kind in ("what", "why", "how")
    ]
    assert len(read) > 30
    for example in read:
        card = cards[example.question]
        if card.answer and example.answer.startswith(card.answer):
            assert all(states(" ".join(example.notes), fact) for fact in card.facts)


def test_an_answer_goes_on_with_sentences_of_its_notes_in_their_order_or_ends(
    some: list[Example],
) -> None:
    cards = {w: q for q in load_gold("train") for w in q.asked if q.answer}
    longer = [
        (example, answer)
        for example in some
        if example.kind != "other-numbers"
        and example.question in cards
        and (answer := cards[example.question].answer)
        and example.answer.startswith(f"{answer} ")
    ]
    assert len(longer) > 30
    for example, answer in longer:
        rest = example.answer.removeprefix(f"{answer} ")
        for note in example.notes:
            rest = rest.removeprefix(note).lstrip()
        assert not rest, example


def test_changed_numbers_are_the_same_in_notes_and_answer() -> None:
    example = Example(
        "what", "how many layers?", ("It has 30 layers and 9 heads.",), "It has 30 layers."
    )
    changed = with_other_numbers(example, random.Random(1))
    assert changed is not None
    number = changed.answer.split()[2]
    assert number != "30" and len(number) == 2
    assert changed.notes == (f"It has {number} layers and 9 heads.",)


def test_a_number_of_the_question_is_not_changed() -> None:
    example = Example(
        "compute", "what are 30 layers?", ("30 layers are many.",), "30 layers are many."
    )
    assert with_other_numbers(example, random.Random(1)) is None


def test_an_example_ends_with_the_token_that_ends_an_answer(engine: Engine) -> None:
    data = encoded(Example("what", "q?", ("A note.",), "An answer."), engine)
    assert data.answer[-1] == engine.end_id
    assert engine.token_bytes(engine.end_id) == b"<|im_end|>"
    prompt = b"".join(map(engine.token_bytes, data.prompt)).decode()
    assert "A note." in prompt and prompt.endswith("<|im_start|>assistant\n")


def test_a_lone_zero_before_a_comma_stays_as_it_is() -> None:
    example = Example("what", "which row?", ("It is 0, or row 0, 1 or 2.",), "Row 0, the first.")
    assert with_other_numbers(example, random.Random(1)) is None
