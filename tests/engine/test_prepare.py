from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize

from tutor.engine import prepare
from tutor.engine.gguf import read_model_info
from tutor.engine.prepare import (
    embedded_model_path,
    fast_quantization,
    prepared_model,
    quantized_model,
)


@pytest.fixture
def copy(tmp_path: Path, model_path: Path) -> Path:
    """A cache of its own, with the prepared model in it."""
    shutil.copytree(model_path.parent, tmp_path / "models")
    return tmp_path


def test_the_prepared_model_has_the_same_parameters_stored_as_is_fast(model_path: Path) -> None:
    info = read_model_info(model_path)
    assert (info.parameters, info.quantization) == (134_515_008, fast_quantization())


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (b"CPU : AVX2 = 1 | AVX512 = 1 | ", "Q8_0"),
        (b"CPU : NEON = 1 | ARM_FMA = 1 | ", "Q8_0"),
        (b"CPU : AVX512 = 1 | AVX512_BF16 = 1 | ", "BF16"),
        (b"CPU : AVX512 = 1 | AVX512_BF16 = 1 | AMX_INT8 = 1 | ", "Q8_0"),
    ],
)
def test_sixteen_bits_are_for_processors_that_multiply_them(
    monkeypatch: pytest.MonkeyPatch, told: bytes, expected: str
) -> None:
    monkeypatch.setattr(llama_cpp, "llama_print_system_info", lambda: told)
    assert fast_quantization() == expected


def test_a_prepared_model_is_not_made_again(copy: Path) -> None:
    before = prepared_model(copy).stat().st_ino
    assert prepared_model(copy).stat().st_ino == before


def test_weights_in_sixteen_bits_are_the_shipped_numbers(cache: Path) -> None:
    shipped, made = (
        {tensor.name: tensor for tensor in GGUFReader(path).tensors}
        for path in (embedded_model_path(), quantized_model(cache, "F16"))
    )
    for name in ("token_embd.weight", "blk.0.attn_q.weight", "blk.29.ffn_down.weight"):
        expected, found = (
            dequantize(tensor.data, tensor.tensor_type) for tensor in (shipped[name], made[name])
        )
        # Half precision keeps 11 bits of each number.
        np.testing.assert_allclose(found, expected, rtol=2**-11, atol=1e-7)


def test_a_cut_off_model_is_made_again(copy: Path, model_path: Path) -> None:
    target = copy / "models" / model_path.name
    whole = target.stat().st_size
    with target.open("r+b") as file:
        file.truncate(1000)
    seen: list[float] = []
    assert prepared_model(copy, seen.append).stat().st_size == whole
    assert seen[-1] == 1.0


def test_a_missing_model_package_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(prepare.ModelFileError, match="pip install"):
        prepare.embedded_model_path()


def test_two_processes_may_prepare_the_model_at_once(tmp_path: Path, model_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tutor.engine.prepare import prepared_model;"
        "print(prepared_model(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = {process.communicate()[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    (made,) = told
    assert filecmp.cmp(made, model_path, shallow=False)
    assert not list(Path(made).parent.glob("*.part"))
