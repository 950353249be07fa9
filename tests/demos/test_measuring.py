"""One real file measured once: its loss against torch, its speed against the engine's own clock."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from corpus import load_lessons
from tutor.demos import measuring
from tutor.demos.demo import DemoCancelled, DemoError, Run
from tutor.demos.measuring import MeasuredFile, gigabytes, meanwhile, measure, read_bandwidth
from tutor.demos.ngrams import lesson_text
from tutor.engine.cancel import Cancel
from tutor.engine.engine import Engine
from tutor.engine.errors import ModelFileError
from tutor.engine.gguf import Header
from tutor.engine.prepare import embedded_model_path
from tutor.engine.weights import torch_model

TEXT = "Memory bandwidth limits the speed of writing."
SAMPLE = lesson_text(load_lessons()[0])


@dataclass(frozen=True)
class Once:
    """A measurement, and what the engine itself told of the answers that were timed."""

    found: MeasuredFile
    answers: list[Any]


@pytest.fixture(scope="module")
def once(model_path: Path) -> Iterator[Once]:
    answers: list[Any] = []
    generate = Engine.generate

    def recorded(self: Engine, *arguments: Any, **named: Any) -> Any:
        answers.append(generate(self, *arguments, **named))
        return answers[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "generate", recorded)
        found = measure(model_path, SAMPLE, TEXT, Run(), 0.0)
    yield Once(found, [answer.stats for answer in answers])


def test_every_timed_prompt_is_read_as_a_whole(once: Once) -> None:
    assert {answer.prompt_tokens for answer in once.answers} == {128}
    assert all(answer.cached_tokens <= 1 for answer in once.answers)


def test_the_speeds_are_those_of_the_faster_answer(once: Once) -> None:
    quickest = min(answer.first_token_ms for answer in once.answers)
    assert once.found.prompt_speed == pytest.approx(128 / (quickest / 1000), rel=0.02)
    assert once.found.answer_speed == max(a.tokens_per_second for a in once.answers) > 0


def test_a_token_of_cache_takes_its_keys_values_and_place(once: Once) -> None:
    # 30 layers, 3 heads of 64 numbers, 2 bytes each; a position and a sequence's number, 4 each,
    # and how many sequences.
    assert once.found.kv_bytes == 2 * 30 * 3 * 64 * 2 + 12


def test_the_memory_holds_the_weights_and_the_cache(once: Once, model_path: Path) -> None:
    least = model_path.stat().st_size + measuring.N_CTX * 23_040
    assert 0.9 * least < once.found.memory < least + 300e6


def test_the_loss_is_torchs_cross_entropy_after_a_line_break(
    once: Once, engine: Engine, model_path: Path, cache: Path
) -> None:
    import torch

    ids = engine.tokenize("\n") + engine.tokenize(TEXT)
    with torch.no_grad():
        logits = torch_model(model_path, cache)(torch.tensor([ids])).logits[0, :-1]
        expected = torch.nn.functional.cross_entropy(
            logits, torch.tensor(ids[1:]), reduction="none"
        )
    assert once.found.nats.shape == expected.shape
    assert once.found.nats.mean() == pytest.approx(float(expected.mean()), abs=0.3)
    np.testing.assert_allclose(once.found.nats, expected.numpy(), atol=1.0)


@pytest.mark.parametrize(
    ("metadata", "begins"),
    [
        ({"tokenizer.ggml.add_bos_token": True}, True),
        ({"tokenizer.ggml.add_bos_token": False}, False),
        ({"tokenizer.ggml.model": "llama"}, True),
        ({"tokenizer.ggml.model": "gpt2"}, False),
    ],
)
def test_a_text_begins_as_the_files_metadata_ask(
    engine: Engine, metadata: dict[str, Any], begins: bool
) -> None:
    header = Header(metadata | {"tokenizer.ggml.bos_token_id": 7}, {}, {}, 0)
    expected = [7] * begins + engine.tokenize("\n")
    assert measuring._given(engine, header) == expected


def test_a_file_larger_than_free_memory_says_what_it_needs_and_has(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "free_memory", lambda: 50_000_000)
    needs = f"{model_path.stat().st_size / 1e9:.2f}"
    with pytest.raises(DemoError, match=f"needs {needs} GB of memory, 0.05 GB free"):
        measure(model_path, SAMPLE, TEXT, Run(), 0.0)


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    with embedded_model_path().open("rb") as whole:
        cut.write_bytes(whole.read(5_000_000))
    with pytest.raises(ModelFileError, match="cut off or damaged"):
        measure(cut, SAMPLE, TEXT, Run(), 0.0)


def test_free_memory_is_what_the_system_calls_available() -> None:
    assert measuring.free_memory() == pytest.approx(psutil.virtual_memory().available, rel=0.1)
    assert measuring.free_memory() < measuring.all_memory()


def test_bandwidth_is_the_bytes_of_a_pass_by_the_time_of_the_fastest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passes = [4.0, 2.0, 3.0, 5.0, 6.0]
    ticks = itertools.accumulate(itertools.chain.from_iterable((0.0, taken) for taken in passes))
    monkeypatch.setattr(measuring, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(measuring, "usable_cores", lambda: 2)
    assert read_bandwidth() == 2**28 / 2.0


def test_what_is_done_meanwhile_gives_its_result_and_tells_how_far_it_is() -> None:
    told: list[tuple[str, float]] = []
    seen = threading.Event()

    def tell(stage: str, done: float) -> None:
        told.append((stage, done))
        if stage == "half":
            seen.set()

    def work(run: Run) -> str:
        run.report("half", 0.5)
        assert seen.wait(10)
        return "finished"

    assert meanwhile(Run(tell), work) == "finished"
    assert told[-1] == ("half", 0.5)


def test_an_error_in_the_other_thread_is_raised_here() -> None:
    def work(run: Run) -> None:
        raise DemoError("nothing there")

    with pytest.raises(DemoError, match="nothing there"):
        meanwhile(Run(), work)


def test_a_learner_who_stops_it_does_not_wait_and_the_other_thread_ends() -> None:
    stopped, ended = Cancel(), threading.Event()

    def work(run: Run) -> None:
        stopped.set()
        run.cancel.wait(10)
        try:
            run.report("never", 1.0)
        except DemoCancelled:
            ended.set()

    with pytest.raises(DemoCancelled):
        meanwhile(Run(cancel=stopped), work)
    assert ended.wait(10)


@pytest.mark.parametrize(
    ("size", "text"),
    [(3.5e9, "3.50 GB"), (140.671e9, "140.7 GB"), (66_060_288, "0.07 GB"), (1e13, "10,000.0 GB")],
)
def test_bytes_are_told_in_gigabytes(size: float, text: str) -> None:
    assert gigabytes(size) == text
