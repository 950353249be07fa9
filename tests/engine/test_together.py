from __future__ import annotations

from collections import defaultdict

import pytest

from tutor.engine.engine import Engine
from tutor.engine.errors import EngineError
from tutor.engine.settings import Sampling
from tutor.engine.together import needed, shared_prefix

GREEDY = Sampling(greedy=True, max_tokens=16)


def alone(engine: Engine, prompt: list[int], sampling: Sampling) -> list[int]:
    return [event.id for event in engine.generate(prompt, lambda: sampling)]


def together(engine: Engine, *columns: tuple[list[int], Sampling]) -> list[list[int]]:
    said: dict[int, list[int]] = defaultdict(list)
    for event in engine.compare(columns):
        said[event.column].append(event.event.id)
    return [said[n] for n in range(len(columns))]


def test_columns_say_what_each_would_say_alone(engine: Engine) -> None:
    story = engine.tokenize("Once upon a time there was a")
    france = engine.tokenize("Once upon a time the capital of France was")
    found = together(engine, (story, GREEDY), (france, GREEDY))
    assert found == [alone(engine, story, GREEDY), alone(engine, france, GREEDY)]


def test_equal_columns_say_the_same_and_other_seeds_something_else(engine: Engine) -> None:
    prompt = engine.tokenize("My favourite animal is")
    hot = Sampling(temperature=1.5, top_p=1, min_p=0, max_tokens=16)
    other = hot.model_copy(update={"seed": 7})
    one, two, three = together(engine, (prompt, hot), (prompt, hot), (prompt, other))
    assert one == two != three


def test_a_comparison_leaves_the_memory_as_good_as_before(engine: Engine) -> None:
    prompt = engine.tokenize("The cat sat on the")
    before = alone(engine, prompt, GREEDY)
    together(engine, (prompt, GREEDY), (engine.tokenize("The cat flew"), GREEDY))
    assert alone(engine, prompt, GREEDY) == before


def test_what_the_prompts_share_is_told_as_cached(engine: Engine) -> None:
    prompt = engine.tokenize("The cat sat on the")
    comparison = engine.compare([(prompt, GREEDY), (prompt, GREEDY)])
    list(comparison)
    assert [s.cached_tokens for s in comparison.stats] == [len(prompt) - 1] * 2
    assert all(s.completion_tokens == 16 for s in comparison.stats)


def test_a_cancelled_comparison_ends(engine: Engine) -> None:
    prompt = engine.tokenize("The cat sat on the")
    long = Sampling(temperature=5, top_k=0, top_p=1, min_p=0, max_tokens=400)
    comparison = engine.compare([(prompt, long), (prompt, long)])
    for n, _ in enumerate(comparison):
        if n == 10:
            comparison.cancel()
    # Of 800; the worker may be a few tokens ahead of the reader.
    assert n < 100


def test_more_columns_than_sequences_are_refused(engine: Engine) -> None:
    with pytest.raises(EngineError, match="1 to 4"):
        engine.compare([([1], GREEDY)] * 5)


def test_the_shared_prefix_leaves_every_prompt_its_last_token() -> None:
    assert shared_prefix([[1, 2, 3], [1, 2, 3, 4]]) == [1, 2]
    assert shared_prefix([[1, 2], [3, 4]]) == []


def test_what_the_prompts_share_needs_room_once() -> None:
    assert needed([([1, 2, 3], GREEDY), ([1, 2, 4, 5], GREEDY)]) == 2 + (1 + 16) + (2 + 16)


def test_long_prompts_that_share_their_beginning_are_compared(engine: Engine) -> None:
    prompt = engine.tokenize("word " * (engine.n_ctx // 2 + 100))
    assert len(prompt) > engine.n_ctx / 2
    brief = Sampling(greedy=True, max_tokens=2)
    one, two = together(engine, (prompt, brief), (prompt, brief))
    assert one == two


def test_answers_that_have_no_room_together_are_refused(engine: Engine) -> None:
    long = Sampling(max_tokens=engine.n_ctx // 2)
    with pytest.raises(EngineError, match="max_tokens"):
        engine.compare([([1, 2], long), ([1, 3], long)])
