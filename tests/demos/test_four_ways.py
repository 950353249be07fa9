"""Answers and log-probabilities against prompts written by hand, and against torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFWriter

import prompts
from corpus import load_lessons
from corpus.gold import load_gold
from index.retriever import Retriever
from tests.demos.conftest import assert_refused, stopping
from tutor.demos import four_ways
from tutor.demos.demo import DemoCancelled, Run, Shown
from tutor.demos.figures import Bars, Columns
from tutor.demos.four_ways import FourWays
from tutor.demos.loss import BOUND
from tutor.demos.reference import reference_answer
from tutor.demos.workbench import Workbench
from tutor.engine import adapters
from tutor.engine.adapters import shipped_adapter
from tutor.engine.engine import Engine
from tutor.engine.events import Adapter
from tutor.engine.settings import Sampling
from tutor.engine.weights import torch_model

DEMO = FourWays()
QUESTION = "What does the rank of a LoRA adapter mean?"
ROUNDING = 0.1
GREEDY = Sampling(greedy=True, repeat_penalty=1.0)
END = 2
OWN_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def show(bench: Workbench, run: Run | None = None, **values: Any) -> Shown:
    inputs = DEMO.parse({"text": QUESTION, "tokens": 8} | values)
    return DEMO.run_alone(bench, inputs, run or Run())


def write(path: Path, arch: str = "llama", strength: float = 0.04) -> Path:
    """A seeded rank-2 adapter on two matrices of every layer."""
    writer = GGUFWriter(path, arch)
    writer.add_string("general.type", "adapter")
    writer.add_string("general.name", "shaken")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0)
    draw = np.random.default_rng(3)
    for layer in range(30):
        for kind, n_out, n_in in (("attn_q", 576, 576), ("ffn_down", 576, 1536)):
            name = f"blk.{layer}.{kind}.weight"
            for part, shape in (("a", (2, n_in)), ("b", (n_out, 2))):
                values = draw.normal(0, 1.0 if part == "a" else strength, shape)
                writer.add_tensor(f"{name}.lora_{part}", values.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def bench(model_path: Path, retriever: Retriever, cache: Path) -> Iterator[Workbench]:
    """With an engine of its own: adapters are swapped, and one thread rounds alike every time."""
    with Engine(model_path, n_ctx=1024, n_threads=1) as engine:
        yield Workbench(engine, retriever, load_lessons(), cache)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("adapters") / "tutor.gguf")


@pytest.fixture(autouse=True)
def base_again(bench: Workbench) -> Iterator[None]:
    yield
    bench.engine.use_adapter(None)


@pytest.fixture(scope="module")
def alone(bench: Workbench) -> Shown:
    """Shown where no adapter is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(four_ways, "shipped_adapter", lambda: None)
        return show(bench)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, adapter: Path) -> None:
    monkeypatch.setattr(four_ways, "shipped_adapter", lambda: adapter)


@pytest.fixture(scope="module")
def tuned(bench: Workbench, adapter: Path) -> Shown:
    """Shown with an adapter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(four_ways, "shipped_adapter", lambda: adapter)
        return show(bench)


def chatml(system: str, user: str) -> str:
    """The template of SmolLM2's model card, written by hand."""
    return (
        f"<|im_start|>system\n{system}<|im_end|>\n"
        f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
    )


def by_hand(bench: Workbench, shown: Shown) -> list[list[int]]:
    """The ids of the three prompts: bare, with an instruction, with the notes."""
    notes = "\n".join(
        f"[{n}] {note['text']}" for n, note in enumerate(shown.result["notes"], start=1)
    )
    short, system = (
        (prompts.TEMPLATES / f"{name}.txt").read_text().strip() for name in ("short", "system")
    )
    texts = (
        chatml(OWN_SYSTEM, QUESTION),
        chatml(short, QUESTION),
        chatml(system, f"Notes:\n{notes}\nQuestion: {QUESTION}"),
    )
    return [bench.engine.tokenize(text, special=True) for text in texts]


def ways(shown: Shown) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shown.result["ways"]
    return found


def one_by_one(bench: Workbench, prompt: list[int], answer: list[int]) -> list[float]:
    """The answer's log-probabilities as the sampler would see them, a token at a time."""
    return [
        float(bench.engine.next(prompt + answer[:n], GREEDY, 1).logprobs[id])
        for n, id in enumerate(answer)
    ]


def test_each_way_asks_with_its_own_prompt(bench: Workbench, alone: Shown) -> None:
    assert [way["name"] for way in ways(alone)] == ["bare", "instruction", "notes"]
    lengths = [len(prompt) for prompt in by_hand(bench, alone)]
    assert [way["prompt_tokens"] for way in ways(alone)] == lengths


