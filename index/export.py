"""Exports the encoder to ONNX, once: MiniLM with our adapter merged in, checked against torch."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from index.errors import RetrievalError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ADAPTER = Path(__file__).parent / "adapter"
"""The LoRA adapter that index.adapt trained on the bank's questions (PEFT's two files)."""
TOLERANCE = 1e-4
_CHECKS = (
    "token",
    "What does temperature do?",
    "A gradient says in which direction the loss changes. " * 6,
    "Attention lets a token look at the tokens before it. " * 40,
)


def encoder_name() -> str:
    """The name of the encoder's weights: another adapter makes another encoder."""
    weights = (ADAPTER / "adapter_model.safetensors").read_bytes()
    return f"all-MiniLM-L6-v2-{hashlib.sha256(weights).hexdigest()[:12]}"


def exported(folder: Path, progress: Callable[[float], None]) -> Path:
    """The ONNX file in `folder`, made if it is not there.

    Raises RetrievalError where it cannot be made, or is wrong.
    """
    target = _file(folder)
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "export.lock"):
        if not target.exists():
            try:
                _export(target, progress)
            except OSError as error:
                shutil.rmtree(_draft(target), ignore_errors=True)
                raise RetrievalError(
                    f"the encoder cannot be made in {folder}: {error.strerror or error}"
                ) from error
    return target


def is_exported(folder: Path) -> bool:
    """Whether it is there already, so that nobody has to wait for it."""
    return _file(folder).exists()


def _file(folder: Path) -> Path:
    return folder / f"{encoder_name()}.onnx"


def _draft(target: Path) -> Path:
    """A folder: the graph names the file of its weights, which must be the final name."""
    return target.with_suffix(".part")


def adapted() -> SentenceTransformer:
    """The encoder in torch, the adapter merged into its weights."""
    from peft import PeftModel
    from sentence_transformers import SentenceTransformer

    from index.encoder import model_folder

    model = SentenceTransformer(str(model_folder()), device="cpu", local_files_only=True)
    model[0].auto_model = PeftModel.from_pretrained(
        model[0].auto_model, str(ADAPTER)
    ).merge_and_unload()
    return model


def _export(target: Path, progress: Callable[[float], None]) -> None:
    import logging
    import warnings

    import numpy as np
    import torch
    import transformers

    from index.encoder import Encoder

    progress(0.1)
    transformers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        original = adapted()
    transformer = original[0].auto_model.eval()
    transformer.config._attn_implementation = "eager"

    class Pooled(torch.nn.Module):
        """Token vectors, averaged over the mask, scaled to length one."""

        def __init__(self) -> None:
            super().__init__()
            self.transformer = transformer

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            # (batch, pieces, 384)
            states = self.transformer(
                input_ids=input_ids, attention_mask=attention_mask
            ).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, dim=-1)

    progress(0.3)
    draft = _draft(target)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    file = draft / target.name
    example = torch.ones(2, 12, dtype=torch.int64)
    # A mask without zeros would let transformers leave the mask out of the traced graph.
    mask = torch.ones(2, 12, dtype=torch.int64)
    mask[1, 7:] = 0
    batch, pieces = torch.export.Dim("batch", max=4096), torch.export.Dim("pieces", max=512)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Pooled(),
            (example, mask),
            str(file),
            input_names=["input_ids", "attention_mask"],
            dynamo=True,
            dynamic_shapes=({0: batch, 1: pieces}, {0: batch, 1: pieces}),
            # Weights in a file of their own are mapped into memory: a session opens in 40 ms, not 110.
            external_data=True,
            verbose=False,
        )
    progress(0.8)
    ours = Encoder(file).encode(_CHECKS)
    theirs = original.encode(list(_CHECKS), normalize_embeddings=True, show_progress_bar=False)
    if (worst := float(np.abs(ours - theirs).max())) > TOLERANCE:
        shutil.rmtree(draft)
        raise RetrievalError(f"the exported encoder differs from the original by {worst:.1e}")
    # The weights first: where the graph is, they are.
    for made in sorted(draft.iterdir(), key=lambda made: made == file):
        os.replace(made, target.parent / made.name)
    draft.rmdir()
    progress(1.0)
