"""A real, tiny training: it learns, it goes on after a kill, and what it makes can be swapped in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tutor.engine.engine import Engine
from tutor.lora import LoraError
from tutor.lora.dataset import Encoded, Example, encoded
from tutor.lora.export import export
from tutor.lora.train import Recipe, train

RECIPE = Recipe(rank=4, epochs=6, batch=2, learning_rate=3e-3, dropout=0.0)


@pytest.fixture(scope="module")
def data(engine: Engine) -> list[Encoded]:
    told = (("Who bakes?", "Orla bakes the bread."), ("Who rows?", "Pim rows the boat."))
    return [encoded(Example("fact", q, (a,), a), engine) for q, a in told]


class Killed(Exception):
    """Stands for the end of the process in the middle of a training."""


def test_a_killed_training_goes_on_and_its_adapter_speaks(
    engine: Engine,
    data: list[Encoded],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tutor.lora.train._CHECKPOINT_EVERY", 2)
    gguf = Path(engine.info.path)

    def killing(stage: str, done: float) -> None:
        if stage.startswith("training") and done >= 0.5:
            raise Killed

    with pytest.raises(Killed):
        train(gguf, cache, data, tmp_path / "a", RECIPE, killing)
    seen: list[float] = []
    steps = train(
        gguf, cache, data, tmp_path / "a", RECIPE,
        lambda stage, done: seen.append(done) if stage.startswith("training") else None,
    )  # fmt: skip
    assert len(steps) == 6 and len(seen) < 6
    assert steps[-1].loss < 0.5 * steps[0].loss

    to = tmp_path / "tiny.gguf"
    export(tmp_path / "a", gguf, to, "tiny")
    ids, given = [*data[0].prompt, *data[0].answer], len(data[0].prompt)
    before = engine.score(ids, given).mean()
    try:
        engine.use_adapter(to)
        assert engine.score(ids, given).mean() > before
    finally:
        engine.use_adapter(None)


def test_fewer_examples_than_a_batch_are_refused(
    engine: Engine, data: list[Encoded], cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(LoraError, match="fewer than one batch"):
        train(Path(engine.info.path), cache, data, tmp_path, Recipe(batch=8))


@pytest.mark.parametrize("whole", [False, True], ids=["cut off", "of another training"])
def test_a_checkpoint_that_is_cut_off_or_of_another_training_is_put_aside(
    engine: Engine, data: list[Encoded], cache: Path, tmp_path: Path, whole: bool
) -> None:
    state = tmp_path / "checkpoint.pt"
    torch.save({"key": "another", "steps": [], "adapter": {}, "optimizer": {}}, state)
    if not whole:
        state.write_bytes(state.read_bytes()[:200])
    kept = state.read_bytes()
    steps = train(Path(engine.info.path), cache, data, tmp_path, RECIPE)
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]
    assert state.with_suffix(".old").read_bytes() == kept and not state.exists()