def test_log_probabilities_are_those_of_the_reference_after_each_prompt(
    bench: Workbench, alone: Shown
) -> None:
    answer = bench.engine.tokenize(alone.result["reference"]["text"])
    for way, prompt in zip(ways(alone), by_hand(bench, alone), strict=True):
        expected = one_by_one(bench, prompt, answer)
        assert len(way["logprobs"]) == len(answer)
        assert way["logprob"] == pytest.approx(np.mean(expected), abs=ROUNDING)


def test_log_probabilities_agree_with_torch(
    bench: Workbench, alone: Shown, model_path: Path, cache: Path
) -> None:
    import torch

    model = torch_model(model_path, cache)
    answer = bench.engine.tokenize(alone.result["reference"]["text"])
    for way, prompt in zip(ways(alone), by_hand(bench, alone), strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(answer))
        assert way["logprob"] == pytest.approx(-loss.item(), abs=BOUND)


def test_every_answer_is_greedy(bench: Workbench, alone: Shown) -> None:
    for way, prompt in zip(ways(alone), by_hand(bench, alone), strict=True):
        said: list[int] = []
        while len(said) < 8:
            best = int(bench.engine.next(prompt + said, GREEDY, 1).logprobs.argmax())
            if best == END:
                break
            said.append(best)
        assert way["text"].encode() == b"".join(map(bench.engine.token_bytes, said))
        assert (way["tokens"], way["stopped"]) == (len(said), len(said) < 8)


def test_the_notes_make_the_reference_likelier_than_the_bare_question(alone: Shown) -> None:
    bare, _, notes = (way["logprob"] for way in ways(alone))
    assert notes > bare + 1
    assert alone.prediction.choices[alone.right] == "the question with notes from the lessons"
    assert alone.result["likeliest"] == "notes"


def test_without_an_adapter_that_is_said_and_the_rest_is_shown(alone: Shown) -> None:
    assert alone.result["adapter_missing"] == "no adapter is installed"
    assert "the adapter was left out: no adapter is installed" in alone.seen
    _, with_notes = alone.figures[:2]
    assert isinstance(with_notes, Columns)
    assert with_notes.columns[-1] == ("notes + adapter", "(no adapter is installed)")


