"""A llama.cpp model and its context, by the low-level API: tokens in, logits out.

This wraps exactly what the engine needs and hides the C types. It is not safe for several threads
but for the vocabulary's methods. Sampling and chat templates live elsewhere.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from tutor.engine.callbacks import IS_SET, NEVER
from tutor.engine.cancel import Cancel
from tutor.engine.cores import share, usable_cores
from tutor.engine.errors import AdapterError, EngineError, ModelFileError
from tutor.engine.events import Framing, Token
from tutor.engine.gguf import ModelInfo, model_info, read_header, require_chat
from tutor.engine.logs import or_why

Logits = NDArray[np.float32]

N_BATCH = 512
MAX_SEQUENCES = 4
_ABORTED = 2
_FEW = 16


class Aborted(Exception):
    """A cancel came while tokens were being read."""


class Model:
    """Weights, vocabulary and one context of `n_ctx` tokens with flash attention."""

    def __init__(
        self,
        path: Path,
        n_ctx: int,
        n_threads: int | None,
        cancel: Cancel,
        *,
        chat: bool = True,
    ) -> None:
        """Loads the file; without `chat` a base model too. Without `n_threads` there are as many as
        find a core that is free. `cancel` stops what is being read, and may be another one for each work.

        Raises ModelFileError where llama.cpp or the tutor cannot use it.
        """
        self.header = read_header(path)
        info = model_info(path, self.header)
        self.info: ModelInfo = require_chat(info) if chat else info
        self.n_ctx = min(n_ctx, self.info.n_ctx_train or n_ctx)
        llama_cpp.llama_backend_init()
        self._model, why = or_why(
            lambda: llama_cpp.llama_model_load_from_file(
                os.fsencode(path), llama_cpp.llama_model_default_params()
            )
        )
        if not self._model:
            raise ModelFileError(f"llama.cpp cannot load {path}: {why or 'unknown reason'}")
        self.vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.n_vocab: int = llama_cpp.llama_vocab_n_tokens(self.vocab)

        self.cancel = cancel
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = self.n_ctx
        parameters.n_batch = N_BATCH
        parameters.n_ubatch = N_BATCH
        self._share = share() if n_threads is None else None
        self._threads = n_threads or usable_cores()
        parameters.n_threads = self._threads
        parameters.n_threads_batch = self._threads
        parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        parameters.no_perf = True
        # Several answers can be decoded together, over one memory that they share.
        parameters.n_seq_max = MAX_SEQUENCES
        parameters.kv_unified = True
        self._context, why = or_why(
            lambda: llama_cpp.llama_init_from_model(self._model, parameters)
        )
        if not self._context:
            llama_cpp.llama_model_free(self._model)
            raise EngineError(
                f"no context of {self.n_ctx} tokens: {why or 'too little memory'}; lower n_ctx"
            )
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._asking: tuple[Any, int] | None = None
        self._row = ctypes.c_float * self.n_vocab
        self._reading = threading.Lock()
        # Most texts and tokens of a prompt stay the same from one draft of its question to the next.
        self._ids = lru_cache(maxsize=32)(self._cut)
        self._pieces: dict[int, bytes] = {}

    def close(self) -> None:
        # Whoever reads the vocabulary on another thread reads it to the end.
        with self._reading:
            if self._context:
                llama_cpp.llama_free(self._context)
                llama_cpp.llama_model_free(self._model)
                self._context = None

    # Vocabulary: from any thread; EngineError once the model is closed

    def _open_vocab(self) -> llama_cpp.llama_vocab_p:
        """For whoever holds `_reading`."""
        if not self._context:
            raise EngineError("the engine is closed")
        return self.vocab

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of `text`; control tokens are recognised only with `special`."""
        return list(self._ids(text, special))

    def _cut(self, text: str, special: bool) -> tuple[int, ...]:
        data = text.encode("utf-8", "replace")
        size = len(data) + 16
        buffer = (llama_cpp.llama_token * size)()
        with self._reading:
            count = llama_cpp.llama_tokenize(
                self._open_vocab(), data, len(data), buffer, size, False, special
            )
        if count < 0:
            raise EngineError("the text could not be cut into tokens")
        return tuple(buffer[:count])

    def token_bytes(self, id: int) -> bytes:
        """The bytes that a token stands for; control tokens give their name."""
        if (known := self._pieces.get(id)) is not None:
            return known
        room = 256
        while True:
            buffer = ctypes.create_string_buffer(room)
            with self._reading:
                size = llama_cpp.llama_token_to_piece(self._open_vocab(), id, buffer, room, 0, True)
            if size >= 0:
                return self._pieces.setdefault(id, buffer.raw[:size])
            room = -size

    def token(self, id: int) -> Token:
        data = self.token_bytes(id)
        with self._reading:
            special = bool(llama_cpp.llama_vocab_is_control(self._open_vocab(), id))
        return Token(id, data.decode("utf-8", "replace"), data, special)

    @property
    def framing(self) -> Framing:
        """The tokens that a chat template may name, and whether a prompt must open with one."""
        end = self.end_id
        with self._reading:
            begin = llama_cpp.llama_vocab_bos(self._open_vocab())
            wanted = begin >= 0 and llama_cpp.llama_vocab_get_add_bos(self.vocab)
        return Framing(
            bos=self.token(begin).text if begin >= 0 else "",
            eos=self.token(end).text if end >= 0 else "",
            first=begin if wanted else None,
        )

    @property
    def end_id(self) -> int:
        """The token that ends an answer, as the model's file names it (llama_vocab_eos)."""
        with self._reading:
            return llama_cpp.llama_vocab_eos(self._open_vocab())

    def is_end(self, id: int) -> bool:
        """Whether the token ends a generation (llama_vocab_is_eog)."""
        with self._reading:
            return bool(llama_cpp.llama_vocab_is_eog(self._open_vocab(), id))

    # Context

    def decode(self, ids: Sequence[int]) -> None:
        """Reads tokens after those in memory, in batches. Raises Aborted or EngineError.

        After either the caller cuts the memory back: part of `ids` may already stand in it.
        """
        self._prepare(len(ids))
        for start in range(0, len(ids), N_BATCH):
            part = ids[start : start + N_BATCH]
            tokens = (llama_cpp.llama_token * len(part))(*part)
            batch = llama_cpp.llama_batch_get_one(tokens, len(part))
            self._check(llama_cpp.llama_decode(self._context, batch))

    def decode_rows(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """Reads (token, position, sequence) rows in one batch, each with its logits.

        At most N_BATCH rows. Raises Aborted or EngineError, as `decode` does.
        """
        self._prepare(len(rows))
        batch = llama_cpp.llama_batch_init(len(rows), 0, 1)
        try:
            batch.n_tokens = len(rows)
            for n, (token, position, sequence) in enumerate(rows):
                batch.token[n] = token
                batch.pos[n] = position
                batch.n_seq_id[n] = 1
                batch.seq_id[n][0] = sequence
                batch.logits[n] = True
            self._check(llama_cpp.llama_decode(self._context, batch))
        finally:
            llama_cpp.llama_batch_free(batch)

    def _prepare(self, tokens: int) -> None:
        # What is read in no time is read to its end: the memory then holds what was said.
        asked = (IS_SET, self.cancel.address) if tokens > _FEW else (NEVER, 0)
        if asked != self._asking:
            self._asking = asked
            llama_cpp.llama_set_abort_callback(self._context, *asked)
        if self._share and (threads := self._share.threads()) != self._threads:
            self._threads = threads
            llama_cpp.llama_set_n_threads(self._context, threads, threads)

    def _check(self, status: int) -> None:
        if status == _ABORTED:
            raise Aborted
        if status != 0:
            raise EngineError(f"llama.cpp could not read the tokens (llama_decode: {status})")

    def logits(self, row: int = -1) -> Logits:
        """The logits of a row of the last batch, by default its last, shape (n_vocab,).

        A view, valid until the next decode.
        """
        pointer = llama_cpp.llama_get_logits_ith(self._context, row)
        # np.ctypeslib.as_array takes ten times as long, at every token.
        address = ctypes.addressof(pointer.contents)
        return np.frombuffer(self._row.from_address(address), dtype=np.float32)

    def keep(self, length: int, sequence: int = 0) -> None:
        """Forgets everything of a sequence after its first `length` tokens."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def copy_sequence(self, source: int, target: int) -> None:
        """Lets `target` share all that `source` has in memory."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def kv_bytes(self) -> int:
        """Bytes of the keys and values in memory, as llama.cpp saves them: with each token's place."""
        return int(llama_cpp.llama_state_seq_get_size(self._context, 0))

    def save_state(self, file: Path, ids: Sequence[int]) -> bool:
        """Writes keys and values of the first sequence with its tokens; gives whether it could."""
        tokens = (llama_cpp.llama_token * len(ids))(*ids)
        return bool(
            llama_cpp.llama_state_seq_save_file(
                self._context, os.fsencode(file), 0, tokens, len(ids)
            )
        )

    def load_state(self, file: Path, most: int) -> list[int]:
        """Reads what `save_state` wrote, of at most so many tokens; empty where it cannot."""
        tokens = (llama_cpp.llama_token * most)()
        count = ctypes.c_size_t()
        size = llama_cpp.llama_state_seq_load_file(
            self._context, os.fsencode(file), 0, tokens, most, ctypes.byref(count)
        )
        return list(tokens[: count.value]) if size else []

    # Adapters

    def load_adapter(self, path: Path) -> Any:
        """A LoRA file that was found to fit, ready to be set. Raises AdapterError."""
        adapter, why = or_why(
            lambda: llama_cpp.llama_adapter_lora_init(self._model, os.fsencode(path))
        )
        if not adapter:
            raise AdapterError(f"llama.cpp cannot load {path}: {why or 'unknown reason'}")
        return adapter

    def set_adapter(self, adapter: Any | None, scale: float = 0.0) -> None:
        """Lets this adapter alone act, or none; what was read before is of other weights."""
        adapters = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(adapter)
        scales = (ctypes.c_float * 1)(scale)
        llama_cpp.llama_set_adapters_lora(
            self._context, adapters, 0 if adapter is None else 1, scales
        )

    def free_adapter(self, adapter: Any) -> None:
        """Gives its memory back; it must not be set any more."""
        llama_cpp.llama_adapter_lora_free(adapter)
