"""The encoder's training: a real one of two steps, and the slips that it learns to read over."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from safetensors.torch import load_file

from corpus import load_lessons
from corpus.gold import load_gold
from corpus.intents import load_requests
from index.adapt import BASE, BATCH, adapt, misspelled
from index.passages import passages_of


def test_a_training_leaves_an_adapter_that_moves_the_vectors(tmp_path: Path) -> None:
    bank = [q for q in load_gold("train") if q.lesson == 1][:24]
    assert sum(len(q.asked) for q in bank) >= BATCH
    requests = load_requests("train")[:20]
    seen: list[float] = []
    adapt(
        passages_of(load_lessons()[:1], bank), bank, requests, tmp_path, epochs=1,
        progress=lambda stage, done: seen.append(done),
    )  # fmt: skip
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == BASE
    weights = load_file(tmp_path / "adapter_model.safetensors")
    moved = [
        name for name, matrix in weights.items() if "lora_B" in name and matrix.abs().max() > 0
    ]
    assert seen and len(moved) == 36
    assert all(matrix.dtype == torch.float16 for matrix in weights.values())


def test_a_misspelled_text_keeps_most_of_its_letters() -> None:
    text = "what does the temperature change"
    slipped = misspelled(text, random.Random(0))
    assert slipped != text
    assert abs(len(slipped) - len(text)) <= 2
