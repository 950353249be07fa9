from __future__ import annotations

import pytest

from tutor.engine.engine import Engine


@pytest.mark.parametrize(
    "text", ["plain words", "🦙 and é", "日本語", "a\tb\n\n c", "12345", "\x00\x07"]
)
def test_the_bytes_of_the_tokens_are_the_bytes_of_the_text(engine: Engine, text: str) -> None:
    assert b"".join(token.bytes for token in engine.tokens(text)) == text.encode()


def test_every_digit_is_a_token_of_its_own(engine: Engine) -> None:
    assert [token.text for token in engine.tokens("2024")] == ["2", "0", "2", "4"]


def test_a_special_token_is_recognised_only_when_asked_for(engine: Engine) -> None:
    assert engine.tokenize("<|im_end|>", special=True) == [2]
    assert 2 not in engine.tokenize("<|im_end|>")


def test_text_that_is_no_valid_unicode_does_not_crash(engine: Engine) -> None:
    assert engine.tokens("a\ud800b")
