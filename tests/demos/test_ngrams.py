from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from corpus import load_lessons
from tests.demos.conftest import assert_refused, stopping
from tutor.demos.backoff import BackOff
from tutor.demos.demo import DemoCancelled, DemoError, Run, Shown
from tutor.demos.figures import Bars, Table
from tutor.demos.ngrams import Ngrams, _model_bits, lesson_text
from tutor.demos.workbench import Workbench
from tutor.engine.engine import Engine
from tutor.engine.errors import EngineError
from tutor.engine.settings import Sampling
from tutor.engine.weights import torch_model

DEMO = Ngrams()
LESSON = 13


def show(bench: Workbench, **values: Any) -> Shown:
    return DEMO.run(bench, DEMO.parse(values), Run())


@pytest.fixture(scope="module")
def shown(bench: Workbench) -> Shown:
    """The first run reads the whole lesson with the model, unless the cache has it."""
    return show(bench, lesson=LESSON, tokens=8)


@pytest.fixture(scope="module")
def texts(bench: Workbench) -> dict[int, list[int]]:
    return {lesson.number: bench.engine.tokenize(lesson_text(lesson)) for lesson in bench.lessons}


class WholeDistributions:
    """The same model from whole distributions over the vocabulary, one a context, in numpy."""

    def __init__(self, texts: list[list[int]], n_vocab: int) -> None:
        self.n_vocab = n_vocab
        self.tables: list[dict[tuple[int, ...], Counter[int]]] = []
        self.discounts = []
        for n in range(1, 6):
            grams = Counter(tuple(t[i : i + n]) for t in texts for i in range(len(t) - n + 1))
            table: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
            for gram, count in grams.items():
                table[gram[:-1]][gram[-1]] = count
            self.tables.append(dict(table))
            ones, twos = (sum(c == k for c in grams.values()) for k in (1, 2))
            self.discounts.append(ones / (ones + 2 * twos))
        self.kept: dict[tuple[int, ...], NDArray[np.float64]] = {}

    def distribution(self, context: tuple[int, ...]) -> NDArray[np.float64]:
        if context in self.kept:
            return self.kept[context]
        shorter = self.distribution(context[1:]) if context else np.full(self.n_vocab, 1.0)
        counts = self.tables[len(context)].get(context)
        if counts is None:
            return shorter
        ids = np.array(list(counts))
        seen = np.array(list(counts.values()), dtype=float) - self.discounts[len(context)]
        seen /= sum(counts.values())
        p = shorter.copy()
        p[ids] = 0
        p *= (1 - seen.sum()) / p.sum()
        p[ids] = seen
        if len(context) < 2:
            self.kept[context] = p
        return p


def test_a_toy_text_gives_the_probabilities_counted_by_hand() -> None:
    toy = BackOff(2, n_vocab=4)
    toy.count([0, 1, 0, 1, 0, 2])
    toy.finish()
    # Of single tokens one occurs once and one twice: D = 1/3; of pairs one and two: D = 1/5.
    assert toy.p(0, ()) == pytest.approx((3 - 1 / 3) / 6)
    assert toy.p(3, ()) == pytest.approx((1 / 3) * 3 / 6)
    assert toy.p(1, (0,)) == pytest.approx((2 - 1 / 5) / 3)
    left = (1 / 5) * 2 / 3
    unseen_before = (3 - 1 / 3) / 6 + (1 / 3) * 3 / 6
    assert toy.p(0, (0,)) == pytest.approx(left * ((3 - 1 / 3) / 6) / unseen_before)
    assert toy.p(2, (3,)) == toy.p(2, ())


@pytest.mark.parametrize("seed", range(5))
def test_the_probabilities_over_the_whole_vocabulary_sum_to_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    model = BackOff(4, n_vocab=12)
    for length in (3, 20, 60):
        model.count(random.integers(0, 8, length).tolist())
    model.finish()
    for context in ((), (0,), (1, 2), (3, 3, 3), (11,), (0, 11), (11, 0, 1)):
        assert sum(model.p(id, context) for id in range(12)) == pytest.approx(1)


