from __future__ import annotations

from pathlib import Path

from tutor.agent.tutor import Tutor
from tutor.bench import bare
from tutor.bench.turns import QUESTIONS, turns


def test_every_question_of_the_bench_is_answered_and_timed(tutor: Tutor) -> None:
    for turn in turns(tutor):
        assert 0 < turn.evidence_ms < turn.first_word_ms
        assert 0 <= turn.cached < len(turn.prompt)


def test_the_plain_way_is_asked_with_the_very_prompt(tutor: Tutor) -> None:
    for turn in turns(tutor):
        text = "".join(map(tutor.engine.token_text, turn.prompt))
        assert all(message["content"] in text for message in turn.messages)
    assert len(QUESTIONS) == len(turns(tutor))


def test_the_library_by_itself_says_its_first_token(tutor: Tutor, model_path: Path) -> None:
    prompt = tutor.engine.tokenize("Once upon a time")
    assert bare.cold_first_token_ms(model_path, None, prompt) > 0
    assert bare.tokens_per_second(model_path, None, prompt, 8) > 0


def test_the_plain_way_says_its_first_word(model_path: Path) -> None:
    asked = [[{"role": "user", "content": "Hello!"}]] * 2
    assert all(ms > 0 for ms in bare.plain_first_word_ms(model_path, asked))
