"""Lesson 8: the model in several quantizations measured here, and larger models calculated.

All quantizations are made from the shipped 4-bit file, so what its own rounding has cost cannot be
seen: more bits win nothing back, fewer bits round a second time. The larger models are calculated
from this machine's memory and its measured read bandwidth; nothing of them runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from pydantic import Field, field_validator

from tutor.demos.demo import Demo, DemoError, DemoInput, Prediction, Provenance, Run, Shown
from tutor.demos.figures import Bar, Bars, Figure, Table
from tutor.demos.kept import key_of, written_whole
from tutor.demos.larger import SIZES, Larger, larger_models
from tutor.demos.measuring import (
    ANSWER_TOKENS,
    N_CTX,
    PROMPT_TOKENS,
    MeasuredFile,
    all_memory,
    busy_elsewhere,
    free_memory,
    gigabytes,
    meanwhile,
    measure,
    read_bandwidth,
)
from tutor.demos.ngrams import lesson_text
from tutor.demos.workbench import Workbench
from tutor.engine.cores import usable_cores
from tutor.engine.errors import EngineError
from tutor.engine.gguf import Header, ModelInfo, model_info, read_header
from tutor.engine.prepare import NAME, embedded_model_path, quantized_model

Quantization = Literal["F16", "BF16", "Q8_0", "Q6_K", "Q5_0", "Q4_1", "Q4_0", "Q3_K_M", "Q2_K"]

READING_SPEED = 5
"""Tokens a second that people who read along are content with (lesson 8)."""
_SCORED = 256


class ScaleInput(DemoInput):
    """What is measured, and how the larger models would be stored and used."""

    quantizations: tuple[Quantization, ...] = Field(
        ("F16", "Q8_0", "Q4_1", "Q4_0", "Q2_K"),
        min_length=1,
        max_length=len(get_args(Quantization)),
        description=f"Of the tutor's model: some of {', '.join(get_args(Quantization))}.",
    )
    bits: int = Field(4, ge=2, le=32, description="Bits a weight in the larger models.")
    context: int = Field(
        2_048, ge=1, le=1_000_000, description="Tokens of conversation the larger models hold."
    )
    lesson: int = Field(8, ge=1, le=13, description="The loss is that on this lesson's beginning.")

    @field_validator("quantizations", mode="before")
    @classmethod
    def _named_once(cls, value: object) -> object:
        """A command line gives names with commas between them."""
        if isinstance(value, str):
            value = [word.strip().upper() for word in value.split(",") if word.strip()]
        return tuple(dict.fromkeys(value)) if isinstance(value, list | tuple) else value


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """The model in one quantization; sizes are bytes."""

    quantization: str
    info: ModelInfo
    header: Header
    measured: MeasuredFile

    @property
    def tensor_bytes(self) -> int:
        return sum(tensor.size for tensor in self.header.tensors.values())

    @property
    def bits(self) -> float:
        """Bits a weight, with the scales of the blocks and the tensors that are kept finer."""
        return 8 * self.tensor_bytes / self.info.parameters

    @property
    def loss(self) -> float:
        """Nats a token, on the lesson's beginning."""
        return float(self.measured.nats.mean())

    @property
    def kv_bytes(self) -> int:
        """Of one token in 16 bits, by the file's metadata: keys and values."""
        info, meta = self.info, self.header.metadata
        width = info.width // info.heads
        both = (
            meta.get(f"{info.architecture}.attention.{name}_length", width)
            for name in ("key", "value")
        )
        return int(info.layers * info.kv_heads * sum(both) * 2)

    def at_most(self, bandwidth: float) -> float:
        """Answer tokens a second, if memory alone were the limit: each reads weights and cache."""
        cached = self.measured.kv_bytes * (PROMPT_TOKENS + ANSWER_TOKENS)
        return bandwidth / (self.tensor_bytes + cached)


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was measured: files, why others were not, bytes of memory, bytes read a second, and
    the share of the processor that other programs used."""

    files: tuple[Stored, ...]
    absent: dict[str, str]
    memory: int
    free: int
    bandwidth: float
    busy: float

    @property
    def finest(self) -> Stored:
        return max(self.files, key=lambda file: file.bits)

    @property
    def coarsest(self) -> Stored:
        return min(self.files, key=lambda file: file.bits)


class Scale(Demo[ScaleInput]):
    """Measures what is small enough, calculates the rest."""

    name: ClassVar[str] = "scale"
    lesson: ClassVar[int] = 8
    title: ClassVar[str] = "Size, speed and memory"
    about: ClassVar[str] = (
        "Measure this machine and the model in several quantizations; see what larger ones need."
    )
    input = ScaleInput

    def predict(self, inputs: ScaleInput) -> Prediction:
        return Prediction(
            f"Models with 1, 7 and 70 billion parameters are stored with {inputs.bits} bits a "
            f"weight and hold {inputs.context:,} tokens. Which of them fit into this computer's "
            f"free memory and could write at least {READING_SPEED} tokens a second here?",
            ("none of them", "only 1B", "1B and 7B", "all three"),
        )

    def run(self, bench: Workbench, inputs: ScaleInput, run: Run) -> Shown:
        found = meanwhile(run, partial(_measured, bench, inputs))
        if not found.files:
            raise DemoError(f"nothing could be measured: {'; '.join(found.absent.values())}")
        pace = max(file.measured.prompt_speed * file.info.parameters for file in found.files)
        larger = larger_models(inputs.bits, inputs.context, found.free, found.bandwidth, pace)
        usable = [
            size.fits and size.answer_tokens_per_second_at_most >= READING_SPEED for size in larger
        ]
        return self.shown(
            inputs,
            sum(usable),
            {
                "machine": {
                    "cores": usable_cores(),
                    "memory_bytes": found.memory,
                    "free_memory_bytes": found.free,
                    "read_bytes_per_second": found.bandwidth,
                    "busy_elsewhere": found.busy,
                },
                "quantizations": [_row(file, found) for file in found.files],
                "not_measured": found.absent,
                "kv_bytes_per_token": {
                    "measured": found.finest.measured.kv_bytes,
                    "calculated": found.finest.kv_bytes,
                },
                "scored": {"lesson": inputs.lesson, "tokens": len(found.finest.measured.nats)},
                "larger": [asdict(size) for size in larger],
            },
            (*_drawn(found), _larger_table(larger, inputs)),
            _seen(found, larger, inputs),
            (
                "How much memory does a model need?",
                "How much quality does quantization cost?",
                "Why is memory bandwidth the limit for speed?",
            ),
            Provenance(
                bench.engine.info.name,
                f"llama.cpp on {usable_cores()} cores, each file opened alone with {N_CTX:,} tokens",
                measured=(
                    f"tokens a second ({PROMPT_TOKENS} of prompt, up to {ANSWER_TOKENS} of answer, "
                    "the fastest of up to two runs)",
                    "memory by which the process grew",
                    "loss",
                    "KV cache a token",
                    "read bandwidth of all cores",
                    "free memory",
                ),
                calculated=(
                    "bits a weight = 8 x bytes of tensors / parameters",
                    "at most = bandwidth / (weights + KV cache)",
                    "all of 1B, 7B and 70B, shaped like "
                    + ", ".join(size.like for size in SIZES)
                    + ": weights = parameters x bits / 8; prompt speed from the fastest measured, "
                    "by parameters",
                ),
            ),
        )


def _measured(bench: Workbench, inputs: ScaleInput, run: Run) -> Findings:
    run.report("reading memory", 0.0)
    memory, free, busy, bandwidth = (
        all_memory(),
        free_memory(),
        busy_elsewhere(),
        read_bandwidth(),
    )
    lesson = next(lesson for lesson in bench.lessons if lesson.number == inputs.lesson)
    sample = lesson_text(lesson)
    ids = bench.engine.tokenize(sample)[:_SCORED]
    text = b"".join(map(bench.engine.token_bytes, ids)).decode("utf-8", "ignore")
    # Another model than the tutor's own may be too large to be stored again.
    own = bench.engine.info.name == NAME
    wanted = inputs.quantizations if own else (bench.engine.info.quantization,)
    files: list[Stored] = []
    absent: dict[str, str] = {}
    for n, quantization in enumerate(wanted):
        try:
            path = Path(bench.engine.info.path)
            if own:
                path = _made(bench.cache, quantization, run, n / len(wanted))
            header = read_header(path)
            measured = _with_kept_loss(
                bench.cache, path, sample, text, run, (n + 0.5) / len(wanted)
            )
            files.append(Stored(quantization, model_info(path, header), header, measured))
        except (EngineError, DemoError) as error:
            absent[quantization] = str(error)
    return Findings(tuple(files), absent, memory, free, bandwidth, busy)


def _made(cache: Path, quantization: str, run: Run, done: float) -> Path:
    """The shipped file, or one that is made of it once."""
    if quantization == "Q4_1":
        return embedded_model_path()
    stage = f"storing the model as {quantization}"
    run.report(stage, done)
    # Told from a thread of its own, in which `report` must not raise.
    return quantized_model(cache, quantization, lambda part: run.progress(stage, done))


def _with_kept_loss(
    cache: Path, path: Path, sample: str, text: str, run: Run, done: float
) -> MeasuredFile:
    """Measures; the loss of a file on a text never changes and is kept."""
    kept = cache / "scale" / f"{key_of(path, text)}.json"
    if kept.exists():
        measured = measure(path, sample, "", run, done)
        return replace(measured, nats=np.array(json.loads(kept.read_text())["nats"]))
    measured = measure(path, sample, text, run, done)
    with written_whole(kept) as draft:
        draft.write_text(json.dumps({"nats": measured.nats.tolist()}))
    return measured


def _row(file: Stored, found: Findings) -> dict[str, Any]:
    measured = file.measured
    more = measured.nats - found.finest.measured.nats
    return {
        "quantization": file.quantization,
        "file_bytes": file.info.file_bytes,
        "tensor_bytes": file.tensor_bytes,
        "parameters": file.info.parameters,
        "bits_per_weight": file.bits,
        "prompt_tokens_per_second": measured.prompt_speed,
        "answer_tokens_per_second": measured.answer_speed,
        "answer_tokens_per_second_at_most": file.at_most(found.bandwidth),
        "memory_bytes": measured.memory,
        "loss": file.loss,
        "loss_above": found.finest.quantization,
        "loss_more": float(more.mean()),
        # Of the mean of the differences, token by token.
        "loss_more_standard_error": float(more.std(ddof=1) / np.sqrt(len(more))),
    }


def _drawn(found: Findings) -> tuple[Figure, ...]:
    finest = found.finest
    return (
        Bars(
            "the same weights stored differently: size of the file",
            tuple(
                Bar(f.quantization, f.info.file_bytes / 1e6, f"{f.bits:.2f} bits a weight")
                for f in found.files
            ),
            unit="MB",
            digits=0,
        ),
        Bars(
            "answer tokens a second, measured",
            tuple(
                Bar(
                    f.quantization,
                    f.measured.answer_speed,
                    f"calculated: at most {f.at_most(found.bandwidth):.0f}",
                )
                for f in found.files
            ),
            digits=1,
        ),
        Table(
            "measured on this machine",
            ("stored as", "prompt/s", "answer/s", "memory", "loss", f"above {finest.quantization}"),
            tuple(_cells(_row(file, found)) for file in found.files),
        ),
        *(
            (Table("not measured", ("stored as", "why"), tuple(found.absent.items())),)
            if found.absent
            else ()
        ),
        Table(
            "this machine",
            ("what", "measured"),
            (
                ("memory", f"{gigabytes(found.free)} free of {gigabytes(found.memory)}"),
                ("read bandwidth", f"{gigabytes(found.bandwidth)} a second"),
                ("other programs", f"{found.busy:.0%} of the processor, which slows all speeds"),
                (
                    "KV cache",
                    f"{finest.measured.kv_bytes:,.0f} bytes a token with its place "
                    f"(calculated without: {finest.kv_bytes:,})",
                ),
            ),
        ),
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    above = f"{row['loss_more']:+.3f} ±{2 * row['loss_more_standard_error']:.3f}"
    return (
        row["quantization"],
        f"{row['prompt_tokens_per_second']:.0f}",
        f"{row['answer_tokens_per_second']:.1f}",
        f"{row['memory_bytes'] / 1e6:.0f} MB",
        f"{row['loss']:.3f} nats",
        above if row["quantization"] != row["loss_above"] else "",
    )


def _larger_table(larger: Sequence[Larger], inputs: ScaleInput) -> Table:
    return Table(
        f"larger models, calculated: {inputs.bits} bits a weight, {inputs.context:,} tokens",
        ("model", "weights", "KV cache", "needs", "has", "prompt/s", "answer/s at most"),
        tuple(
            (
                size.name,
                gigabytes(size.weight_bytes),
                gigabytes(size.kv_bytes),
                gigabytes(size.needs_bytes),
                gigabytes(size.has_bytes),
                f"{size.prompt_tokens_per_second:.1f}" if size.fits else "",
                f"{size.answer_tokens_per_second_at_most:.1f}" if size.fits else "does not fit",
            )
            for size in larger
        ),
    )


def _seen(found: Findings, larger: Sequence[Larger], inputs: ScaleInput) -> str:
    measured = ", and ".join(
        f"{file.quantization} takes {file.info.file_bytes / 1e6:.0f} MB, writes "
        f"{file.measured.answer_speed:.1f} tokens a second and has a loss of {file.loss:.2f} nats"
        for file in dict.fromkeys((found.finest, found.coarsest))
    )
    fitting = [size for size in larger if size.fits]
    calculated = [
        f"{size.name} with {inputs.bits} bits a weight could write at most "
        f"{size.answer_tokens_per_second_at_most:.1f} tokens a second, because for each one all "
        f"of its {gigabytes(size.needs_bytes)} are read at {gigabytes(found.bandwidth)} a second"
        for size in fitting[-1:]
    ] + [
        f"{size.name} needs {gigabytes(size.needs_bytes)} where {gigabytes(size.has_bytes)} "
        "are free, so it does not fit"
        for size in larger[len(fitting) :][:1]
    ]
    return f"Measured: {measured}. Calculated: {'; '.join(calculated)}."
