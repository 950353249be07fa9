"""The loss against cross-entropy in torch, words against sums over pieces written out by hand."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.demos.conftest import assert_refused
from tutor.demos.demo import Run, Shown
from tutor.demos.figures import Bars, Chips
from tutor.demos.loss import BOUND, Loss, words_of
from tutor.demos.workbench import Workbench

DEMO = Loss()
TEXT = "The early bird catches the pizza"
TEXTS = [
    TEXT,
    "Hello world",
    "asdf qwer zxcv",
    "🙂🙂🙂🙂",
    "1234567890",
    "def f(x):\n    return x * 2",
    "a" + " a" * 127,
]


def shown(bench: Workbench, **values: Any) -> Shown:
    return DEMO.run(bench, DEMO.parse({"text": TEXT} | values), Run())


def losses(found: Shown) -> NDArray[np.float64]:
    return np.array([token["loss"] for token in found.result["tokens"][1:]])


def by_torch(model: Any, ids: list[int]) -> NDArray[np.float32]:
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1]
        found = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
    return np.asarray(found.numpy())


@pytest.mark.parametrize("text", TEXTS)
def test_the_loss_is_torchs_cross_entropy_within_the_bound(
    bench: Workbench, model: Any, text: str
) -> None:
    found = shown(bench, text=text)
    expected = by_torch(model, bench.engine.tokenize(text))
    assert found.result["loss"] == pytest.approx(expected.mean(), abs=BOUND)
    # One token may differ more than the mean, yet never as much as a neighbour's loss would.
    np.testing.assert_allclose(losses(found), expected, atol=1.0)


def test_every_loss_is_minus_the_logarithm_of_what_the_sampler_would_see(bench: Workbench) -> None:
    from tutor.engine.settings import Sampling

    ids = bench.engine.tokenize(TEXT)
    plain = Sampling(greedy=True, repeat_penalty=1.0)
    expected = [-bench.engine.next(ids[:n], plain).logprobs[ids[n]] for n in range(1, len(ids))]
    np.testing.assert_allclose(losses(shown(bench)), expected, atol=0.15)


def test_mean_bits_and_perplexity_follow_from_the_probabilities(bench: Workbench) -> None:
    result = shown(bench).result
    p = [token["p"] for token in result["tokens"][1:]]
    geometric = math.prod(p) ** (1 / len(p))
    assert result["perplexity"] == pytest.approx(1 / geometric)
    assert result["loss"] == pytest.approx(-math.log(geometric))
    assert result["bits"] == pytest.approx(-math.log2(geometric))


def test_an_even_guess_is_over_as_many_tokens_as_torch_scores(bench: Workbench, model: Any) -> None:
    uniform = shown(bench).result["uniform"]
    assert uniform["n_vocab"] == model.lm_head.weight.shape[0]
    assert uniform["loss"] == pytest.approx(10.80, abs=0.005)


def test_the_first_token_is_given_and_has_no_loss(bench: Workbench) -> None:
    found = shown(bench)
    assert found.result["tokens"][0]["loss"] is None
    chips = found.figures[0]
    assert isinstance(chips, Chips)
    assert [chip.note == "given" for chip in chips.chips] == [True] + [False] * 5


def test_the_token_that_surprised_most_is_named(bench: Workbench, model: Any) -> None:
    text = "The colour of the sky and of the sea is tractor in the morning"
    found, ids = shown(bench, text=text), bench.engine.tokenize(text)
    expected = int(by_torch(model, ids).argmax()) + 1
    assert bench.engine.token_text(ids[expected]) == " tractor"
    assert found.result["most_surprising"] == expected
    assert "'·tractor' surprised the model most" in found.seen


def test_the_same_sentence_has_the_same_loss_twice(bench: Workbench) -> None:
    first = shown(bench)
    shown(bench, text="The early bird catches the worm")
    assert shown(bench).result == first.result


def test_bits_are_nats_over_ln_2_in_what_is_drawn(bench: Workbench) -> None:
    nats, bits = (shown(bench, unit=unit).figures[1] for unit in ("nats", "bits"))
    assert isinstance(nats, Bars)
    assert isinstance(bits, Bars)
    assert bits.unit == "bits"
    assert [bar.value for bar in bits.bars] == pytest.approx(
        [bar.value / math.log(2) for bar in nats.bars]
    )


def test_mean_and_even_guess_stand_above_the_tokens(bench: Workbench) -> None:
    found = shown(bench)
    bars = found.figures[1]
    assert isinstance(bars, Bars)
    assert [bar.label for bar in bars.bars[:3]] == ["(mean)", "(even guess)", "·early"]
    assert [bar.value for bar in bars.bars[:2]] == pytest.approx(
        [losses(found).mean(), math.log(49_152)]
    )


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([b"my", b" hover", b"craft", b" is"], [0, 1, 1, 2]),
        ([b"x", b" =", b" ", b"1"], [0, 1, 2, 2]),
        ([b"a", b"\n   ", b" b", b"!"], [0, 1, 1, 1]),
        ([b" led", b" by a"], [0, 2]),
        (["é".encode()[:1], "é".encode()[1:], b" c"], [0, 0, 1]),
    ],
)
def test_a_token_belongs_to_the_word_that_it_ends_in(pieces: list[bytes], words: list[int]) -> None:
    assert words_of(pieces) == words


def test_the_right_choice_is_the_word_whose_pieces_sum_highest(
    bench: Workbench, model: Any
) -> None:
    text = "Every morning she drinks a cup of Zorblaxian motor oil"
    found = shown(bench, text=text)
    ids = bench.engine.tokenize(text)
    sums: dict[str, float] = {}
    word = ""
    for id, loss in zip(ids[1:], by_torch(model, ids), strict=True):
        piece = bench.engine.token_text(id)
        word = piece[1:] if piece.startswith(" ") else word + piece
        sums[word] = sums.pop(word.removesuffix(piece), 0.0) + float(loss)
    choices = found.prediction.choices
    assert len(choices) == 4
    assert choices[found.right] == max(choices, key=lambda choice: sums[choice])
    for told in found.result["words"]:
        assert told["loss"] == pytest.approx(sums[told["text"]], abs=1.5)


def test_only_words_that_stand_once_are_asked_about_and_not_the_first_two() -> None:
    inputs = DEMO.parse({"text": "red cars and blue cars and green vans"})
    assert DEMO.predict(inputs).choices == ("blue", "green", "vans")


@pytest.mark.parametrize(
    ("text", "choice"), [("Hello world", "larger"), ("1234567890", "at most half")]
)
def test_without_words_to_choose_from_the_mean_is_asked_for(
    bench: Workbench, model: Any, text: str, choice: str
) -> None:
    found = shown(bench, text=text)
    share = float(by_torch(model, bench.engine.tokenize(text)).mean()) / math.log(49_152)
    assert (share > 1, share < 0.5) == (choice == "larger", choice == "at most half")
    assert found.prediction.choices[found.right].startswith(choice)


def test_half_an_emoji_is_shown_as_bytes(bench: Workbench) -> None:
    chips = shown(bench, text="🙂🙂").figures[0]
    assert isinstance(chips, Chips)
    assert [chip.text for chip in chips.chips[:2]] == ["‹f0›‹9f›", "‹99›‹82›"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": "Hello"}, "'Hello' is one token.*nothing before it.*give 2 to 128 tokens"),
        ({"text": ""}, "at least 1 character"),
        ({"text": " \n"}, "give 2 to 128 tokens, this has 0"),
        ({"text": "a" + " a" * 128}, "at most 128 tokens fit here, this has 129"),
        ({"unit": "grams"}, "'nats' or 'bits'"),
    ],
)
def test_input_out_of_range_is_refused_in_one_line(
    bench: Workbench, values: dict[str, Any], message: str
) -> None:
    assert_refused(lambda: shown(bench, **values), message)


def test_all_that_is_shown_is_json(bench: Workbench) -> None:
    assert json.loads(json.dumps(asdict(shown(bench)), allow_nan=False))["demo"] == "loss"
