"""The engine's ids and probabilities are those of the same file under transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

from tutor.engine.engine import Engine
from tutor.engine.settings import Sampling
from tutor.engine.weights import torch_model

MIXED = (
    "def f(x: int) -> int:\n\treturn x**2 + 10_000  # größer als ½?\n",
    "The year 2026 has 365 days, 8,760 hours and 31536000 seconds; 3.14159 is about π.",
    "🙂👩‍👩‍👧‍👦🇩🇪 emoji, ﬁ ligature, zero\u200bwidth, e\u0301 and é",
    "自然语言处理很有趣。 日本語のテキスト、 한국어 텍스트, Привет мир, שלום עולם, مرحبا",
    "tabs\t\ttabs   spaces\r\nlines\n\n\nend  ",
    "control \x01\x1b[31m characters \x7f",
    "I'll we've DON'T can't; 'quoted' \"double\" `code` <b>tag</b> {json: [1, 2]}",
    "",
    " ",
    "a" * 500,
)
# The weights are the same on both sides, but llama.cpp also rounds the activations of every matrix
# product as they are. Measured with Q8_0: a divergence of up to 0.017 nats, and up to 0.63 nats on one
# of the 20 likeliest tokens.
DIVERGENCE_NATS = 0.05
BOUND_NATS = 1.0
LIKELY = 20


@pytest.fixture(scope="module")
def tokenizer(model_path: Path) -> Any:
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(
        model_path.parent, gguf_file=model_path.name, local_files_only=True
    )
    # The table by which transformers reads GGUF files lacks this model's pre-tokenizer ("smollm"),
    # which SmolLM2's own tokenizer.json has: every digit, also a fraction, stands alone.
    found.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    return found


@pytest.mark.parametrize("text", MIXED)
def test_token_ids_are_those_of_the_hugging_face_tokenizer(
    engine: Engine, tokenizer: Any, text: str
) -> None:
    assert engine.tokenize(text) == tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(
    "prompt", ["Once upon a", "The capital of France is", "def add(a, b):\n    return a"]
)
def test_log_probabilities_agree_with_transformers_within_the_bound(
    engine: Engine, model_path: Path, cache: Path, prompt: str
) -> None:
    import torch

    ids = engine.tokenize(prompt)
    found = engine.next(ids, Sampling(), top=LIKELY)
    with torch.no_grad():
        logits = torch_model(model_path, cache)(torch.tensor([ids])).logits[0, -1]
        expected = torch.log_softmax(logits, dim=-1).numpy()
    likely = np.argsort(-expected)[:LIKELY]
    assert float(np.abs(found.logprobs[likely] - expected[likely]).max()) < BOUND_NATS
    divergence = float((np.exp(expected) * (expected - found.logprobs)).sum())
    assert 0 <= divergence < DIVERGENCE_NATS