def test_an_adapter_of_another_model_is_told_and_the_rest_is_shown(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = write(tmp_path / "foreign.gguf", arch="gemma3")
    monkeypatch.setattr(four_ways, "shipped_adapter", lambda: foreign)
    shown = show(bench)
    assert len(ways(shown)) == 3
    assert "its architecture is gemma3, this model's is llama" in shown.result["adapter_missing"]


def test_the_adapter_answers_at_both_scales(bench: Workbench, tuned: Shown, adapter: Path) -> None:
    answer = bench.engine.tokenize(tuned.result["reference"]["text"])
    prompt = by_hand(bench, tuned)[-1]
    acting = [way for way in ways(tuned) if way["scale"] is not None]
    assert [way["name"] for way in acting] == ["notes + adapter x 0.5", "notes + adapter x 1"]
    for way in acting:
        bench.engine.use_adapter(adapter, way["scale"])
        expected = one_by_one(bench, prompt, answer)
        assert way["logprob"] == pytest.approx(np.mean(expected), abs=ROUNDING)
    found = [way["logprob"] for way in ways(tuned)[2:]]
    assert min(abs(a - b) for a, b in pairwise(found)) > 3 * ROUNDING


def test_at_scale_zero_the_adapter_changes_nothing(bench: Workbench, installed: None) -> None:
    _, _, notes, at_zero, full = ways(show(bench, scale=0))
    assert (at_zero["text"], at_zero["logprobs"]) == (notes["text"], notes["logprobs"])
    assert full["logprobs"] != notes["logprobs"]


def test_full_scale_is_asked_once(bench: Workbench, installed: None) -> None:
    assert [way["scale"] for way in ways(show(bench, scale=1))] == [None, None, None, 1.0]


def test_the_base_ways_are_free_of_an_adapter_that_acts(
    bench: Workbench, installed: None, adapter: Path, alone: Shown
) -> None:
    bench.engine.use_adapter(adapter, 0.9)
    assert ways(show(bench))[:3] == ways(alone)


@pytest.mark.parametrize("scale", [None, 0.25])
def test_the_former_adapter_acts_again_afterwards(
    bench: Workbench, installed: None, tmp_path: Path, scale: float | None
) -> None:
    own = write(tmp_path / "own.gguf", strength=0.01)
    bench.engine.use_adapter(own if scale else None, scale or 1.0)
    show(bench)
    assert bench.engine.adapter == (Adapter("shaken", own, scale) if scale else None)


@pytest.mark.parametrize("way", ["notes", "notes + adapter x 1"])
def test_the_former_adapter_acts_again_where_the_learner_stops_it(
    bench: Workbench, installed: None, tmp_path: Path, way: str
) -> None:
    own = write(tmp_path / "own.gguf", strength=0.01)
    bench.engine.use_adapter(own, 0.75)
    with pytest.raises(DemoCancelled):
        show(bench, stopping(lambda stage, done: stage == f"asking: {way}"))
    assert bench.engine.adapter == Adapter("shaken", own, 0.75)


def test_the_same_question_gives_the_same_numbers(bench: Workbench, alone: Shown) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(four_ways, "shipped_adapter", lambda: None)
        list(bench.engine.generate(by_hand(bench, alone)[0][:20], lambda: GREEDY))
        assert show(bench).result == alone.result


def test_bars_are_the_means_of_the_log_probabilities(tuned: Shown) -> None:
    (bars,) = (figure for figure in tuned.figures if isinstance(figure, Bars))
    assert [bar.label for bar in bars.bars] == [way["name"] for way in ways(tuned)]
    for bar, way in zip(bars.bars, ways(tuned), strict=True):
        assert bar.value == pytest.approx(sum(way["logprobs"]) / len(way["logprobs"]))
        assert way["p"] == pytest.approx(
            np.prod(np.exp(way["logprobs"])) ** (1 / len(way["logprobs"]))
        )


def test_a_question_of_the_bank_has_the_banks_answer(bench: Workbench) -> None:
    card = next(q for q in load_gold("train") if q.lesson == 7 and q.answer and not q.history)
    found = reference_answer(bench.retriever, bench.retriever.search(card.question), ())
    assert (found.text, found.section) == (card.answer, card.section)
    assert found.cosine == pytest.approx(1.0, abs=1e-3)


def test_a_question_near_to_one_of_the_bank_has_its_answer_and_names_it(bench: Workbench) -> None:
    cards = {w: q for q in load_gold("train") for w in q.asked}
    asked = "please define the rank of an adapter"
    vector = bench.retriever.encoder.encode_one(asked)
    known = np.concatenate([*map(bench.retriever.question_vectors, bench.retriever.passages)])
    nearest = bench.retriever.questions()[int((known @ vector).argmax())]
    found = reference_answer(bench.retriever, bench.retriever.search(asked), ())
    assert (found.question, found.text) == (nearest, cards[nearest].answer)
    assert repr(nearest) in found.source


def test_a_question_far_from_the_bank_has_a_sentence_of_the_lessons(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(four_ways, "shipped_adapter", lambda: None)
    shown = show(bench, text="Which stadium hosts the cricket final in Melbourne?")
    reference = shown.result["reference"]
    assert reference["question"] is None
    sentences = {s for p in bench.retriever.passages for s in p.sentences}
    assert reference["text"] in {s.replace("*", "").replace("`", "") for s in sentences}
    assert reference["stands_in_notes"]
    assert "which is not in the bank" in reference["source"]
    assert not shown.result["lessons_answer"]
    assert "the lessons hardly answer this question" in shown.seen


def test_that_the_adapter_may_know_the_banks_answer_is_told(tuned: Shown) -> None:
    assert tuned.result["reference"]["question"]
    assert "the adapter may know it by heart" in tuned.seen


def test_the_answers_stand_side_by_side(tuned: Shown) -> None:
    columns = [figure for figure in tuned.figures if isinstance(figure, Columns)]
    assert [[name for name, _ in figure.columns] for figure in columns[:2]] == [
        ["bare", "instruction"],
        ["notes", "notes + adapter x 0.5", "notes + adapter x 1"],
    ]


def test_the_shipped_adapter_is_found_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: Path
) -> None:
    monkeypatch.setattr(adapters, "SHIPPED", tmp_path / "tutor.gguf")
    assert shipped_adapter() is None
    monkeypatch.setattr(adapters, "SHIPPED", adapter)
    assert shipped_adapter() == adapter


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": ""}, "text: .*at least 1 character"),
        ({"text": "x" * 501}, "text: .*at most 500 characters"),
        ({"text": " \n "}, "text: give at least one character that is not a space"),
        ({"scale": -0.1}, "scale: .*greater than or equal to 0"),
        ({"scale": 1.1}, "scale: .*less than or equal to 1"),
        ({"tokens": 7}, "tokens: .*greater than or equal to 8"),
        ({"tokens": 49}, "tokens: .*less than or equal to 48"),
    ],
)
def test_a_value_outside_its_range_is_refused_in_one_line(
    bench: Workbench, values: dict[str, Any], message: str
) -> None:
    assert_refused(lambda: show(bench, **values), message)


def test_it_is_json(tuned: Shown) -> None:
    assert json.loads(json.dumps(asdict(tuned), allow_nan=False))["demo"] == "four-ways"
