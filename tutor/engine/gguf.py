"""The header of a GGUF file, read without llama.cpp: what the model is, and whether it is whole.

A cut-off or foreign file is refused here, in Python, before native code maps it. Layout of the
format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from tutor.engine.errors import ModelFileError

_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
UINT32, FLOAT32 = 4, 6
_STRING, _ARRAY = 8, 9
F32, F16, Q8_0, BF16 = 0, 1, 8, 30
# Bytes and elements of one block of each tensor type (ggml.h, ggml-common.h).
_BLOCKS = {
    0: (4, 1), 1: (2, 1), 2: (18, 32), 3: (20, 32), 6: (22, 32), 7: (24, 32), 8: (34, 32),
    10: (84, 256), 11: (110, 256), 12: (144, 256), 13: (176, 256), 14: (210, 256), 30: (2, 1),
}  # fmt: skip
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 32: "BF16",
}  # fmt: skip
_LARGEST = 1 << 26
# What llama.cpp takes on trust and ends the process over: the least and the most of a number.
_LIMITS = {
    "block_count": (1, 512),
    "context_length": (16, 1 << 32),
    "attention.layer_norm_rms_epsilon": (0, 1),
    "attention.layer_norm_epsilon": (0, 1),
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor: its shape, fastest dimension first, its type, and its bytes in the file."""

    shape: tuple[int, ...]
    kind: int
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the weights; of an array only its length, since vocabularies are long."""

    metadata: dict[str, Any]
    kinds: dict[str, int]
    """The GGUF type of each metadata value: llama.cpp ends the process where it meets another."""
    tensors: dict[str, TensorInfo]
    file_bytes: int


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model file says of itself."""

    name: str
    path: str
    architecture: str
    parameters: int
    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    n_vocab: int
    n_ctx_train: int
    quantization: str
    file_bytes: int
    license: str
    chat_template: str | None


