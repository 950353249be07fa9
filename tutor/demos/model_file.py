"""Lesson 1: the model file opened: every group of tensors, its parameters, bytes and storage."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from tutor.demos.demo import Demo, DemoInput, Prediction, Provenance, Run, Shown
from tutor.demos.figures import Bar, Bars, Table
from tutor.demos.measuring import meanwhile
from tutor.demos.torch_copy import number_in
from tutor.demos.workbench import Workbench
from tutor.engine.gguf import read_model_info
from tutor.engine.prepare import embedded_model_path

_GROUPS = {
    "token_embd": "embedding table",
    "attn_q": "attention: queries",
    "attn_k": "attention: keys",
    "attn_v": "attention: values",
    "attn_output": "attention: output",
    "ffn_gate": "feed-forward: gate",
    "ffn_up": "feed-forward: up",
    "ffn_down": "feed-forward: down",
    "output": "output layer",
}
"""What GGUF's tensor names stand for; every name with `norm` is a normalisation."""
_PARTS = ("embedding table", "attention", "feed-forward")


class ModelFileInput(DemoInput):
    """Which file, and how deep."""

    file: Literal["running", "shipped"] = Field(
        "running", description="What is running (stored for speed), or the smaller file as shipped."
    )
    layer: int | None = Field(None, description="Opens one layer too: 0 to 29 in SmolLM2-135M.")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One table of numbers in the file; `shape` is GGUF's, the row's length first."""

    name: str
    group: str
    layer: int | None
    shape: tuple[int, ...]
    parameters: int
    bytes: int
    stored: str


@dataclass(frozen=True, slots=True)
class Group:
    """All tensors of one kind; `stored` lists their storage types."""

    name: str
    tensors: int
    parameters: int
    bytes: int
    stored: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What a GGUF file holds. `header_bytes` is all that stands before the first tensor."""

    tensors: tuple[Tensor, ...]
    fields: int
    vocabulary: int
    header_bytes: int


