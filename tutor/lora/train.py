"""Trains a LoRA adapter with transformers and PEFT on the weights of the GGUF file that speaks.

The loss counts on the answers' tokens only, and only their logits are computed. A killed training
goes on from its last checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tutor.engine.weights import torch_model
from tutor.lora import LoraError
from tutor.lora.dataset import Encoded

Progress = Callable[[str, float], None]

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_CHECKPOINT_EVERY = 40
_WINDOW = 16
"""Batches whose examples are sorted by length together: less padding, and still shuffled."""


class Recipe(BaseModel):
    """How the adapter is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rank: int = Field(16, ge=1, le=128, description="Columns of lora_A: what the adapter can hold.")
    alpha: float = Field(32.0, gt=0, le=1024, description="The update counts alpha / rank.")
    learning_rate: float = Field(
        6e-4, gt=0, le=0.1, description="Its peak; a cosine brings it down."
    )
    epochs: int = Field(1, ge=1, le=100, description="Passes over the examples.")
    batch: int = Field(8, ge=1, le=256, description="Examples a step.")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Of the adapter's inputs; costs a third of the speed."
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="The share of steps that the rate rises.")
    seed: int = Field(0, ge=0, description="Of the order, the beginning and the dropout.")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the mean loss of its answers' tokens, in nats."""

    step: int
    loss: float
    learning_rate: float


def train(
    gguf: Path,
    cache: Path,
    data: Sequence[Encoded],
    to: Path,
    recipe: Recipe = Recipe(),  # noqa: B008 (immutable)
    progress: Progress = lambda stage, done: None,
) -> list[Step]:
    """Trains on `data` and leaves PEFT's two files and losses.json in `to`.

    A GPU is used where torch finds one. Raises LoraError without data, or where the loss is no
    number any more; ModelFileError for a model that transformers cannot read.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    if len(data) < recipe.batch:
        raise LoraError(f"{len(data)} examples are fewer than one batch of {recipe.batch}")
    torch.manual_seed(recipe.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    base = torch_model(gguf, cache, progress)
    base.set_attn_implementation("sdpa")
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(TARGETS),
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config).to(device).train()
    try:
        return _trained(model, data, to, recipe, _key(gguf, data, recipe), device, progress)
    finally:
        # The copy of the weights is shared with the demonstrations.
        model.unload()
        base.set_attn_implementation("eager")
        base.to("cpu").eval()


def _trained(
    model: Any,
    data: Sequence[Encoded],
    to: Path,
    recipe: Recipe,
    key: str,
    device: str,
    progress: Progress,
) -> list[Step]:
    import torch

    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=0.0)
    batches = list(_batches(data, recipe))
    state = to / "checkpoint.pt"
    steps = _resumed(state, key, model, optimizer)
    for n in range(len(steps), len(batches)):
        rate = recipe.learning_rate * _schedule(n / len(batches), recipe.warmup)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = _loss(model, [data[i] for i in batches[n]], device)
        if not math.isfinite(value := loss.item()):
            raise LoraError(f"the loss is no number any more at step {n + 1}: take a lower rate")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        steps.append(Step(n + 1, value, rate))
        if (n + 1) % _CHECKPOINT_EVERY == 0:
            _keep(state, key, steps, model, optimizer)
        progress(f"training, loss {value:.2f}", (n + 1) / len(batches))
    model.save_pretrained(to)
    (to / "losses.json").write_text(json.dumps([asdict(step) for step in steps]))
    state.unlink(missing_ok=True)
    return steps


def _loss(model: Any, batch: Sequence[Encoded], device: str) -> Any:
    """The mean cross-entropy of the answers' tokens."""
    import torch

    longest = max(map(len, batch))
    # Padding stands on the right: under the causal mask nothing before it sees it.
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    wanted = torch.full((len(batch), longest), -100, dtype=torch.long)
    for row, example in enumerate(batch):
        ids[row, : len(example)] = torch.tensor(example.prompt + example.answer)
        # Position n predicts token n + 1.
        begin = len(example.prompt) - 1
        wanted[row, begin : begin + len(example.answer)] = torch.tensor(example.answer)
    ids, wanted = ids.to(device), wanted.to(device)
    counts = wanted >= 0
    states = model.base_model.model.model(ids, use_cache=False).last_hidden_state
    logits = model.base_model.model.lm_head(states[counts])
    return torch.nn.functional.cross_entropy(logits.float(), wanted[counts])


def _batches(data: Sequence[Encoded], recipe: Recipe) -> Iterator[list[int]]:
    """Every epoch's batches as places in `data`; the last examples that fill no batch wait."""
    draw = random.Random(recipe.seed)
    for _ in range(recipe.epochs):
        order = list(range(len(data)))
        draw.shuffle(order)
        size = recipe.batch * _WINDOW
        epoch = []
        for start in range(0, len(order), size):
            window = sorted(order[start : start + size], key=lambda i: len(data[i]))
            epoch += [window[i : i + recipe.batch] for i in range(0, len(window), recipe.batch)]
        epoch = [batch for batch in epoch if len(batch) == recipe.batch]
        draw.shuffle(epoch)
        yield from epoch


def _schedule(done: float, warmup: float) -> float:
    """The share of the peak learning rate: up in a line, down in a cosine to a tenth."""
    if done < warmup:
        return max(done / warmup, 0.02)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def _key(gguf: Path, data: Sequence[Encoded], recipe: Recipe) -> str:
    told = [recipe.model_dump_json(), gguf.name, str(gguf.stat().st_size)]
    told += [f"{e.prompt}{e.answer}" for e in data]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _keep(file: Path, key: str, steps: Sequence[Step], model: Any, optimizer: Any) -> None:
    import torch
    from peft import get_peft_model_state_dict

    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part")
    kept = {
        "key": key,
        "steps": [asdict(step) for step in steps],
        "adapter": get_peft_model_state_dict(model),
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
    }
    torch.save(kept, draft)
    draft.replace(file)


def _resumed(file: Path, key: str, model: Any, optimizer: Any) -> list[Step]:
    """The steps that a killed training of the same key had made, its state put back."""
    import torch
    from peft import set_peft_model_state_dict

    # A cut-off or foreign checkpoint means to begin anew; torch and pickle raise many types.
    with suppress(Exception):
        kept = torch.load(file, weights_only=True)
        if kept["key"] == key:
            set_peft_model_state_dict(model, kept["adapter"])
            optimizer.load_state_dict(kept["optimizer"])
            torch.set_rng_state(kept["random"])
            return [Step(**step) for step in kept["steps"]]
    if file.exists():
        shutil.move(file, file.with_suffix(".old"))
    return []
