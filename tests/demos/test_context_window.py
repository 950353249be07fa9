from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest

from tests.demos.conftest import assert_refused, stopping
from tutor.demos.context_window import ContextWindow
from tutor.demos.demo import DemoCancelled, Run, Shown
from tutor.demos.workbench import Workbench

FACT = "My cat's name is Biscuit."
LEAD, ANSWER = "My cat's name is", " Biscuit"
QUESTION = "What did I tell you at the beginning?"
LINES = [f"On day {n} I walked to the lake and saw a heron." for n in range(12)]
# What SmolLM2's own template puts first where no system message is given.
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def shown(bench: Workbench, **values: Any) -> Shown:
    demo = ContextWindow()
    return demo.run(bench, demo.parse(values), Run())


def chat(said: Sequence[str]) -> str:
    """The prompt in SmolLM2's format, written by hand."""
    turns = [f"<|im_start|>user\n{s}<|im_end|>\n<|im_start|>assistant\n" for s in said]
    system = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
    return system + "Noted.<|im_end|>\n".join(turns)


def length(bench: Workbench, said: Sequence[str]) -> int:
    return len(bench.engine.tokenize(chat(said) + LEAD + ANSWER, special=True))


def test_the_newest_messages_that_fit_stay_and_one_more_would_not(bench: Workbench) -> None:
    for window in (110, 200):
        found = shown(bench, text="\n".join(LINES), window=window).result
        said = [m["text"] for m in found["messages"] if m["role"] == "user"]
        kept = [m["text"] for m in found["messages"] if m["role"] == "user" and m["inside"]]
        assert said == [FACT, *LINES, QUESTION]
        assert kept == said[-len(kept) :]
        assert length(bench, kept) <= window < length(bench, said[-len(kept) - 1 :])


def test_the_log_probabilities_are_those_of_llama_cpp_without_our_engine(
    bench: Workbench, model_path: Path
) -> None:
    found = shown(bench, text="\n".join(LINES), window=200).result
    kept = [m["text"] for m in found["messages"] if m["role"] == "user" and m["inside"]]
    pinned = next(
        said
        for n in range(len(LINES) + 1)
        if length(bench, said := [FACT, *LINES[n:], QUESTION]) <= 200
    )
    llama = llama_cpp.Llama(
        str(model_path), n_ctx=256, n_batch=128, logits_all=True, flash_attn=True, verbose=False
    )
    try:
        for said, name in ((pinned, "with_fact"), (kept, "without_fact")):
            prompt = llama.tokenize((chat(said) + LEAD).encode(), add_bos=False, special=True)
            answer = llama.tokenize(ANSWER.encode(), add_bos=False)
            llama.reset()
            # In the same batches as the demonstration: the split alone moves the second digit.
            llama.eval(prompt)
            by_hand = []
            for id in answer:
                logits = np.array(llama.scores[llama.n_tokens - 1], dtype=np.float64)
                peak = logits.max()
                by_hand.append(logits[id] - peak - np.log(np.exp(logits - peak).sum()))
                llama.eval([id])
            assert found[name]["prompt_tokens"] == len(prompt)
            assert found[name]["logprobs"] == pytest.approx(by_hand, abs=0.005)
    finally:
        llama.close()


def test_the_same_input_gives_the_same_numbers_whatever_was_read_before(bench: Workbench) -> None:
    values: dict[str, Any] = {"text": "\n".join(LINES), "window": 200}
    first = shown(bench, **values).result
    assert shown(bench, **values).result == first
    shown(bench, sections=0)
    assert shown(bench, **values).result == first


def test_a_fact_that_fell_out_is_not_known_any_more(bench: Workbench) -> None:
    found = shown(bench, text="\n".join(LINES), window=200)
    assert found.result["fact_fell_out"]
    assert found.result["messages"][0] == {
        "role": "user",
        "text": FACT,
        "tokens": len(bench.engine.tokenize(FACT)),
        "inside": False,
    }
    assert found.result["with_fact"]["probability"] > 0.5
    assert found.result["without_fact"]["probability"] < 0.001
    assert found.right == 0


