"""Damaged model and adapter files, opened in another process: refused in one line, or they load."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tutor.engine.adapters import SHIPPED
from tutor.engine.gguf import read_header
from tutor.engine.prepare import embedded_model_path

# Answers one line a path: what went wrong, or null. Anything but an error of our own ends it.
CHILD = """
import json, sys
from pathlib import Path
from tutor.engine.engine import Engine
from tutor.engine.errors import EngineError
from tutor.engine.events import Message
from tutor.engine.prepare import embedded_model_path
from tutor.engine.settings import Sampling

def use(engine):
    engine.render_chat([Message("user", "a")])
    list(engine.generate(engine.tokenize("a b"), lambda: Sampling(max_tokens=2)))

def load_model(path):
    with Engine(path, n_ctx=512, n_threads=1) as engine:
        use(engine)

def load_adapter(path):
    base.use_adapter(path)
    use(base)
    base.use_adapter(None)

if sys.argv[1] == "adapter":
    base = Engine(embedded_model_path(), n_ctx=512, n_threads=1)
load = {"model": load_model, "adapter": load_adapter}[sys.argv[1]]
for line in sys.stdin:
    refused = None
    try:
        load(Path(json.loads(line)))
    except EngineError as error:
        refused = f"{type(error).__name__}: {error}"
    print(json.dumps(refused), flush=True)
"""
FLIPS = (0, 1, 4, 8, 9, 10, 27, 127, 128, 255)


class Loader:
    """A process that opens files; a new one after one was ended by a file."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self._errors = folder / "stderr"
        self._process: subprocess.Popen[str] | None = None

    def load(self, path: Path) -> str | None:
        """Why the file was refused, None if it was not. Fails where the process does."""
        process = self._started()
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(str(path)) + "\n")
        process.stdin.flush()
        patience = threading.Timer(60, process.kill)
        patience.start()
        answer = process.stdout.readline()
        patience.cancel()
        if not answer:
            self.end()
            pytest.fail(f"exit status {process.returncode}: {self._errors.read_text()[-600:]}")
        refused = json.loads(answer)
        assert refused is None or refused.isprintable(), "an error of one plain line"
        return refused

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            with self._errors.open("w") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", CHILD, self.kind],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    # llama.cpp would call a debugger to tell where it ended the process.
                    env=os.environ | {"GGML_NO_BACKTRACE": "1"},
                )
        return self._process

    def end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    loader = Loader("model", tmp_path_factory.mktemp("models"))
    yield loader
    loader.end()


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    loader = Loader("adapter", tmp_path_factory.mktemp("adapters"))
    yield loader
    loader.end()


@pytest.fixture(scope="module")
def head() -> bytes:
    """All of the embedded model that stands before its weights."""
    return _head(embedded_model_path())


def _head(path: Path) -> bytes:
    start = min(tensor.start for tensor in read_header(path).tensors.values())
    with path.open("rb") as file:
        return file.read(start)


def model(folder: Path, head: bytes) -> Path:
    """A model of this head; its weights are a hole in the file, which is quick to write."""
    path = folder / "model.gguf"
    path.write_bytes(head)
    os.truncate(path, len(head) + embedded_model_path().stat().st_size)
    return path


def adapter(folder: Path, head: bytes) -> Path:
    """The shipped adapter with another head."""
    path = folder / "adapter.gguf"
    path.write_bytes(head + SHIPPED.read_bytes()[len(head) :])
    return path


def put(head: bytes, at: int, code: str, *values: float) -> bytes:
    """The head with numbers at a place."""
    data = struct.pack("<" + code, *values)
    return head[:at] + data + head[at + len(data) :]


def after(head: bytes, key: str) -> int:
    """Where a key's type stands, or a tensor's dimensions."""
    name = struct.pack("<Q", len(key)) + key.encode()
    return head.index(name) + len(name)


def value(key: str, code: str, number: float) -> Callable[[bytes], bytes]:
    """Puts a number where the key's value, or its text's length, stands."""
    return lambda head: put(head, after(head, key) + 4, code, number)


def text(key: str) -> Callable[[bytes], bytes]:
    """Puts a text where the key's 32-bit number stands; 28 letters keep the file's alignment."""

    def changed(head: bytes) -> bytes:
        at = after(head, key)
        return head[:at] + struct.pack("<IQ", 8, 28) + b"x" * 28 + head[at + 8 :]

    return changed


def flipped(head: bytes, draw: random.Random) -> bytes:
    """One to eight other bytes among metadata and tensor descriptions."""
    data = bytearray(head)
    # Of the long arrays in the middle only some hits are wanted.
    ends = (range(4, min(1200, len(head))), range(max(0, len(head) - 15_000), len(head)))
    for _ in range(draw.choice((1, 1, 2, 8))):
        place = draw.choice((*ends, range(len(head))))
        data[draw.choice(place)] = draw.choice((*FLIPS, draw.randrange(256)))
    return bytes(data)


def held(token: str) -> bytes:
    """A token as the file holds it."""
    data = token.encode()
    return struct.pack("<Q", len(data)) + data