def test_no_ngram_reaches_from_one_text_into_another() -> None:
    model = BackOff(3, n_vocab=10)
    model.count([1, 2])
    model.count([3, 4])
    assert (2,) not in model.followers
    assert (1, 2) not in model.followers


def test_bits_a_byte_are_those_of_whole_distributions(
    bench: Workbench, shown: Shown, texts: dict[int, list[int]]
) -> None:
    table = WholeDistributions(
        [t for n, t in texts.items() if n != LESSON], bench.engine.info.n_vocab
    )
    ids = texts[LESSON]
    size = len(b"".join(map(bench.engine.token_bytes, ids[1:])))
    for order in (1, 2, 5):
        bits = -sum(
            math.log2(table.distribution(tuple(ids[max(0, i - order + 1) : i]))[ids[i]])
            for i in range(1, len(ids))
        )
        assert shown.result["bits_per_byte"][str(order)] == pytest.approx(bits / size, rel=1e-6)


def test_the_bytes_are_those_of_the_lesson_after_its_first_token(
    bench: Workbench, shown: Shown, texts: dict[int, list[int]]
) -> None:
    text = lesson_text(load_lessons()[LESSON - 1]).encode()
    first = bench.engine.token_bytes(texts[LESSON][0])
    assert shown.result["tested_bytes"] == len(text) - len(first)


def test_the_tested_lesson_is_not_in_the_training_text(
    shown: Shown, texts: dict[int, list[int]]
) -> None:
    others = sum(len(ids) for number, ids in texts.items() if number != LESSON)
    assert shown.result["training_tokens"] == others


def test_the_share_of_unseen_contexts_is_that_of_a_set(
    shown: Shown, texts: dict[int, list[int]]
) -> None:
    ids = texts[LESSON]
    for length in (1, 2, 4):
        known = {
            tuple(t[i : i + length])
            for n, t in texts.items()
            if n != LESSON
            for i in range(len(t) - length)
        }
        asked = [tuple(ids[i : i + length]) for i in range(len(ids) - length)]
        share = sum(context not in known for context in asked) / len(asked)
        assert shown.result["contexts_unseen"][str(length + 1)] == pytest.approx(share)
    assert shown.result["contexts_unseen"]["1"] == 0


def test_the_score_of_a_text_is_what_next_says_token_by_token(
    engine: Engine, texts: dict[int, list[int]]
) -> None:
    ids = texts[LESSON][:10]
    one_by_one = [engine.next(ids[:n], Sampling(), 1).logprobs[ids[n]] for n in range(1, len(ids))]
    np.testing.assert_allclose(engine.score(ids), one_by_one, atol=0.05)
    np.testing.assert_allclose(engine.score(ids, 5), one_by_one[4:], atol=0.05)


def test_a_score_with_nothing_given_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineError, match="empty"):
        engine.score([1, 2], 0)


def test_the_models_bits_agree_with_transformers(
    engine: Engine, cache: Path, tmp_path: Path, texts: dict[int, list[int]]
) -> None:
    import torch

    ids = texts[LESSON][:300]
    with torch.no_grad():
        logits = torch_model(Path(engine.info.path), cache)(torch.tensor([ids])).logits[0]
    told = torch.log_softmax(logits[:-1], -1)[range(len(ids) - 1), ids[1:]]
    bits = -float(told.double().sum()) / math.log(2)
    # llama.cpp rounds activations: single tokens differ, the sum hardly does.
    assert _model_bits(engine, ids, tmp_path, Run()) == pytest.approx(bits, rel=0.01)


