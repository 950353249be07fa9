"""An exported adapter under llama.cpp against the same LoRA under PEFT in torch, in float32."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter
from numpy.typing import NDArray

from tutor.engine.engine import Engine
from tutor.engine.weights import torch_model
from tutor.lora import LoraError
from tutor.lora import export as exporting
from tutor.lora.export import export

PROMPTS = (
    "The tokenizer cuts a text into pieces, and every piece has a number. The model reads these "
    "numbers one after another and guesses, at each place, which piece will come next.",
    "Once upon a time there was a small village at the foot of a mountain, where a baker, a smith "
    "and a teacher lived. Every morning they met at the well and told each other what was new.",
    "def mean(values: list[float]) -> float:\n    total = 0.0\n    for value in values:\n"
    "        total += value\n    return total / len(values)\n",
)
# |log p in llama.cpp - log p in torch| of a token, the mean over a prompt. llama.cpp rounds the
# activations; measured with Q8_0: base 0.04 to 0.07, adapter 0.04 to 0.09, adapter with the rows of
# q and k in the wrong order 0.53 to 0.76; the adapter itself moves a token by 0.64 to 0.91.
BOUND_NATS = 0.15
CLEAR_NATS = 0.35
SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
RANK, ALPHA = 4, 8
# Standard deviations of lora_B: q and k larger, so that their order weighs more than the noise.
STRENGTH, STRENGTH_QK = 0.08, 0.3

Logprobs = list[NDArray[np.float32]]


@dataclass
class Trained:
    """A LoRA saved by PEFT, and log p of each prompt's tokens in torch, by the adapter's scale."""

    folder: Path
    logprobs: dict[float, Logprobs]


@pytest.fixture(scope="module")
def engine(model_path: Path) -> Iterator[Engine]:
    with Engine(model_path, n_ctx=512, n_threads=1) as engine:
        yield engine


@pytest.fixture(autouse=True)
def base_again(engine: Engine) -> Iterator[None]:
    yield
    engine.use_adapter(None)


@pytest.fixture(scope="module")
def trained(
    engine: Engine, model_path: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    import torch
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora import LoraLayer

    # PEFT puts its layers into the model itself: the copy that others share stays as it is.
    model = copy.deepcopy(torch_model(model_path, cache))
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(SEVEN), task_type="CAUSAL_LM")
    peft = get_peft_model(model, config).eval()
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, values in peft.named_parameters():
            if "lora_A" in name:
                values.normal_(0, values.shape[1] ** -0.5, generator=draw)
            elif "lora_B" in name:
                strength = STRENGTH_QK if "q_proj" in name or "k_proj" in name else STRENGTH
                values.normal_(0, strength, generator=draw)

    def logprobs(scale: float) -> Logprobs:
        for module in peft.modules():
            if isinstance(module, LoraLayer):
                module.scaling["default"] = scale * ALPHA / RANK
        found = []
        for prompt in PROMPTS:
            ids = torch.tensor(engine.tokenize(prompt))
            with torch.no_grad():
                p = peft(ids[None]).logits[0, :-1].log_softmax(-1)
            found.append(p.gather(1, ids[1:, None])[:, 0].numpy())
        return found

    folder = tmp_path_factory.mktemp("peft")
    peft.save_pretrained(folder, save_embedding_layers=False)
    return Trained(folder, {scale: logprobs(scale) for scale in (0.0, 0.5, 1.0)})


@pytest.fixture(scope="module")
def adapter(trained: Trained, model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("exported") / "adapter.gguf"
    export(trained.folder, model_path, to, "random")
    return to


def scored(engine: Engine, path: Path | None, scale: float = 1.0) -> Logprobs:
    engine.use_adapter(path, scale)
    return [engine.score(engine.tokenize(prompt)) for prompt in PROMPTS]


def distances(a: Logprobs, b: Logprobs) -> list[float]:
    return [float(np.abs(x - y).mean()) for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_log_probabilities_of_whole_prompts_agree_with_peft_in_torch(
    engine: Engine, trained: Trained, adapter: Path, scale: float
) -> None:
    found = scored(engine, adapter, scale)
    assert max(distances(found, trained.logprobs[scale])) < BOUND_NATS
    for other in {0.0, 1.0} - {scale}:
        assert min(distances(found, trained.logprobs[other])) > CLEAR_NATS * abs(scale - other)


def test_the_base_alone_agrees_within_the_same_bound(engine: Engine, trained: Trained) -> None:
    assert max(distances(scored(engine, None), trained.logprobs[0.0])) < BOUND_NATS


def test_rows_of_q_and_k_in_the_order_of_torch_are_clearly_wrong(
    engine: Engine,
    trained: Trained,
    model_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporting, "_permuted", lambda rows, heads: rows)
    export(trained.folder, model_path, tmp_path / "wrong.gguf", "wrong")
    found = scored(engine, tmp_path / "wrong.gguf")
    assert min(distances(found, trained.logprobs[1.0])) > CLEAR_NATS


def test_the_metadata_says_what_the_adapter_is(adapter: Path) -> None:
    fields = GGUFReader(adapter).fields
    found = {key: fields[key].contents() for key in fields if not key.startswith("GGUF.")}
    assert found == {
        "general.architecture": "llama",
        "general.type": "adapter",
        "general.name": "random",
        "general.file_type": 1,
        "general.base_model.count": 1,
        "general.base_model.0.name": "SmolLM2-135M-Instruct",
        "adapter.type": "lora",
        "adapter.lora.alpha": ALPHA,
    }


def test_every_matrix_is_there_and_only_rows_of_q_and_k_are_moved(
    adapter: Path, trained: Trained
) -> None:
    matrices = {
        tensor.name: tensor.data
        for tensor in GGUFReader(adapter).tensors
        if tensor.name[:4] == "blk."
    }
    assert len(matrices) == 30 * 7 * 2
    layer = "base_model.model.model.layers.7"
    source = saved(trained.folder)

    def of_peft(module: str, part: str) -> NDArray[Any]:
        return source[f"{layer}.{module}.lora_{part}.weight"].numpy().astype(np.float16)

    for theirs, ours in (("mlp.down_proj", "ffn_down"), ("self_attn.v_proj", "attn_v")):
        for part in "AB":
            expected = of_peft(theirs, part)
            np.testing.assert_array_equal(
                matrices[f"blk.7.{ours}.weight.lora_{part.lower()}"], expected
            )
    for theirs, ours, heads in (("q_proj", "attn_q", 9), ("k_proj", "attn_k", 3)):
        rows = of_peft(f"self_attn.{theirs}", "B")
        # Row j of a head's first half comes to 2j, of its second half to 2j + 1.
        order = [64 * h + 32 * half + j for h in range(heads) for j in range(32) for half in (0, 1)]
        np.testing.assert_array_equal(matrices[f"blk.7.{ours}.weight.lora_b"], rows[order])
        np.testing.assert_array_equal(
            matrices[f"blk.7.{ours}.weight.lora_a"], of_peft(f"self_attn.{theirs}", "A")
        )


def saved(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def configured(folder: Path, **changed: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def rebuilt(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    from safetensors.torch import save_file

    matrices = saved(folder)
    change(matrices)
    save_file(matrices, folder / "adapter_model.safetensors")


def cut_off(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def renamed(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(matrices: dict[str, Any]) -> None:
        for key in [key for key in matrices if old in key]:
            matrices[key.replace(old, new)] = matrices.pop(key)

    return change


def first(kind: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    """Changes the first matrix whose name has `kind`."""

    def apply(matrices: dict[str, Any]) -> None:
        key = min(key for key in matrices if kind in key)
        matrices[key] = change(matrices[key]).contiguous()

    return apply


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda f: (f / "adapter_config.json").unlink(), "cannot be read"),
    "a config that is no JSON": (
        lambda f: (f / "adapter_config.json").write_text("{"),
        "is no JSON",
    ),
    "another method": (lambda f: configured(f, peft_type="IA3"), "not the configuration of a LoRA"),
    "DoRA": (lambda f: configured(f, use_dora=True), "trained with use_dora"),
    "rank-stabilized": (lambda f: configured(f, use_rslora=True), "trained with use_rslora"),
    "PiSSA": (lambda f: configured(f, init_lora_weights="pissa_niter_4"), "changes the base"),
    "alpha 0": (lambda f: configured(f, lora_alpha=0), "no lora_alpha above 0"),
    "no alpha": (lambda f: configured(f, lora_alpha=None), "no lora_alpha above 0"),
    "no matrices": (lambda f: (f / "adapter_model.safetensors").unlink(), "cannot be read"),
    "cut off": (cut_off, "cannot be read"),
    "more layers": (
        lambda f: rebuilt(f, renamed("layers.29.", "layers.30.")),
        "for which SmolLM2-135M-Instruct has no matrix",
    ),
    "a magnitude": (
        lambda f: rebuilt(
            f, renamed("7.mlp.up_proj.lora_B", "7.mlp.up_proj.lora_magnitude_vector")
        ),
        "for which SmolLM2-135M-Instruct has no matrix",
    ),
    "other heads": (
        lambda f: rebuilt(f, first("q_proj.lora_B", lambda b: b[:-2])),
        "has 574 rows, SmolLM2-135M-Instruct 9 heads",
    ),
    "another width": (
        lambda f: rebuilt(f, first("up_proj.lora_A", lambda a: a[:, :-2])),
        "weight is 1536 x 574, this model's 1536 x 576",
    ),
    "half a pair": (
        lambda f: rebuilt(f, lambda m: m.pop(min(key for key in m if "up_proj.lora_B" in key))),
        "it has only lora_a",
    ),
    "beyond 16 bits": (
        lambda f: rebuilt(f, first("up_proj.lora_A", lambda a: a * 1e6)),
        "numbers that are not finite",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_exported_is_refused_and_what_was_there_stays(
    trained: Trained, model_path: Path, tmp_path: Path, fault: str
) -> None:
    spoil, message = FAULTS[fault]
    folder = shutil.copytree(trained.folder, tmp_path / "peft")
    spoil(folder)
    to = tmp_path / "out" / "adapter.gguf"
    to.parent.mkdir()
    to.write_text("the former one")
    with pytest.raises(LoraError, match=message) as refused:
        export(folder, model_path, to, "x")
    assert "\n" not in str(refused.value)
    assert [path.read_text() for path in to.parent.iterdir()] == ["the former one"]


def test_a_base_of_another_architecture_is_refused(trained: Trained, tmp_path: Path) -> None:
    base = tmp_path / "other.gguf"
    writer = GGUFWriter(base, "gemma3")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(LoraError, match="architecture gemma3: only adapters of llama"):
        export(trained.folder, base, tmp_path / "x.gguf", "x")
    with pytest.raises(LoraError, match="cannot be read"):
        export(trained.folder, tmp_path / "none.gguf", tmp_path / "x.gguf", "x")


def test_a_place_that_cannot_be_written_is_told(
    trained: Trained, model_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LoraError, match="cannot be written"):
        export(trained.folder, model_path, tmp_path / "file" / "x.gguf", "x")
