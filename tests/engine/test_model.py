from __future__ import annotations

import os
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tutor.engine.cancel import Cancel
from tutor.engine.engine import Engine
from tutor.engine.errors import EngineError
from tutor.engine.gguf import read_header
from tutor.engine.model import Model


def changed(path: Path, folder: Path, old: bytes, new: bytes) -> Model:
    """The model with other bytes before its weights, which are a hole in the file.

    `new` is as long as `old`, or longer by a multiple of the file's alignment.
    """
    start = min(tensor.start for tensor in read_header(path).tensors.values())
    with path.open("rb") as file:
        head = file.read(start)
    assert head.count(old) == 1
    made = folder / "changed.gguf"
    made.write_bytes(head.replace(old, new))
    os.truncate(made, path.stat().st_size + len(new) - len(old))
    return Model(made, 64, 1, Cancel())


def text(data: bytes) -> bytes:
    """A text as a GGUF file holds it."""
    return struct.pack("<Q", len(data)) + data


def test_a_model_that_is_closed_while_threads_read_its_vocabulary_tells_them_so(
    model_path: Path,
) -> None:
    model = Model(model_path, 64, 1, Cancel())
    reading = threading.Barrier(5)

    def read() -> str:
        reading.wait()
        while True:
            try:
                assert model.tokenize("some words") and model.framing and model.token(100).text
            except EngineError as error:
                return str(error)

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        reading.wait()
        time.sleep(0.05)
        model.close()
        assert {reader.result() for reader in readers} == {"the engine is closed"}


@pytest.mark.parametrize(
    "text", ["plain words", "🦙 and é", "日本語", "a\tb\n\n c", "12345", "\x00\x07"]
)
def test_the_bytes_of_the_tokens_are_the_bytes_of_the_text(engine: Engine, text: str) -> None:
    assert b"".join(token.bytes for token in engine.tokens(text)) == text.encode()


def test_every_digit_is_a_token_of_its_own(engine: Engine) -> None:
    assert [token.text for token in engine.tokens("2024")] == ["2", "0", "2", "4"]


def test_a_special_token_is_recognised_only_when_asked_for(engine: Engine) -> None:
    assert engine.tokenize("<|im_end|>", special=True) == [2]
    assert 2 not in engine.tokenize("<|im_end|>")


def test_text_that_is_no_valid_unicode_does_not_crash(engine: Engine) -> None:
    assert engine.tokens("a\ud800b")


def test_a_token_of_many_bytes_is_given_whole(
    engine: Engine, model_path: Path, tmp_path: Path
) -> None:
    (id,) = engine.tokenize(" token")
    held = "Ġtoken".encode()
    model = changed(model_path, tmp_path, text(held), text(held + b"x" * 320))
    try:
        assert model.token_bytes(id) == b" token" + b"x" * 320
    finally:
        model.close()


@pytest.mark.parametrize(("wanted", "first"), [(b"\x00", None), (b"\x01", 1)])
def test_a_model_tells_whether_its_prompts_open_with_a_certain_token(
    model_path: Path, tmp_path: Path, wanted: bytes, first: int | None
) -> None:
    key = text(b"tokenizer.ggml.add_bos_token") + struct.pack("<I", 7)
    model = changed(model_path, tmp_path, key + b"\x00", key + wanted)
    try:
        assert model.framing.first == first
    finally:
        model.close()
