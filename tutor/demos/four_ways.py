"""Lesson 7: one question bare, with an instruction, with notes from the lessons, with an adapter.

The texts stand side by side, and so does what a reference answer gets after each prompt. That
measures how well an answer fits what the model would say, and not whether the model says it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

import prompts
from corpus.gold import normalised
from index.evidence import evidence
from index.passages import without_markup
from index.scope import in_scope
from tutor.demos.demo import Demo, DemoInput, Prediction, Provenance, Run, Shown, spoken
from tutor.demos.figures import Bar, Bars, Columns, Figure, Table
from tutor.demos.reference import Reference, reference_answer
from tutor.demos.workbench import Workbench
from tutor.engine.adapters import shipped_adapter
from tutor.engine.engine import Engine
from tutor.engine.errors import AdapterError
from tutor.engine.events import GenerationStats, Message
from tutor.engine.settings import Sampling
from tutor.text import plain

MOST_TOKENS = 48
_PASSAGES = 3
_ASKED = ("bare", "instruction", "notes")
_ECHO = 200


class FourWaysInput(DemoInput):
    """The question, and how strongly the adapter acts."""

    text: str = Field(
        "What is the rank of a LoRA adapter?",
        min_length=1,
        max_length=500,
        description="A question that the lessons answer.",
    )
    scale: float = Field(
        0.5, ge=0, le=1, description="How strongly the adapter acts, beside its full 1."
    )
    tokens: int = Field(MOST_TOKENS, ge=8, le=MOST_TOKENS, description="Where an answer is cut.")


@dataclass(frozen=True, slots=True)
class Way:
    """One way of asking: what the model said, and the natural log-probability of each token of
    the reference, were it the answer. `scale` is the adapter's; None is the base model."""

    name: str
    scale: float | None
    prompt_tokens: int
    text: str
    tokens: int
    stopped: bool
    logprobs: tuple[float, ...]

    @property
    def logprob(self) -> float:
        """The mean over the reference's tokens, in nats."""
        return float(np.mean(self.logprobs))

    @property
    def p(self) -> float:
        """The geometric mean of the tokens' probabilities."""
        return float(np.exp(self.logprob))

    @property
    def where(self) -> str:
        """Where the answer ends, in words."""
        return f"{'stopped itself' if self.stopped else 'was cut'} after {self.tokens} tokens"


class FourWays(Demo[FourWaysInput]):
    """Asks one question."""

    name: ClassVar[str] = "four-ways"
    lesson: ClassVar[int] = 7
    title: ClassVar[str] = "Four ways to ask"
    about: ClassVar[str] = "Ask one question bare, with a prompt, with notes and with the adapter."
    input = FourWaysInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: FourWaysInput) -> Prediction:
        return Prediction(
            f"{inputs.text[:60]!r} is asked in four ways. After which of them does the model find "
            "a good answer likeliest, token by token?",
            (
                "the bare question",
                "the question with an instruction",
                "the question with notes from the lessons",
                "with the notes, and the adapter on",
            ),
        )

    def run(self, bench: Workbench, inputs: FourWaysInput, run: Run) -> Shown:
        engine, question = bench.engine, spoken(inputs.text).strip()
        run.report("searching the lessons", 0.0)
        found = bench.retriever.search(question, _PASSAGES)
        picked = evidence(bench.retriever, question, found.hits)
        notes = [without_markup(e.sentence) for e in picked]
        reference = reference_answer(bench.retriever, found, picked)
        answerable = in_scope(found).answerable

        prompt_ids = [_prompt(engine, *spoken) for spoken in _messages(question, notes)]
        ids = engine.tokenize(reference.text)
        path, scales = shipped_adapter(), sorted({inputs.scale, 1.0})
        missing = None if path else "no adapter is installed"
        ways: list[Way] = []

        def ask(name: str, scale: float | None, prompt: list[int]) -> None:
            def report(part: float) -> None:
                total = len(_ASKED) + (len(scales) if path else 0)
                run.report(f"asking: {name}", (len(ways) + part) / total)

            text, stats = _answer(engine, prompt, inputs.tokens, run, report)
            ways.append(
                Way(
                    name,
                    scale,
                    stats.prompt_tokens,
                    text,
                    stats.completion_tokens,
                    stats.stop_reason == "end",
                    tuple(engine.score([*prompt, *ids], len(prompt)).tolist()),
                )
            )

        engine.use_adapter(None)
        for name, prompt in zip(_ASKED, prompt_ids, strict=True):
            ask(name, None, prompt)
        if path:
            missing = _misfit(engine, path)
        for scale in () if missing else scales:
            engine.use_adapter(path, scale)
            ask(f"notes + adapter x {scale:g}", scale, prompt_ids[-1])
        adapter = engine.adapter
        engine.use_adapter(None)
        run.report("asked", 1.0)

        best = int(np.argmax([way.logprob for way in ways]))
        copied = normalised(reference.text) in normalised(" ".join(notes))
        return self.shown(
            inputs,
            min(best, len(_ASKED)),
            {
                "reference": asdict(reference)
                | {"source": reference.source, "tokens": len(ids), "stands_in_notes": copied},
                "notes": [
                    {"text": note, "passage_id": e.passage.passage_id}
                    for note, e in zip(notes, picked, strict=True)
                ],
                "lessons_answer": answerable,
                "adapter": adapter.name if adapter else None,
                "adapter_missing": missing,
                "ways": [asdict(way) | {"logprob": way.logprob, "p": way.p} for way in ways],
                "likeliest": ways[best].name,
            },
            _figures(ways, reference, notes, missing),
            _seen(ways, best, reference, missing, copied=copied, answerable=answerable),
            (
                "How do the four ways compare?",
                "Can fine-tuning and RAG be combined?",
                "What can go wrong with RAG?",
            ),
            Provenance(
                engine.info.name
                + (f" and its adapter {adapter.name}" if adapter else ", no adapter"),
                "llama.cpp, greedy, no penalties",
                measured=(
                    "answers",
                    "log-probabilities of the reference's tokens (rounding: about 0.1 nats)",
                ),
                calculated=("their mean", "probability a token = e^mean"),
            ),
        )


