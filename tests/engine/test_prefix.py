from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tutor.engine.adapters import shipped_adapter
from tutor.engine.cancel import Cancel
from tutor.engine.engine import Engine
from tutor.engine.memory import Memory
from tutor.engine.model import Model
from tutor.engine.prefix import read_prefix
from tutor.engine.settings import Sampling

GREEDY = Sampling(greedy=True, max_tokens=8)


@pytest.fixture(scope="module")
def model(model_path: Path) -> Iterator[Model]:
    model = Model(model_path, 512, 2, Cancel())
    yield model
    model.close()


@pytest.fixture
def ids(model: Model) -> list[int]:
    return model.tokenize("You are a tutor. Answer from the notes.")


def reads(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each call reads from now on."""
    sizes: list[int] = []
    read = memory.read
    monkeypatch.setattr(memory, "read", lambda ids: (sizes.append(len(ids)), read(ids)))
    return sizes


def test_a_second_start_reads_no_token_of_it(
    memory: Memory, ids: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = reads(memory, monkeypatch)
    for _ in range(2):
        memory.forget(0)
        read_prefix(memory, ids, tmp_path, "x")
        assert memory.ids == ids
    assert sizes == [len(ids)]


def test_what_follows_a_restored_prefix_is_as_likely_as_after_reading_it(
    model: Model, memory: Memory, ids: list[int], tmp_path: Path
) -> None:
    found = []
    for _ in range(2):
        memory.forget(0)
        read_prefix(memory, ids, tmp_path, "x")
        memory.read(model.tokenize(" The answer is"))
        found.append(model.logits().copy())
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("harm", ["cut off", "changed", "empty"])
def test_a_damaged_file_is_read_anew_and_replaced(
    memory: Memory, ids: list[int], tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_prefix(memory, ids, tmp_path, "x")
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    changed = bytes([whole[0] ^ 1]) + whole[1:]
    file.write_bytes({"cut off": whole[:5000], "changed": changed, "empty": b""}[harm])
    sizes = reads(memory, monkeypatch)
    memory.forget(0)
    read_prefix(memory, ids, tmp_path, "x")
    assert sizes == [len(ids)] and memory.ids == ids
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [whole]


def test_other_weights_or_tokens_have_a_file_of_their_own(
    model: Model, memory: Memory, ids: list[int], tmp_path: Path
) -> None:
    for made_by, tokens in (("x", ids), ("y", ids), ("x", ids[:-1])):
        memory.forget(0)
        read_prefix(memory, tokens, tmp_path, made_by)
    assert len(list(tmp_path.iterdir())) == 3


def test_only_the_latest_files_are_kept(memory: Memory, ids: list[int], tmp_path: Path) -> None:
    for n in range(12):
        memory.forget(0)
        read_prefix(memory, ids, tmp_path, str(n))
        for file in tmp_path.iterdir():
            os.utime(file, (n, n)) if file.stat().st_mtime > 1000 else None
    assert sorted(file.stat().st_mtime for file in tmp_path.iterdir()) == list(range(4, 12))


def test_where_nothing_can_be_kept_it_is_read_all_the_same(
    memory: Memory, ids: list[int], tmp_path: Path
) -> None:
    folder = tmp_path / "file"
    folder.write_text("in the way")
    read_prefix(memory, ids, folder, "x")
    assert memory.ids == ids


def test_an_engine_has_it_in_memory_and_answers_the_same(
    engine: Engine, model_path: Path, tmp_path: Path
) -> None:
    prompt = engine.tokenize("Once upon a time there was a small house in the woods, and")
    with Engine(model_path, n_ctx=512) as fresh:
        fresh.begin_with(prompt[:5], tmp_path)
        generation = fresh.generate(prompt, lambda: GREEDY)
        said = [event.id for event in generation]
    assert generation.stats.cached_tokens == 5
    assert said == [event.id for event in engine.generate(prompt, lambda: GREEDY)]


def test_another_adapter_or_scale_never_gets_what_was_kept_for_one(
    model_path: Path, tmp_path: Path
) -> None:
    with Engine(model_path, n_ctx=512) as engine:
        for scale in (0.0, 0.5, 1.0):
            engine.use_adapter(shipped_adapter() if scale else None, scale)
            engine.begin_with(engine.tokenize("You are a tutor."), tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_is_in_memory_already_is_left_alone(engine: Engine, tmp_path: Path) -> None:
    prompt = engine.tokenize("Once upon a time")
    engine.next(prompt, GREEDY)
    engine.begin_with(engine.tokenize("You are a tutor."), tmp_path)
    generation = engine.generate(prompt, lambda: GREEDY)
    list(generation)
    assert generation.stats.cached_tokens == len(prompt)
    assert not list(tmp_path.iterdir())
