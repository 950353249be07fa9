from __future__ import annotations

import pytest

from tutor.agent.compose import compose
from tutor.engine.engine import Engine

NOTES = ["A token is a piece of text.", "A vocabulary holds all tokens."]
ENDS = ["What is a tok", "What is a token", "What is a token and", "What is a token and why?"]


@pytest.mark.parametrize("notes", [NOTES, []])
def test_what_is_read_while_a_question_is_typed_stands_in_the_prompt_of_the_whole(
    engine: Engine, notes: list[str]
) -> None:
    whole = compose(engine, "What is a token and why? Say it in a few words.", notes, (), 100)
    for draft in ENDS[1:]:
        begun = compose(engine, draft, notes, (), 100).while_typed
        assert begun == whole.tokens[: len(begun)]


def test_it_holds_the_question_but_for_its_last_token(engine: Engine) -> None:
    prompt = compose(engine, ENDS[-1], NOTES, (), 100)
    text = engine.tokenize(ENDS[-1])
    assert prompt.while_typed[-3:] == text[-4:-1]
    assert len(prompt.tokens) - len(prompt.while_typed) < 10


def test_of_a_word_that_is_not_ended_the_last_token_is_left_out(engine: Engine) -> None:
    begun = compose(engine, ENDS[0], NOTES, (), 100).while_typed
    whole = compose(engine, ENDS[1], NOTES, (), 100).tokens
    assert engine.tokenize(ENDS[1])[-1] != engine.tokenize(ENDS[0])[-1]
    assert begun == whole[: len(begun)]
