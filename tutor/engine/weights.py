"""The same weights in torch, for what llama.cpp does not give: attention maps, gradients, surgery.

Importing torch and transformers takes seconds: nobody imports them before a demonstration or a
training asks for this.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    if not folder.exists():
        progress("converting the weights", 0.1)
        _convert(gguf, folder)
    progress("loading torch", 0.3)
    import_torch()
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    progress("loading the weights", 0.8)
    with made_to_stay():
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
        )
    progress("ready", 1.0)
    return model.eval()


def _convert(gguf: Path, folder: Path) -> None:
    """Has another process make `folder`, while this one imports torch. Raises ModelFileError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "tutor.engine.convert",
        str(gguf.resolve()),
        str(folder.resolve()),
    ]
    with subprocess.Popen(
        command,
        # Python looks for modules where it is started: not where the learner happens to be.
        cwd=folder.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as converting:
        import_torch()
        _, told = converting.communicate()
    if converting.returncode:
        why = told.strip().splitlines()[-1:] or [f"it ended with status {converting.returncode}"]
        raise ModelFileError(f"transformers cannot read {gguf.name}: {why[0]}")