class ModelFile(Demo[ModelFileInput]):
    """Opens the file."""

    name: ClassVar[str] = "model-file"
    lesson: ClassVar[int] = 1
    title: ClassVar[str] = "Inside the model file"
    about: ClassVar[str] = "Open the model file, or one layer, and see where its parameters are."
    input = ModelFileInput

    def predict(self, inputs: ModelFileInput) -> Prediction:
        return Prediction(
            "Which part of the model has the most parameters?",
            (
                "the embedding table, a row for every token",
                "attention, which lets tokens look at each other",
                "the feed-forward networks, which work on each token alone",
            ),
        )

    def run(self, bench: Workbench, inputs: ModelFileInput, run: Run) -> Shown:
        shipped = inputs.file == "shipped"
        path = embedded_model_path() if shipped else Path(bench.engine.info.path)
        info = read_model_info(path)
        if inputs.layer is not None:
            number_in("layer", inputs.layer, info.layers)
        opened = meanwhile(run, lambda inside: _told(path, inside))
        groups = _grouped(opened.tensors)
        total = sum(group.parameters for group in groups)
        parts = {
            part: sum(g.parameters for g in groups if g.name.startswith(part)) for part in _PARTS
        }
        largest = max(_PARTS, key=parts.__getitem__)
        stored = sum(group.bytes for group in groups)
        inside = [t for t in opened.tensors if t.layer is not None and t.layer == inputs.layer]
        figures: list[Bars | Table] = [
            Bars(
                f"parameters of {info.name}, {info.quantization} file",
                tuple(
                    Bar(
                        group.name,
                        group.parameters / 1e6,
                        f"{group.parameters / total:.1%}  {group.tensors}x {group.stored}",
                    )
                    for group in groups
                ),
                unit="M",
            )
        ]
        if inside:
            figures.append(
                Bars(
                    f"layer {inputs.layer}: {sum(t.parameters for t in inside):,} parameters",
                    tuple(
                        Bar(t.name, t.parameters / 1e3, f"{_shape(t)} {t.stored}") for t in inside
                    ),
                    unit="K",
                    digits=1,
                )
            )
        figures.append(
            Table(
                "bytes in the file",
                ("part", "MB", "bytes a parameter", "stored as"),
                (
                    *(
                        (g.name, f"{g.bytes / 1e6:.2f}", f"{g.bytes / g.parameters:.3f}", g.stored)
                        for g in groups
                    ),
                    ("all tensors", f"{stored / 1e6:.2f}", f"{stored / total:.3f}", ""),
                    (
                        "settings and token list",
                        f"{opened.header_bytes / 1e6:.2f}",
                        "",
                        f"{opened.fields} settings, {opened.vocabulary:,} tokens",
                    ),
                    ("the whole file", f"{info.file_bytes / 1e6:.2f}", "", ""),
                ),
            )
        )
        seen = (
            f"{len(opened.tensors)} tensors hold {total:,} parameters, {total / 1e6:.1f} M in all, "
            f"in {info.file_bytes / 1e6:.0f} MB; {parts[largest] / total:.0%} of them are in "
            f"the {largest if largest == 'embedding table' else largest + ' part'}. "
            f"The file holds these numbers, {opened.fields} settings and a list of "
            f"{opened.vocabulary:,} tokens: no texts and no program."
        )
        return self.shown(
            inputs,
            _PARTS.index(largest),
            {
                "file": path.name,
                "file_bytes": info.file_bytes,
                "header_bytes": opened.header_bytes,
                "tensor_bytes": stored,
                "parameters": total,
                "bytes_per_parameter": stored / total,
                "layers": info.layers,
                "vocabulary": opened.vocabulary,
                "parts": parts,
                "groups": [asdict(group) for group in groups],
                "tensors": [asdict(tensor) for tensor in opened.tensors],
            },
            tuple(figures),
            seen,
            (
                "What is inside a model file?",
                "What are parameters?",
                "Where does a model's knowledge sit?",
            ),
            Provenance(
                info.name,
                "the file itself, read with the gguf package",
                measured=("shapes, bytes and storage types of every tensor",),
                calculated=("parameters (the product of each shape)", "shares", "groups by name"),
            ),
        )


def _told(path: Path, run: Run) -> Opened:
    """Reads the file: the package takes seconds for the token list."""
    run.report("reading the model file", 0.5)
    return _opened(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _opened(path: Path, changed: int) -> Opened:
    from gguf import GGUFReader

    reader = GGUFReader(path)
    tokens = reader.get_field("tokenizer.ggml.tokens")
    return Opened(
        tuple(
            Tensor(
                tensor.name,
                _group(tensor.name),
                int(block[1]) if (block := re.match(r"blk\.(\d+)\.", tensor.name)) else None,
                tuple(int(n) for n in tensor.shape),
                int(tensor.n_elements),
                int(tensor.n_bytes),
                tensor.tensor_type.name,
            )
            for tensor in reader.tensors
        ),
        sum(not name.startswith("GGUF.") for name in reader.fields),
        len(tokens.data) if tokens else 0,
        int(reader.data_offset),
    )


def _group(name: str) -> str:
    kind = re.sub(r"^blk\.\d+\.", "", name).removesuffix(".weight")
    return "normalisations" if "norm" in kind else _GROUPS.get(kind, kind)


def _grouped(tensors: Iterable[Tensor]) -> list[Group]:
    members: dict[str, list[Tensor]] = {}
    for tensor in tensors:
        members.setdefault(tensor.group, []).append(tensor)
    groups = [
        Group(
            name,
            len(inside),
            sum(tensor.parameters for tensor in inside),
            sum(tensor.bytes for tensor in inside),
            ", ".join(sorted({tensor.stored for tensor in inside})),
        )
        for name, inside in members.items()
    ]
    return sorted(groups, key=lambda group: -group.parameters)


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))
