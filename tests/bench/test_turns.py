from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tutor.bench.turns as timing
from tutor.agent.tutor import Tutor
from tutor.bench import bare
from tutor.bench.turns import QUESTIONS, turns
from tutor.engine.prepare import embedded_model_path


@pytest.fixture(autouse=True)
def few_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_OF_DEV", 3)


def test_every_question_of_the_bench_is_answered_and_timed(tutor: Tutor) -> None:
    for turn in turns(tutor):
        assert 0 < turn.evidence_ms < turn.first_word_ms
        assert 0 <= turn.cached < len(turn.prompt)


def test_while_a_question_is_typed_most_of_its_prompt_is_read(tutor: Tutor) -> None:
    asked, typed = (sum(t.cached for t in turns(tutor, typed)) for typed in (False, True))
    assert typed > 1.3 * asked


def test_the_plain_way_is_asked_with_the_very_prompt(tutor: Tutor) -> None:
    found = list(turns(tutor))
    for turn in found:
        text = "".join(map(tutor.engine.token_text, turn.prompt))
        assert all(message["content"] in text for message in turn.messages)
    assert len(found) > len(QUESTIONS)


def test_the_library_by_itself_says_its_first_token(tutor: Tutor, model_path: Path) -> None:
    prompt = tutor.engine.tokenize("Once upon a time")
    assert bare.cold_first_token_ms(model_path, None, prompt) > 0
    loop = bare.Loop(model_path, None)
    assert loop.tokens_per_second(prompt, 8) > 0
    loop.close()


def test_the_plain_way_says_its_first_word() -> None:
    plain = bare.Plain(embedded_model_path())
    assert plain.first_word_ms([{"role": "user", "content": "Hello!"}]) > 0
    plain.close()


def test_a_warm_tutor_is_held_against_the_plain_way_and_against_reading_alone(tutor: Tutor) -> None:
    found = timing.warm(tutor)
    words = [turn.first_word_ms for turn in found.turns]
    figures = found.figures()
    assert figures["first_word_to_plain"] == pytest.approx(
        np.median(np.divide(words, found.plain_ms[0]))
    )
    assert figures["first_word_to_reading"] == pytest.approx(
        np.median(np.divide(words, found.reading_ms))
    )
    assert figures["typed_first_word_ms"] > 0


def test_speeds_of_tutor_and_library_are_compared_round_by_round(
    tutor: Tutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "TOKENS", 8)
    monkeypatch.setattr(timing, "_REPEATS", 1)
    with tutor.engine.adapter_kept():
        found = timing.speeds(tutor, [tutor.engine.tokenize("Once upon a time")])
    assert found["ratio_to_bare"] == pytest.approx(
        found["tokens_per_second"] / found["bare_tokens_per_second"]
    )
    assert found["base_ratio_to_bare"] == pytest.approx(
        found["base_tokens_per_second"] / found["bare_base_tokens_per_second"]
    )
    assert found["lookup_gains"] > 0
    assert found["answers_to_bare"] > 0
