from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tutor.agent import variants
from tutor.agent.evaluate import ask
from tutor.agent.tutor import Tutor
from tutor.agent.variants import adapters
from tutor.engine.adapters import shipped_adapter
from tutor.engine.errors import AdapterError
from tutor.engine.settings import Sampling
from tutor.settings import NONE, SHIPPED

QUESTION = "What is a token?"
SHORT = Sampling(greedy=True, max_tokens=16)


@pytest.fixture
def kept(tutor: Tutor) -> Iterator[Tutor]:
    with tutor.engine.adapter_kept():
        yield tutor


def test_the_shipped_adapter_speaks_otherwise_than_the_base_and_is_told(kept: Tutor) -> None:
    kept.use(NONE)
    base = ask(kept, QUESTION, (), SHORT)
    kept.use(SHIPPED, 0.5)
    tuned = ask(kept, QUESTION, (), SHORT)
    assert (base.adapter, base.adapter_scale) == (None, 0.0)
    assert (tuned.adapter, tuned.adapter_scale) == ("tutor", 0.5)
    kept.use(SHIPPED)
    alone = ask(kept, QUESTION, (), SHORT, rag=False)
    kept.use(NONE)
    assert ask(kept, QUESTION, (), SHORT, rag=False).tokens != alone.tokens


def test_swapping_back_gives_the_very_answer_of_before(kept: Tutor) -> None:
    kept.use(NONE)
    before = ask(kept, QUESTION, (), SHORT)
    kept.use(SHIPPED)
    ask(kept, QUESTION, (), SHORT)
    kept.use(NONE)
    assert ask(kept, QUESTION, (), SHORT).tokens == before.tokens


def test_an_adapter_that_is_not_there_is_refused_and_what_spoke_speaks_on(kept: Tutor) -> None:
    kept.use(SHIPPED)
    with pytest.raises(AdapterError, match="choose one of tutor, none, or a file"):
        kept.use("nobody")
    assert kept.engine.adapter is not None


def test_adapters_of_the_user_stand_beside_the_shipped_one(kept: Tutor, tmp_path: Path) -> None:
    shipped = shipped_adapter()
    assert shipped is not None
    kept.home.adapters.mkdir(parents=True, exist_ok=True)
    own = kept.home.adapters / "mine.gguf"
    own.write_bytes(shipped.read_bytes())
    try:
        assert list(adapters(kept.home)) == ["tutor", "mine"]
        kept.use("mine", 0.25)
        assert kept.engine.adapter is not None and kept.engine.adapter.path == own
    finally:
        own.unlink()


def test_a_damaged_shipped_adapter_is_told(
    kept: Tutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "tutor.gguf"
    damaged.write_bytes(b"GGUF")
    monkeypatch.setattr(variants, "shipped_adapter", lambda: damaged)
    with pytest.raises(AdapterError, match="damaged"):
        kept.use(SHIPPED)
