from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tutor.engine import weights
from tutor.engine.errors import ModelFileError
from tutor.engine.prepare import embedded_model_path
from tutor.engine.weights import torch_model


def test_a_file_is_converted_wherever_the_learner_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere" / "tutor"
    elsewhere.mkdir(parents=True)
    (elsewhere / "__init__.py").write_text("raise ImportError('not the tutor')")
    monkeypatch.chdir(elsewhere.parent)
    model = torch_model(embedded_model_path(), tmp_path / "cache")
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    (kept,) = (p for p in (tmp_path / "cache" / "torch").iterdir() if p.is_dir())
    assert (kept / "model.safetensors").exists()


def test_a_file_that_transformers_cannot_read_is_told_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(ModelFileError, match=r"^transformers cannot read broken\.gguf: [^\n]+$"):
        torch_model(broken, tmp_path / "cache")
    assert not [p for p in (tmp_path / "cache" / "torch").iterdir() if p.is_dir()]


def test_what_was_converted_before_is_not_converted_again(
    model_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch_model(model_path, cache)
    monkeypatch.setattr(weights, "_LOADED", {})
    monkeypatch.setattr(sys, "executable", "no such program")
    assert torch_model(model_path, cache) is torch_model(model_path, cache)
