from __future__ import annotations

import pytest

from tutor.engine.engine import Engine
from tutor.engine.lookup import DRAFT
from tutor.engine.memory import common_prefix
from tutor.engine.settings import Sampling

GREEDY = Sampling(greedy=True, max_tokens=60)
REPEATING = "The cat sat on the mat, the dog sat on the log," + " the cat sat on the mat," * 5
COUNTING = "1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3,"
ROUNDING_NATS = 0.3
"""What a token read among others may be rounded otherwise than by itself."""


def said(engine: Engine, ids: list[int], sampling: Sampling, draft: int) -> list[int]:
    engine.forget()
    return [e.id for e in engine.generate(ids, lambda: sampling, draft=draft)]


@pytest.mark.parametrize("text", [REPEATING, COUNTING])
@pytest.mark.parametrize(
    "sampling",
    [GREEDY, Sampling(seed=3, max_tokens=60), Sampling(seed=4, repeat_penalty=1.2, max_tokens=60)],
    ids=["greedy", "drawn", "penalised"],
)
def test_guessing_ahead_changes_no_word(engine: Engine, text: str, sampling: Sampling) -> None:
    ids = engine.tokenize(text)
    assert said(engine, ids, sampling, DRAFT) == said(engine, ids, sampling, 0)


def test_where_guessing_ahead_changes_a_word_rounding_decided_between_the_two(
    engine: Engine,
) -> None:
    plain = GREEDY.model_copy(update={"repeat_penalty": 1.0, "max_tokens": 200})
    ids = engine.tokenize("Once upon a time there was")
    ahead, alone = (said(engine, ids, plain, draft) for draft in (DRAFT, 0))
    if ahead != alone:
        same = common_prefix(ahead, alone)
        logprobs = engine.next([*ids, *alone[:same]], plain).logprobs
        both = logprobs[[ahead[same], alone[same]]]
        assert logprobs.max() - both.min() < ROUNDING_NATS


def test_an_answer_that_repeats_its_prompt_takes_fewer_batches_than_tokens(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = engine._memory
    read: list[int] = []
    read_rows = memory.read_rows
    monkeypatch.setattr(memory, "read_rows", lambda ids: (read.append(len(ids)), read_rows(ids)))
    tokens = said(engine, engine.tokenize(REPEATING), GREEDY, DRAFT)
    assert len(read) < len(tokens) / 2
    read.clear()
    said(engine, engine.tokenize(REPEATING), GREEDY, 0)
    assert set(read) == {1}


@pytest.mark.parametrize("most", [1, 2, 7, 30])
def test_no_more_is_said_than_allowed_though_more_was_guessed(engine: Engine, most: int) -> None:
    sampling = GREEDY.model_copy(update={"max_tokens": most})
    ids = engine.tokenize(REPEATING)
    assert len(said(engine, ids, sampling, DRAFT)) <= most
    stats = engine.generate(ids, lambda: sampling, draft=DRAFT)
    assert len(list(stats)) == stats.stats.completion_tokens


@pytest.mark.parametrize("draft", [0, DRAFT])
def test_an_answer_ends_after_the_token_at_which_its_criterion_says_so(
    engine: Engine, draft: int
) -> None:
    ids = engine.tokenize(REPEATING)
    sampling = GREEDY.model_copy(update={"max_tokens": 30})
    whole = said(engine, ids, sampling, draft)
    engine.forget()
    ended = engine.generate(ids, lambda: sampling, draft=draft, stopping=lambda e: e.index == 6)
    assert [e.id for e in ended] == whole[:7] and ended.stats.stop_reason == "criterion"
    goes_on = engine.generate([*ids, *whole[:7]], lambda: sampling)
    assert [e.id for e in goes_on][:20] == whole[7:27]
    assert goes_on.stats.cached_tokens >= len(ids) + 6


def test_what_was_guessed_and_not_said_is_no_longer_in_memory(engine: Engine) -> None:
    ids = engine.tokenize(REPEATING)
    sampling = GREEDY.model_copy(update={"max_tokens": 20})
    answer = said(engine, ids, sampling, DRAFT)
    after = engine.preview(GREEDY)
    goes_on = engine.generate([*ids, *answer, *engine.tokenize(" and")], lambda: sampling)
    list(goes_on)
    assert goes_on.stats.cached_tokens == len(ids) + len(answer)
    said(engine, ids, sampling, 0)
    before = engine.preview(GREEDY)
    assert after and before and after.step.chosen == before.step.chosen
    assert after.logprobs == pytest.approx(before.logprobs, abs=0.2)


def test_a_cancel_between_two_guesses_leaves_a_whole_memory(engine: Engine) -> None:
    ids = engine.tokenize(REPEATING)
    expected = said(engine, ids, GREEDY, 0)
    generation = engine.generate(ids, lambda: GREEDY.model_copy(update={"max_tokens": 500}))
    for n, _ in enumerate(generation):
        if n == 10:
            generation.cancel()
    assert [e.id for e in engine.generate(ids, lambda: GREEDY)] == expected


def test_the_context_is_filled_to_its_last_token_and_not_over_it(engine: Engine) -> None:
    run = engine.tokenize("one two three four five. " * 500)
    ids = run[: engine.n_ctx - 20]
    endless = Sampling(greedy=True, max_tokens=4096, logit_bias={engine.end_id: -100.0})
    generation = engine.generate(ids, lambda: endless)
    assert len(list(generation)) == 20
    assert generation.stats.stop_reason == "context"
