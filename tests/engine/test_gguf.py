from __future__ import annotations

from pathlib import Path

import pytest

from tutor.engine.gguf import model_info, read_header


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("SmolLM2-135M-Instruct.Q4_1", "SmolLM2-135M-Instruct"),
        ("gemma-2b-it-q4_k_m", "gemma-2b-it"),
        ("llama-IQ3_XS", "llama"),
        ("llama.bf16", "llama"),
        ("my-qwen", "my-qwen"),
        ("sql-query", "sql-query"),
    ],
)
def test_a_model_is_called_as_its_file_without_the_quantization(
    model_path: Path, file: str, name: str
) -> None:
    assert model_info(Path(f"{file}.gguf"), read_header(model_path)).name == name
