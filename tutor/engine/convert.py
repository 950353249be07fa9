"""Converts a GGUF file to a folder that transformers loads: `python -m tutor.engine.convert FILE FOLDER`.

Undoing the quantization holds the interpreter for tenths of a second at a time, in which no key would
be answered, and leaves memory behind; so it is done once, in a process of its own.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from filelock import FileLock


def convert(gguf: Path, folder: Path) -> None:
    """Makes `folder`, whole or not at all, unless another process has made it meanwhile.

    Raises what transformers raises for a file that it cannot read: many types.
    """
    import torch
    from transformers import AutoModelForCausalLM

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / "convert.lock"):
        if folder.exists():
            return
        draft = folder.with_suffix(".part")
        shutil.rmtree(draft, ignore_errors=True)
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32, local_files_only=True
        )
        # A model read from GGUF counts as quantized and would refuse to be saved; it is not any more.
        model.hf_quantizer = None
        model.config.__dict__.pop("quantization_config", None)
        model.save_pretrained(draft)
        draft.rename(folder)


if __name__ == "__main__":
    try:
        convert(*map(Path, sys.argv[1:]))
    except Exception as error:
        sys.exit(" ".join(str(error).split()))
