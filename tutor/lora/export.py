"""From a LoRA of PEFT to a GGUF adapter, which llama.cpp adds to the weights that it runs.

The rotary embedding turns two numbers of a head together: in transformers they stand half a head
apart, in a GGUF file of the llama architecture side by side. So the rows of q and k have another
order in GGUF, and with them those of their lora_B; lora_A meets the inputs, whose order is the
same. Sources: `LlamaModel.permute` of llama.cpp's conversion, and its convert_lora_to_gguf.py.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutor.engine.adapters import misfit
from tutor.engine.errors import ModelFileError
from tutor.engine.gguf import ModelInfo, model_info, read_header
from tutor.lora import LoraError

_KEY = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
# Settings under which the same two matrices mean something else than alpha / rank x B A.
_OTHERWISE = (
    "use_dora", "use_rslora", "use_qalora", "use_bdlora", "alpha_pattern", "fan_in_fan_out",
    "layer_replication", "alora_invocation_tokens", "arrow_config", "kasa_config",
    "monteclora_config",
)  # fmt: skip
# Ways to begin that take something away from the base's own weights.
_CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga", "mica")

_LARGEST_ALPHA = 1_000_000


def export(adapter_folder: Path, base: Path, to: Path, name: str) -> None:
    """Writes PEFT's adapter_config.json and adapter_model.safetensors as a GGUF adapter in f16.

    `base` is the GGUF file that it was trained on, `name` what the adapter is called. `to` is
    replaced at once or not at all. Raises LoraError.
    """
    try:
        header = read_header(base)
        info = model_info(base, header)
    except ModelFileError as error:
        raise LoraError(str(error)) from error
    if info.architecture != "llama":
        raise LoraError(
            f"{base} is of the architecture {info.architecture}: only adapters of llama models "
            "can be exported"
        )
    alpha = _alpha(adapter_folder)
    tensors = _tensors(adapter_folder, info)
    draft = to.with_name(f"{to.name}.part")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        _write(draft, info, name, alpha, tensors)
        if fault := misfit(draft, read_header(draft), header):
            raise LoraError(f"{adapter_folder} {fault}")
        os.replace(draft, to)
    except OSError as error:
        raise LoraError(f"{to} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            draft.unlink()


def _alpha(folder: Path) -> float:
    """The config's lora_alpha: llama.cpp, as PEFT, scales by alpha / rank."""
    path = folder / "adapter_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LoraError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise LoraError(f"{path} is no JSON: {error}") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise LoraError(f"{path} is not the configuration of a LoRA")
    begin = str(config.get("init_lora_weights")).lower()
    for key in _OTHERWISE:
        if config.get(key):
            raise LoraError(f"{folder} was trained with {key}, which a GGUF adapter cannot express")
    if begin.startswith(_CHANGES_THE_BASE):
        raise LoraError(f"{folder} was begun with {begin}, which changes the base model too")
    alpha = config.get("lora_alpha")
    # To llama.cpp an alpha of 0 is none, and the scale then 1.
    if not isinstance(alpha, int | float) or not 0 < alpha <= _LARGEST_ALPHA:
        raise LoraError(f"{path} has no lora_alpha above 0 and up to {_LARGEST_ALPHA:,}")
    return float(alpha)


def _tensors(folder: Path, info: ModelInfo) -> dict[str, NDArray[np.float16]]:
    """The matrices by their GGUF names: lora_a of shape (rank, n_in), lora_b (n_out, rank)."""
    import torch
    from gguf import MODEL_ARCH, get_tensor_name_map
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / "adapter_model.safetensors"
    try:
        matrices: dict[str, Any] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise LoraError(f"{path} cannot be read: {error}") from error
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, info.layers)
    heads = {"attn_q": info.heads, "attn_k": info.kv_heads}
    found = {}
    for key, matrix in sorted(matrices.items()):
        match = _KEY.fullmatch(key)
        weight = match and names.get_name(match[1])
        if not match or not weight or matrix.dim() != 2 or not matrix.numel():
            raise LoraError(f"{folder} holds {key}, for which {info.name} has no matrix")
        values = matrix.to(torch.float16).numpy()
        kind = weight.rpartition(".")[2]
        if match[2] == "B" and kind in heads:
            if len(values) % (2 * heads[kind]):
                raise LoraError(
                    f"{folder} was trained on another model: {key} has {len(values)} rows, "
                    f"{info.name} {heads[kind]} heads"
                )
            values = _permuted(values, heads[kind])
        found[f"{weight}.weight.lora_{match[2].lower()}"] = values
    return found


def _permuted(rows: NDArray[np.float16], heads: int) -> NDArray[np.float16]:
    """Rows in the order of GGUF: of each head the halves interleaved, one row of each in turn."""
    return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _write(
    path: Path, info: ModelInfo, name: str, alpha: float, tensors: dict[str, NDArray[np.float16]]
) -> None:
    from gguf import GGUFType, GGUFWriter, Keys, LlamaFileType

    with closing(GGUFWriter(path, info.architecture)) as writer:
        writer.add_type(GGUFType.ADAPTER)
        writer.add_string(Keys.Adapter.TYPE, "lora")
        writer.add_float32(Keys.Adapter.LORA_ALPHA, alpha)
        writer.add_name(name)
        writer.add_file_type(LlamaFileType.MOSTLY_F16)
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, info.name)
        for tensor, values in tensors.items():
            writer.add_tensor(tensor, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