LAST = "output_norm.weight"
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "another magic": lambda head: b"GGML" + head[4:],
    "version 0": lambda head: put(head, 4, "I", 0),
    "version 99": lambda head: put(head, 4, "I", 99),
    "no tensors": lambda head: put(head, 8, "Q", 0),
    "some tensors more": lambda head: put(head, 8, "Q", 300),
    "endless tensors": lambda head: put(head, 8, "Q", 1 << 55),
    "no metadata": lambda head: put(head, 16, "Q", 0),
    "endless metadata": lambda head: put(head, 16, "Q", (1 << 64) - 1),
    "endless name": value("general.name", "Q", (1 << 64) - 1),
    "endless vocabulary": lambda head: put(
        head, after(head, "tokenizer.ggml.tokens") + 8, "Q", 1 << 63
    ),
    "nested vocabulary": lambda head: put(head, after(head, "tokenizer.ggml.tokens") + 4, "I", 9),
    "line break in the architecture": lambda head: head.replace(b"llama", b"l\nama", 1),
    "escape in the tokenizer": lambda head: head.replace(b"smollm", b"sm\x1bllm", 1),
    "no layers": value("llama.block_count", "I", 0),
    "layers without end": value("llama.block_count", "I", (1 << 32) - 1),
    "context of one": value("llama.context_length", "I", 1),
    "context without end": value("llama.context_length", "I", (1 << 32) - 1),
    "no width": value("llama.embedding_length", "I", 0),
    "no heads": value("llama.attention.head_count", "I", 0),
    "heads without end": value("llama.attention.head_count", "I", (1 << 32) - 1),
    "no KV heads": value("llama.attention.head_count_kv", "I", 0),
    "odd rotation": value("llama.rope.dimension_count", "I", 63),
    "negative epsilon": value("llama.attention.layer_norm_rms_epsilon", "f", -1),
    "no number as epsilon": value("llama.attention.layer_norm_rms_epsilon", "f", float("nan")),
    "end outside the vocabulary": value("tokenizer.ggml.eos_token_id", "I", (1 << 32) - 2),
    "text as context": text("llama.context_length"),
    "text as layers": text("llama.block_count"),
    "text as heads": text("llama.attention.head_count"),
    "text as file type": text("general.file_type"),
    "tensor of no dimensions": lambda head: put(head, after(head, LAST), "I", 0),
    "tensor of many dimensions": lambda head: put(head, after(head, LAST), "I", (1 << 32) - 1),
    "endless tensor": lambda head: put(head, after(head, LAST) + 4, "Q", 1 << 62),
    "norm in sixteen bits": lambda head: put(head, after(head, LAST) + 12, "I", 1),
    "tensor of an unknown type": lambda head: put(head, after(head, LAST) + 12, "I", 99),
    "tensor far away": lambda head: put(head, after(head, LAST) + 16, "Q", (1 << 64) - 32),
    "tensor twice": lambda head: head.replace(b"blk.0.attn_q.weight", b"blk.0.attn_k.weight"),
    "token twice": lambda head: head.replace(held("Ġtoken"), held("Ġwater"), 1),
    "template that ends early": lambda head: head.replace(b"{% endfor %}", b"{% endfor  ", 1),
}


def test_two_tokens_that_are_the_same_are_told(models: Loader, head: bytes, tmp_path: Path) -> None:
    assert "a token stands twice" in str(models.load(model(tmp_path, DAMAGES["token twice"](head))))


def test_a_model_without_damage_loads(models: Loader, head: bytes, tmp_path: Path) -> None:
    assert models.load(model(tmp_path, head)) is None


def test_the_shipped_adapter_loads(adapters: Loader) -> None:
    assert adapters.load(SHIPPED) is None


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_never_ends_the_process(
    models: Loader, head: bytes, tmp_path: Path, damage: str
) -> None:
    damaged = DAMAGES[damage](head)
    assert damaged != head
    models.load(model(tmp_path, damaged))


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes_of_a_model_never_end_the_process(
    models: Loader, head: bytes, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    found = [models.load(model(tmp_path, flipped(head, draw))) for _ in range(8)]
    assert any(found)


def test_flipped_bytes_of_an_adapter_never_end_the_process(
    adapters: Loader, tmp_path: Path
) -> None:
    draw = random.Random(7)
    whole = _head(SHIPPED)
    found = [adapters.load(adapter(tmp_path, flipped(whole, draw))) for _ in range(30)]
    assert any(found)


def test_a_model_cut_off_anywhere_is_refused(models: Loader, head: bytes, tmp_path: Path) -> None:
    draw = random.Random(3)
    places = [draw.randrange(length) for length in (30, 900, *[len(head)] * 4)]
    places += [len(head), draw.randrange(len(head), embedded_model_path().stat().st_size - 64)]
    for place in places:
        path = model(tmp_path, head)
        os.truncate(path, place)
        assert "damaged" in (models.load(path) or "") or place < 4


def test_an_adapter_cut_off_anywhere_is_refused(adapters: Loader, tmp_path: Path) -> None:
    whole = SHIPPED.read_bytes()
    draw = random.Random(4)
    for length in (30, 300, 20_000, *[len(whole) - 64] * 4):
        path = tmp_path / "cut.gguf"
        path.write_bytes(whole[: draw.randrange(4, length)])
        assert "damaged" in (adapters.load(path) or "")


def empty(path: Path) -> None:
    path.touch()


def noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(4096))


def locked(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the administrator may read everything")
    path.write_bytes(b"GGUF")
    path.chmod(0)


def circle(path: Path) -> None:
    path.symlink_to(path)


def folder(path: Path) -> None:
    path.mkdir()


def nothing(path: Path) -> None:
    """Leaves the path as it is."""


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [empty, noise, locked, circle, folder, nothing, pipe])
@pytest.mark.parametrize("kind", ["model", "adapter"])
def test_what_is_no_model_file_is_refused(
    models: Loader, adapters: Loader, tmp_path: Path, kind: str, make: Callable[[Path], Any]
) -> None:
    path = tmp_path / "x.gguf"
    make(path)
    loader = models if kind == "model" else adapters
    assert str(path) in (loader.load(path) or "")
