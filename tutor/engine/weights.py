"""The same weights in torch, for what llama.cpp does not give: attention maps, gradients, surgery.

Importing torch and transformers takes seconds: nobody imports them before a demonstration or a
training asks for this.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from tutor.engine.errors import ModelFileError
from tutor.engine.imports import import_torch, made_to_stay


def torch_model(
    gguf: Path, cache: Path, progress: Callable[[str, float], None] = lambda stage, done: None
) -> Any:
    """The transformers model of a GGUF file in float32, eager attention, evaluation mode.

    Token ids are the engine's; no tokenizer is loaded. The conversion is kept under `cache`, the
    model in this process: whoever changes weights puts them back. Raises ModelFileError for an
    architecture that transformers cannot read from GGUF.
    """
    found = gguf.stat()
    name = f"{gguf.stem}-{found.st_size}-{found.st_mtime_ns}"
    with _LOADING:
        if name not in _LOADED:
            # One at a time: a model in float32 takes half a gigabyte.
            _LOADED.clear()
            _LOADED[name] = _load(gguf, cache / "torch" / name, progress)
        return _LOADED[name]


_LOADING = threading.Lock()
_LOADED: dict[str, Any] = {}


def _load(gguf: Path, folder: Path, progress: Callable[[str, float], None]) -> Any:
    progress("loading torch", 0.1)
    import_torch()
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / "convert.lock"):
        if not folder.exists():
            progress("converting the weights", 0.3)
            _convert(gguf, folder)
    progress("loading the weights", 0.8)
    with made_to_stay():
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
        )
    progress("ready", 1.0)
    return model.eval()


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    draft = folder.with_suffix(".part")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32, local_files_only=True
        )
    # transformers raises many types for what it cannot read.
    except Exception as error:
        raise ModelFileError(f"transformers cannot read {gguf.name}: {error}") from error
    # A model read from GGUF counts as quantized and would refuse to be saved; it is not any more.
    model.hf_quantizer = None
    model.config.__dict__.pop("quantization_config", None)
    model.save_pretrained(draft)
    draft.rename(folder)