def test_a_text_longer_than_the_window_is_read_in_overlapping_ones(
    engine: Engine, tmp_path: Path, texts: dict[int, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tutor.demos.ngrams._WINDOW", 128)
    monkeypatch.setattr("tutor.demos.ngrams._OVERLAP", 64)
    ids = texts[LESSON][:300]
    whole = -float(engine.score(ids).sum()) / math.log(2)
    windows = _model_bits(engine, ids, tmp_path, Run())
    assert whole < windows < 1.1 * whole


def test_the_models_bits_are_kept(
    bench: Workbench, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_again(ids: list[int], given: int = 1) -> None:
        raise AssertionError("the lesson was read again")

    monkeypatch.setattr(bench.engine, "score", read_again)
    again = show(bench, lesson=LESSON, tokens=1).result
    assert again["bits_per_byte_model"] == shown.result["bits_per_byte_model"]


def test_the_model_beats_every_order_and_its_training_text_is_told(shown: Shown) -> None:
    best = min(shown.result["bits_per_byte"].values())
    assert shown.result["bits_per_byte_model"] < best < shown.result["bits_per_byte_uniform"]
    assert "trained on about 2 trillion tokens" in shown.seen


def test_the_right_choice_is_the_order_with_the_fewest_bits(shown: Shown) -> None:
    bits = shown.result["bits_per_byte"]
    best = min(bits, key=lambda order: bits[order])
    assert shown.prediction.choices[shown.right].startswith(f"order {best}:")
    bars = shown.figures[0]
    assert isinstance(bars, Bars)
    assert len(bars.bars) == 7


def test_an_unseen_context_says_that_it_backed_off(bench: Workbench, shown: Shown) -> None:
    del shown
    unseen = show(bench, text="purple quantum zebras", tokens=2)
    start = unseen.result["starts"][-1]
    assert not start["seen"]
    assert start["backed_off"] > 0
    assert "order 5 backed off, as it did on your words" in unseen.seen
    table = unseen.figures[1]
    assert isinstance(table, Table)
    assert table.rows[-1][2] == f"never: backs off by {start['backed_off']}"


def test_a_context_from_a_training_lesson_is_continued_as_it_was_there(
    bench: Workbench, shown: Shown, texts: dict[int, list[int]]
) -> None:
    del shown
    training = [lesson_text(x) for x in bench.lessons if x.number != LESSON]
    words = "Greedy decoding always takes the token"
    result = show(bench, text=words, tokens=1).result
    assert result["starts"][-1]["seen"]
    assert any(words + result["continuations"][-1]["text"] in text for text in training)


def test_the_same_seed_continues_in_the_same_words_and_another_in_others(
    bench: Workbench, shown: Shown
) -> None:
    first, same, other = (
        [
            *(c["text"] for c in result["continuations"]),
            result["continuation_model"],
        ]
        for result in (
            shown.result,
            show(bench, lesson=LESSON, tokens=8).result,
            show(bench, lesson=LESSON, tokens=8, seed=7).result,
        )
    )
    assert first == same != other


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lesson": 0}, "lesson: .*greater than or equal to 1"),
        ({"lesson": 14}, "lesson: .*less than or equal to 13"),
        ({"tokens": 0}, "tokens: .*greater than or equal to 1"),
        ({"tokens": 61}, "tokens: .*less than or equal to 60"),
        ({"seed": -1}, "seed: .*greater than or equal to 0"),
        ({"text": ""}, "text: .*at least 1 character"),
    ],
)
def test_a_value_outside_its_range_is_refused_in_one_line(
    values: dict[str, Any], message: str
) -> None:
    assert_refused(lambda: DEMO.parse(values), message)


def test_words_of_spaces_are_refused(bench: Workbench) -> None:
    with pytest.raises(DemoError, match="at least one character that is not a space"):
        show(bench, text="  ")


def test_it_stops_when_the_learner_stops_it_and_keeps_nothing(
    engine: Engine, tmp_path: Path, texts: dict[int, list[int]]
) -> None:
    with pytest.raises(DemoCancelled):
        _model_bits(engine, texts[1], tmp_path, stopping(lambda stage, done: done > 0.01))
    assert not list(tmp_path.rglob("*.json"))


def test_it_is_json(shown: Shown) -> None:
    assert json.loads(json.dumps(asdict(shown)))["demo"] == "ngrams"