class _Reader:
    """A cursor over the mapped file; every read is checked against its end by struct or slice."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def scalar(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def text(self) -> str:
        length = self.scalar("Q")
        if length > _LARGEST or self.at + length > len(self.data):
            raise ValueError("a text runs past the end of the file")
        self.at += length
        return self.data[self.at - length : self.at].decode("utf-8", "replace")

    def value(self, kind: int, distinct: bool = False) -> Any:
        """A metadata value, of an array its length; no text of it stands twice with `distinct`."""
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind])
        kind, count = self.scalar("I"), self.scalar("Q")
        if count > _LARGEST:
            raise ValueError("an array is longer than any vocabulary")
        if kind in _SCALARS:
            self.at += count * struct.calcsize("<" + _SCALARS[kind])
        else:
            if kind != _STRING:
                raise ValueError("nested arrays are not expected")
            at, data, length = self.at, self.data, struct.Struct("<Q").unpack_from
            texts = set()
            for n in range(count):
                begin = at + 8
                at = begin + length(data, at)[0]
                if distinct:
                    # llama.cpp reads up to a zero byte, and gives every empty one its own name.
                    texts.add(data[begin:at].partition(b"\0")[0] or n)
            if distinct and len(texts) < count:
                raise ValueError("a token stands twice")
            self.at = at
        return count

    def shape(self) -> tuple[int, ...]:
        dimensions = self.scalar("I")
        if dimensions > 4:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        shape = tuple(self.scalar("Q") for _ in range(dimensions))
        if 0 in shape:
            raise ValueError("a tensor without elements")
        return shape


def read_model_info(path: Path) -> ModelInfo:
    """What `path` says of itself. Raises ModelFileError for what is missing, foreign, or cut off."""
    return model_info(path, read_header(path))


def read_header(path: Path) -> Header:
    """The header of `path`. Raises ModelFileError for what is missing, foreign, or cut off."""
    try:
        # Opening a pipe would wait for somebody who writes to it.
        if path.exists() and not path.is_file():
            raise ModelFileError(f"{path} is no file: name a file that ends in .gguf")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] != b"GGUF":
                raise ModelFileError(f"{path} is no GGUF file: name a file that ends in .gguf")
            return _read(_Reader(data), len(data))
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, IndexError, struct.error, OverflowError) as error:
        raise ModelFileError(
            f"{path} is cut off or damaged ({error}): get the file again"
        ) from error


def _read(reader: _Reader, size: int) -> Header:
    reader.at = 4
    version, n_tensors, n_fields = reader.scalar("I"), reader.scalar("Q"), reader.scalar("Q")
    if version not in (2, 3):
        raise ValueError(f"GGUF version {version}")
    meta: dict[str, Any] = {}
    kinds: dict[str, int] = {}
    for _ in range(n_fields):
        key = reader.text()
        # A count that is wrong reads on into the weights, where zeros look like empty names.
        if key in meta:
            raise ValueError("a key stands twice")
        kinds[key] = reader.scalar("I")
        # llama.cpp ends the process where two tokens are the same.
        meta[key] = reader.value(kinds[key], distinct=key == "tokenizer.ggml.tokens")
    found: dict[str, tuple[tuple[int, ...], int, int]] = {}
    for _ in range(n_tensors):
        name = reader.text()
        if name in found:
            raise ValueError("a tensor stands twice")
        found[name] = reader.shape(), reader.scalar("I"), reader.scalar("Q")
    alignment = meta.get("general.alignment", 32)
    if kinds.get("general.alignment", UINT32) != UINT32 or alignment.bit_count() != 1:
        raise ValueError("an alignment that is no 32-bit power of two")
    start = -(-reader.at // alignment) * alignment
    tensors = {}
    end = start
    for name, (shape, kind, offset) in found.items():
        block_bytes, block_elements = _BLOCKS.get(kind, (0, 1))
        length = prod(shape) // block_elements * block_bytes
        tensors[name] = TensorInfo(shape, kind, start + offset, length)
        end = max(end, start + offset + length)
    if end > size:
        raise ValueError(f"{size:,} bytes where {end:,} are needed")
    return Header(meta, kinds, tensors, size)


def model_info(path: Path, header: Header) -> ModelInfo:
    """What the header says of the model. Raises ModelFileError where llama.cpp could not take it."""
    meta = header.metadata
    arch = meta.get("general.architecture")
    if not isinstance(arch, str):
        raise ModelFileError(f"{path} is no model: it names no architecture")
    for name, (least, most) in _LIMITS.items():
        number = meta.get(f"{arch}.{name}", least)
        if not isinstance(number, (int, float)) or not least <= number <= most:
            raise ModelFileError(
                f"{path} is damaged (its {name} is not {least} to {most}): get the file again"
            )
    for name, tensor in header.tensors.items():
        if name.endswith(("norm.weight", ".bias")) and tensor.kind != F32:
            raise ModelFileError(
                f"{path} is damaged (norms or biases that are not F32): get the file again"
            )
    heads = meta.get(f"{arch}.attention.head_count", 0)
    return ModelInfo(
        name=_display_name(path),
        path=str(path),
        architecture=arch,
        parameters=sum(prod(tensor.shape) for tensor in header.tensors.values()),
        layers=meta.get(f"{arch}.block_count", 0),
        width=meta.get(f"{arch}.embedding_length", 0),
        feed_forward=meta.get(f"{arch}.feed_forward_length", 0),
        heads=heads,
        kv_heads=meta.get(f"{arch}.attention.head_count_kv", heads),
        n_vocab=meta.get(f"{arch}.vocab_size", meta.get("tokenizer.ggml.tokens", 0)),
        n_ctx_train=meta.get(f"{arch}.context_length", 0),
        quantization=_FILE_TYPES.get(meta.get("general.file_type", -1), "unknown"),
        file_bytes=header.file_bytes,
        license=meta.get("general.license", "unknown"),
        chat_template=meta.get("tokenizer.chat_template"),
    )


def _display_name(path: Path) -> str:
    """The file's name without its quantization: metadata often names a checkpoint instead."""
    found = re.fullmatch(r"(.+)[.-](?:I?Q\d\w*|B?F16|F32)", path.stem, re.IGNORECASE)
    return found[1] if found else path.stem


def require_chat(info: ModelInfo) -> ModelInfo:
    """The same info. Raises ModelFileError for a model without a chat template."""
    if not info.chat_template:
        raise ModelFileError(
            f"{info.path} has no chat template: it is a base model; name an instruct model"
        )
    return info