def test_a_guess_that_needs_no_fact_counts_as_guessed(bench: Workbench) -> None:
    found = shown(
        bench,
        text="\n".join(LINES),
        window=200,
        fact="The capital of France is Paris.",
        question="What is the capital of France?",
    )
    assert found.result["fact_fell_out"]
    assert found.result["difference_nats"] < np.log(10)
    assert found.right == 1


def test_a_fact_that_still_fits_stays_inside(bench: Workbench) -> None:
    found = shown(bench, sections=0)
    assert found.result["dropped_messages"] == 0
    assert not found.result["fact_fell_out"]
    assert found.right == 2


def test_both_prompts_fit_the_window(bench: Workbench) -> None:
    for values in ({}, {"sections": 0}, {"text": "\n".join(LINES), "window": 128}):
        found = shown(bench, **values)
        asked = len(bench.engine.tokenize(ANSWER))
        for name in ("with_fact", "without_fact"):
            assert found.result[name]["prompt_tokens"] + asked <= found.inputs["window"]


def test_without_a_text_the_lesson_is_talked_about(bench: Workbench) -> None:
    messages = shown(bench, lesson=3, sections=2).result["messages"]
    first, second = bench.lessons[2].sections[:2]
    assert [m["text"] for m in messages[2:6]] == [
        first.heading,
        first.text,
        second.heading,
        second.text,
    ]


def test_ten_thousand_tokens_are_fitted(bench: Workbench) -> None:
    text = "I saw a heron. " * 2_000
    assert bench.engine.count(text) >= 10_000
    found = shown(bench, text=text, window=128)
    assert found.result["dropped_tokens"] > 9_000
    assert sum(m["tokens"] for m in found.result["messages"] if m["inside"]) < 128


def test_an_emoji_can_be_the_fact(bench: Workbench) -> None:
    found = shown(bench, fact="My favourite animal is 🦄", sections=0)
    pieces = b"".join(bench.engine.token_bytes(t["id"]) for t in found.result["answer"])
    assert pieces.decode() == " 🦄"
    assert found.result["difference_nats"] > 0


def test_control_tokens_in_the_text_stay_text(bench: Workbench) -> None:
    typed = "<|im_end|>"
    found = shown(bench, text=typed, window=200)
    assert found.result["messages"][2]["text"] == typed
    assert found.result["messages"][2]["tokens"] > 1
    empty = shown(bench, sections=0, window=200).result["with_fact"]["prompt_tokens"]
    frame = length(bench, [FACT, "x", QUESTION]) - length(bench, [FACT, QUESTION]) - 1
    grown = found.result["with_fact"]["prompt_tokens"] - empty
    assert grown == frame + found.result["messages"][2]["tokens"]


def test_it_stops_when_the_learner_stops_it(bench: Workbench) -> None:
    demo = ContextWindow()
    with pytest.raises(DemoCancelled):
        demo.run(bench, demo.parse({}), stopping())


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"window": 63}, "window: .* greater than or equal to 64"),
        ({"window": 2_049}, "window: .* less than or equal to 2048"),
        ({"window": 64, "fact": "a b " * 40}, "alone need .* tokens, not 64"),
        ({"text": ""}, "text: .* at least 1 character"),
        ({"text": "  \n "}, "text: give at least one character"),
        ({"text": "x" * 60_001}, "text: .* at most 60000 characters"),
        ({"lesson": 0}, "lesson: .* greater than or equal to 1"),
        ({"lesson": 14}, "lesson: there are 1 to 13"),
        ({"sections": 16}, "sections: .* less than or equal to 15"),
        ({"answer": "dog"}, "answer: give a word that stands in the fact"),
        ({"fact": "..."}, "answer: give a word that stands in the fact"),
        ({"question": ""}, "question: .* at least 1 character"),
    ],
)
def test_wrong_input_is_told_with_its_range(
    bench: Workbench, values: dict[str, Any], says: str
) -> None:
    assert_refused(lambda: shown(bench, **values), says)
