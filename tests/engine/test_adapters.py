"""Swapping and scaling against the base's own logits; damaged and foreign files one by one."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFValueType, GGUFWriter
from numpy.typing import NDArray

from tutor.engine.adapters import Adapter
from tutor.engine.engine import Engine
from tutor.engine.errors import AdapterError
from tutor.engine.settings import Sampling

Tensors = dict[str, NDArray[Any]]
TEXT = "The tokenizer cuts a text into pieces, and every piece has a number."
Q = "blk.0.attn_q.weight"
# (rows out, columns in) of the seven matrices of a layer.
MATRICES = {
    "attn_q": (576, 576),
    "attn_k": (192, 576),
    "attn_v": (192, 576),
    "attn_output": (576, 576),
    "ffn_gate": (1536, 576),
    "ffn_up": (1536, 576),
    "ffn_down": (576, 1536),
}


def write(path: Path, tensors: Tensors, arch: str = "llama", **changed: Any) -> Path:
    """A GGUF adapter; `changed` names metadata with _ for its dots, None leaves it out."""
    writer = GGUFWriter(path, arch)
    meta: dict[str, Any] = {
        "general_type": "adapter",
        "general_name": "shaken",
        "adapter_type": "lora",
        "adapter_lora_alpha": 4.0,
    } | changed
    for key, value in meta.items():
        if value is not None:
            kind = GGUFValueType.FLOAT32 if isinstance(value, float) else None
            value, kind = value if isinstance(value, tuple) else (value, kind)
            kind = kind or GGUFValueType.get_type(value)
            writer.add_key_value(key.replace("_", "."), value, kind)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def pair(weight: str = Q, n_out: int = 576, n_in: int = 576, rank: int = 1) -> Tensors:
    return {
        f"{weight}.lora_a": np.full((rank, n_in), 0.01, np.float16),
        f"{weight}.lora_b": np.full((n_out, rank), 0.01, np.float16),
    }


def shaken(seed: int) -> Tensors:
    """Rank 4 on all matrices, large enough to change what the model says."""
    draw = np.random.default_rng(seed)
    tensors: Tensors = {}
    for layer in range(30):
        for kind, (n_out, n_in) in MATRICES.items():
            name = f"blk.{layer}.{kind}.weight"
            tensors[f"{name}.lora_a"] = draw.normal(0, n_in**-0.5, (4, n_in)).astype(np.float16)
            tensors[f"{name}.lora_b"] = draw.normal(0, 0.3, (n_out, 4)).astype(np.float16)
    return tensors


@pytest.fixture(scope="module")
def engine(model_path: Path) -> Iterator[Engine]:
    with Engine(model_path, n_ctx=2048, n_threads=1) as engine:
        yield engine


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("adapters") / "first.gguf", shaken(1))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("adapters") / "other.gguf", shaken(2), general_name=None)


@pytest.fixture(autouse=True)
def base_again(engine: Engine) -> Iterator[None]:
    yield
    engine.use_adapter(None)


def logits(engine: Engine) -> NDArray[np.float32]:
    return engine.next(engine.tokenize(TEXT), Sampling()).logprobs


def fresh(engine: Engine, path: Path | None, scale: float = 1.0) -> NDArray[np.float32]:
    """Log-probabilities under an adapter, with nothing from the cache."""
    engine.use_adapter(path, scale)
    engine.next(engine.tokenize("!"), Sampling())
    return logits(engine)


def divergence(p: NDArray[np.float32], q: NDArray[np.float32]) -> float:
    return float((np.exp(p) * (p - q)).sum())


def test_an_adapter_changes_what_the_model_says(engine: Engine, adapter: Path) -> None:
    assert divergence(fresh(engine, None), fresh(engine, adapter)) > 0.5


def test_scale_zero_is_the_base(engine: Engine, adapter: Path) -> None:
    np.testing.assert_array_equal(fresh(engine, adapter, 0.0), fresh(engine, None))


def test_half_the_scale_is_neither_the_base_nor_the_whole(engine: Engine, adapter: Path) -> None:
    half = fresh(engine, adapter, 0.5)
    assert divergence(fresh(engine, None), half) > 0.05
    assert divergence(fresh(engine, adapter), half) > 0.05


def test_half_the_scale_is_half_the_alpha(engine: Engine, adapter: Path, tmp_path: Path) -> None:
    halved = write(tmp_path / "halved.gguf", shaken(1), adapter_lora_alpha=2.0)
    np.testing.assert_allclose(fresh(engine, adapter, 0.5), fresh(engine, halved), atol=1e-4)


def test_swapping_back_gives_exactly_the_former_logits(
    engine: Engine, adapter: Path, other: Path
) -> None:
    order = [None, adapter, other, adapter, None]
    base, first, second, first_again, base_again = [fresh(engine, path) for path in order]
    np.testing.assert_array_equal(base, base_again)
    np.testing.assert_array_equal(first, first_again)
    assert divergence(first, second) > 0.1


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_after_a_swap_nothing_is_reused(engine: Engine, adapter: Path, scale: float) -> None:
    ids = engine.tokenize(TEXT)

    def cached() -> int:
        generation = engine.generate(ids, lambda: Sampling(greedy=True, max_tokens=1))
        list(generation)
        return generation.stats.cached_tokens

    engine.use_adapter(adapter, 0.25)
    cached()
    assert cached() == len(ids)
    for swap in (scale, None, scale):
        engine.use_adapter(None if swap is None else adapter, swap or 0.0)
        assert engine.preview(Sampling()) is None
        assert cached() == 0


def test_the_same_adapter_again_keeps_the_cache(engine: Engine, adapter: Path) -> None:
    ids = engine.tokenize(TEXT)
    for _ in range(2):
        engine.use_adapter(adapter, 0.5)
        generation = engine.generate(ids, lambda: Sampling(greedy=True, max_tokens=1))
        list(generation)
    assert generation.stats.cached_tokens == len(ids)


def test_the_engine_tells_which_adapter_acts(engine: Engine, adapter: Path, other: Path) -> None:
    assert engine.adapter is None
    engine.use_adapter(adapter, 0.5)
    assert engine.adapter == Adapter("shaken", adapter, 0.5)
    engine.use_adapter(other)
    assert engine.adapter == Adapter("other", other, 1.0)
    engine.use_adapter(None)
    assert engine.adapter is None


def test_a_swap_waits_for_the_answer_that_runs(engine: Engine, adapter: Path) -> None:
    endless = Sampling(temperature=5, top_k=0, top_p=1, min_p=0, max_tokens=1500)
    generation = engine.generate(engine.tokenize(TEXT), lambda: endless)
    events = iter(generation)
    next(events)
    swap = threading.Thread(target=engine.use_adapter, args=(adapter,))
    swap.start()
    for _ in range(5):
        next(events)
        assert engine.adapter is None
    generation.cancel()
    swap.join()
    assert engine.adapter is not None


def test_a_file_that_was_written_anew_is_loaded_anew(engine: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "again.gguf", shaken(1))
    first = fresh(engine, path)
    path.unlink()
    write(path, shaken(2))
    assert divergence(first, fresh(engine, path)) > 0.1


@pytest.mark.parametrize("scale", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_scale_out_of_range_is_refused(engine: Engine, adapter: Path, scale: float) -> None:
    with pytest.raises(AdapterError, match="0 to 1, not"):
        engine.use_adapter(adapter, scale)


def test_a_refused_adapter_leaves_the_former_one_acting(
    engine: Engine, adapter: Path, tmp_path: Path
) -> None:
    before = fresh(engine, adapter)
    with pytest.raises(AdapterError):
        engine.use_adapter(write(tmp_path / "x.gguf", {}))
    assert engine.adapter == Adapter("shaken", adapter, 1.0)
    np.testing.assert_array_equal(logits(engine), before)


HALF, FULL = np.float16, np.float32
FAULTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "another general.type": (
        lambda p: write(p, pair(), general_type="model"),
        "its general.type is model, not adapter",
    ),
    "no general.type": (lambda p: write(p, pair(), general_type=None), "is missing, not adapter"),
    "a number as general.type": (lambda p: write(p, pair(), general_type=7), "is 7, not adapter"),
    "another adapter.type": (
        lambda p: write(p, pair(), adapter_type="control_vector"),
        "its adapter.type is control_vector, not lora",
    ),
    "another architecture": (
        lambda p: write(p, pair(), arch="gemma3"),
        "another model: its architecture is gemma3, this model's is llama",
    ),
    "an alpha of 64 bits": (
        lambda p: write(p, pair(), adapter_lora_alpha=(4.0, GGUFValueType.FLOAT64)),
        "no finite 32-bit number",
    ),
    "a text as alpha": (
        lambda p: write(p, pair(), adapter_lora_alpha="4"),
        "no finite 32-bit number",
    ),
    "an infinite alpha": (
        lambda p: write(p, pair(), adapter_lora_alpha=float("inf")),
        "no finite 32-bit number",
    ),
    "too many layers": (
        lambda p: write(p, pair() | pair("blk.31.attn_q.weight")),
        "another model: it adapts layer 32, this model has 30",
    ),
    "wider": (
        lambda p: write(p, pair(n_out=960, n_in=960)),
        "its blk.0.attn_q.weight is 960 x 960, this model's 576 x 576",
    ),
    "an unknown matrix": (
        lambda p: write(p, pair("blk.0.ssm_in.weight")),
        "adapts blk.0.ssm_in.weight, which this one lacks",
    ),
    "one half": (
        lambda p: write(p, {f"{Q}.lora_a": np.ones((1, 576), HALF)}),
        "of blk.0.attn_q.weight it has only lora_a",
    ),
    "two ranks": (
        lambda p: write(
            p, {f"{Q}.lora_a": np.ones((2, 576), HALF), f"{Q}.lora_b": np.ones((576, 1), HALF)}
        ),
        "do not multiply",
    ),
    "a third dimension": (
        lambda p: write(p, pair() | {f"{Q}.lora_a": np.ones((2, 1, 576), HALF)}),
        "do not multiply",
    ),
    "a norm": (
        lambda p: write(p, pair() | {"blk.0.attn_norm.weight": np.ones(576, FULL)}),
        "holds blk.0.attn_norm.weight, which cannot be used",
    ),
    "the embeddings": (
        lambda p: write(p, pair("token_embd.weight", n_out=576, n_in=1)),
        "holds token_embd.weight.lora_a, which cannot be used",
    ),
    "integers": (
        lambda p: write(p, pair() | {f"{Q}.lora_a": np.ones((1, 576), np.int32)}),
        "not F32, F16, BF16 or Q8_0",
    ),
    "no number among the halves": (
        lambda p: write(p, pair() | {f"{Q}.lora_b": np.full((576, 1), np.nan, HALF)}),
        "lora_b holds numbers that are not finite",
    ),
    "an infinity among the floats": (
        lambda p: write(p, pair() | {f"{Q}.lora_b": np.full((576, 1), -np.inf, FULL)}),
        "lora_b holds numbers that are not finite",
    ),
    "nothing": (lambda p: write(p, {}), "adapts nothing"),
    "no elements": (
        lambda p: write(p, {f"{Q}.lora_a": np.ones((0, 576), HALF)}),
        r"damaged .a tensor without elements",
    ),
    "an alignment of 64 bits": (
        lambda p: write(p, pair(), general_alignment=(32, GGUFValueType.UINT64)),
        r"damaged .an alignment that is no 32-bit power of two",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_adapter_that_does_not_fit_is_refused_with_the_reason(
    engine: Engine, tmp_path: Path, fault: str
) -> None:
    make, message = FAULTS[fault]
    with pytest.raises(AdapterError, match=message) as refused:
        engine.use_adapter(make(tmp_path / "adapter.gguf"))
    assert "\n" not in str(refused.value)
    assert engine.adapter is None


def test_the_same_pair_without_a_fault_is_used(engine: Engine, tmp_path: Path) -> None:
    for kind in (HALF, FULL):
        tensors = {name: values.astype(kind) for name, values in pair().items()}
        engine.use_adapter(write(tmp_path / f"{kind.__name__}.gguf", tensors))
        assert np.isfinite(logits(engine)).all()


def test_a_missing_file_is_refused(engine: Engine, tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(AdapterError, match="there is no adapter file"):
            engine.use_adapter(path)


@pytest.mark.parametrize("content", ["", "not an adapter", "GGUF", "GGUF\x03\x00\x00\x00"])
def test_a_file_that_is_no_gguf_is_refused(engine: Engine, tmp_path: Path, content: str) -> None:
    (tmp_path / "x.gguf").write_text(content)
    with pytest.raises(AdapterError, match=r"no GGUF file|cut off or damaged"):
        engine.use_adapter(tmp_path / "x.gguf")


def test_a_model_is_no_adapter(engine: Engine, model_path: Path) -> None:
    with pytest.raises(AdapterError, match="is no LoRA adapter"):
        engine.use_adapter(model_path)


def test_a_file_cut_off_anywhere_is_refused(engine: Engine, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.gguf", pair()).read_bytes()
    cut = tmp_path / "cut.gguf"
    # The last tensor's padding is no loss.
    for length in [*range(0, 700, 13), 1200, len(whole) - 64]:
        cut.write_bytes(whole[:length])
        with pytest.raises(AdapterError, match=r"no GGUF file|cut off or damaged"):
            engine.use_adapter(cut)


def test_damaged_bytes_never_end_the_process(engine: Engine, tmp_path: Path) -> None:
    """Every damaged file is refused in one line, or read and survived."""
    whole = write(tmp_path / "whole.gguf", pair()).read_bytes()
    head = len(whole) - 2 * 2 * 576
    draw = random.Random(5)
    damaged = tmp_path / "damaged.gguf"
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(draw.choice((1, 1, 4))):
            data[draw.randrange(4, head)] = draw.choice(
                (0, 1, 9, 127, 128, 255, draw.randrange(256))
            )
        damaged.write_bytes(data)
        try:
            engine.use_adapter(damaged)
            engine.score(engine.tokenize("a b c"))
        except AdapterError as error:
            refused += 1
            assert "\n" not in str(error)
    assert 100 < refused < 400
    assert np.isfinite(fresh(engine, None)).all()