def _messages(question: str, notes: Sequence[str]) -> list[list[Message]]:
    """What is said to the model in each of the ways, the adapter aside."""
    asked = Message("user", prompts.render("bare", question=question))
    with_notes = prompts.render("question", question=question, notes=notes)
    return [
        [asked],
        [Message("system", prompts.render("short")), asked],
        [Message("system", prompts.render("system")), Message("user", with_notes)],
    ]


def _prompt(engine: Engine, *messages: Message) -> list[int]:
    return [id for segment in engine.render_chat(messages) for id in segment.ids]


def _misfit(engine: Engine, path: Path) -> str | None:
    """Why the adapter cannot act on this model; None where it can, and then it acts."""
    try:
        engine.use_adapter(path)
    except AdapterError as error:
        return str(error)
    return None


def _answer(
    engine: Engine, prompt: list[int], tokens: int, run: Run, report: Callable[[float], None]
) -> tuple[str, GenerationStats]:
    """What the model says, greedily, in at most so many tokens."""
    greedy = Sampling(greedy=True, repeat_penalty=1.0, max_tokens=tokens)
    # How a prompt is split into batches moves its rounding: read whole, the same question gives
    # the same numbers.
    engine.forget()
    generation = engine.generate(prompt, lambda: greedy, run.cancel)
    text = ""
    for event in generation:
        report(event.index / tokens)
        text += event.text
    report(1.0)
    return text, generation.stats


def _figures(
    ways: Sequence[Way], reference: Reference, notes: Sequence[str], missing: str | None
) -> tuple[Figure, ...]:
    said = [(way.name, f"{_shown(way.text)}\n\n[{way.where}]") for way in ways]
    if missing:
        said.append(("notes + adapter", f"({missing})"))
    numbered = "\n".join(f"[{n}] {note}" for n, note in enumerate(notes, start=1))
    return (
        Columns("the answers without the lessons", tuple(said[:2])),
        Columns("the answers with notes from the lessons", tuple(said[2:])),
        Columns(
            f"the reference: {reference.source}",
            (("reference", reference.text), ("notes", numbered)),
        ),
        Bars(
            "log-probability of the reference, mean a token: the shorter, the likelier",
            tuple(Bar(way.name, way.logprob, f"p {way.p:.2g} a token") for way in ways),
            "nats",
        ),
        Table(
            "what each costs",
            ("way", "prompt tokens", "the answer"),
            tuple((way.name, str(way.prompt_tokens), way.where) for way in ways),
        ),
    )


def _shown(text: str) -> str:
    return plain(text).strip() or "(nothing: the end token came first)"


def _seen(
    ways: Sequence[Way],
    best: int,
    reference: Reference,
    missing: str | None,
    *,
    copied: bool,
    answerable: bool,
) -> str:
    told = ", ".join(f"{way.logprob:.2f} ({way.name})" for way in ways)
    remarks = ["a likely reference does not make the model's own answer right: read the texts"]
    if missing:
        remarks.append(f"the adapter was left out: {missing[:_ECHO]}")
    elif reference.question is not None:
        remarks.append("answers of the bank were trained on, so the adapter may know it by heart")
    if copied:
        remarks.append("the reference stands in the notes, where it can be copied")
    if not answerable:
        remarks.append("the lessons hardly answer this question, the notes are only the nearest")
    second = "; ".join(remarks)
    return (
        f"A token of the reference answer has a mean log-probability of {told}: likeliest with "
        f"{ways[best].name!r}, where its probability is {ways[best].p:.0%}, against "
        f"{ways[0].p:.0%} bare. {second[0].upper()}{second[1:]}."
    )
