"""Lesson 9: the search judged on a slice of the gold set, a knob turned, judged again.

The slice is of the dev split, on which decisions are made; the test split stays untouched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from textwrap import shorten
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from corpus.gold import GoldQuestion, load_gold
from index.evaluate import Estimate, Outcome, estimate, evaluate, paired_p
from index.passages import Passage
from index.retriever import Retriever
from index.settings import Retrieval
from tutor.demos.demo import Demo, DemoError, DemoInput, Prediction, Provenance, Run, Shown
from tutor.demos.figures import Bar, Bars, Figure, Table
from tutor.demos.typed import choices, takes
from tutor.demos.workbench import Workbench

FEWEST = 30
"""Questions under which nothing is claimed."""
_LEVEL = 0.05
_EXAMPLES = 4
_LONGEST = 90

Knob = Literal[
    "questions", "sentences", "whole", "heading", "bm25_questions", "spelling",
    "bm25_weight", "context_weight", "mode", "fusion",
]  # fmt: skip
Claim = Literal["worse", "nothing", "better"]

_OTHER: dict[Knob, str] = {
    "bm25_weight": "0",
    "context_weight": "0",
    "mode": "bm25",
    "fusion": "ranks",
}
"""What a knob that is no switch is turned to where the learner gives no value."""


class ProjectLoopInput(DemoInput):
    """The slice, and the knob."""

    lesson: int = Field(0, ge=0, description="The lesson whose questions are asked; 0 is all.")
    questions: int = Field(
        60, ge=0, le=1_000, description="How many, spread evenly; all where there are fewer."
    )
    knob: Knob = Field("mode", description="What is turned between the two runs.")
    value: str = Field(
        "",
        max_length=20,
        validate_default=True,
        description="Its new value; by default off, 0 or another kind.",
    )

    @field_validator("value")
    @classmethod
    def _fits(cls, value: str, info: ValidationInfo) -> str:
        knob: Knob | None = info.data.get("knob")
        if knob is None:
            return value
        value = value.strip() or _OTHER.get(knob, "false")
        try:
            Retrieval.model_validate({knob: value})
        except ValidationError as error:
            field = Retrieval.model_fields[knob]
            told = " or ".join(choices(field)) or takes(field).rstrip(".")
            raise ValueError(f"{knob} takes {told}") from error
        return value


@dataclass(frozen=True, slots=True)
class Comparison:
    """hit@1 of two searches of the same questions. `difference` is after minus before, paired."""

    before: Estimate
    after: Estimate
    difference: Estimate
    p: float
    won: int
    lost: int

    @property
    def claim(self) -> Claim:
        """What may be said: enough questions, an interval without 0, and a small p together."""
        low, high = self.difference.low, self.difference.high
        if self.difference.n < FEWEST or low <= 0 <= high or self.p >= _LEVEL:
            return "nothing"
        return "better" if low > 0 else "worse"


def compare(before: Sequence[float], after: Sequence[float]) -> Comparison:
    """Two runs over the same questions, 1 where the first passage was right and 0 elsewhere."""
    differences = [b - a for a, b in zip(before, after, strict=True)]
    return Comparison(
        estimate(before),
        estimate(after),
        estimate(differences),
        paired_p(before, after),
        sum(d > 0 for d in differences),
        sum(d < 0 for d in differences),
    )


class ProjectLoop(Demo[ProjectLoopInput]):
    """Goes once round the loop."""

    name: ClassVar[str] = "project-loop"
    lesson: ClassVar[int] = 9
    title: ClassVar[str] = "The project loop"
    about: ClassVar[str] = "Measure the search on gold questions, turn a knob, measure it again."
    input = ProjectLoopInput

    def predict(self, inputs: ProjectLoopInput) -> Prediction:
        about = (Retrieval.model_fields[inputs.knob].description or "").rstrip(".")
        return Prediction(
            f"The search is judged by whether its first passage is right, then again with "
            f"{inputs.knob} = {inputs.value} ({about}). What may be claimed after that?",
            (
                "the search got worse",
                "nothing: the difference may be chance, or the questions are too few",
                "the search got better",
            ),
        )

    def run(self, bench: Workbench, inputs: ProjectLoopInput, run: Run) -> Shown:
        chosen = _slice(bench, inputs)
        settings = bench.retriever.settings
        turned = Retrieval.model_validate(settings.model_dump() | {inputs.knob: inputs.value})
        old, new = (getattr(s, inputs.knob) for s in (settings, turned))
        if old == new:
            raise DemoError(f"{inputs.knob} is {old} already: give another value", "value")
        before = _searched(bench.retriever, chosen, "searching", 0.0, run)
        after = _searched(bench.retriever.with_settings(turned), chosen, "again", 0.5, run)
        run.report("judged", 1.0)

        found = compare([o.hit_at_1 for o in before], [o.hit_at_1 for o in after])
        passages = {p.passage_id: p for p in bench.retriever.passages}
        rows = [_row(a, b) for a, b in zip(before, after, strict=True)]
        return self.shown(
            inputs,
            {"worse": 0, "nothing": 1, "better": 2}[found.claim],
            {
                "split": "dev",
                "n": len(chosen),
                "knob": {"name": inputs.knob, "before": old, "after": new},
                "hit_at_1": {"before": asdict(found.before), "after": asdict(found.after)},
                "difference": asdict(found.difference),
                "p": found.p,
                "won": found.won,
                "lost": found.lost,
                "claim": found.claim,
                "questions": rows,
            },
            _figures(found, rows, passages, inputs.knob, old, new),
            _seen(found, f"{inputs.knob} = {new}".lower()),
            (
                "How sure is a measured result?",
                "Why are examples split into train, dev and test?",
                "How is a regression avoided?",
            ),
            Provenance(
                "the tutor's search (no language model)",
                "the encoder all-MiniLM-L6-v2 by onnxruntime, BM25 by bm25s",
                measured=(
                    "hit@1: whether the first passage is one that holds the answer",
                    "on dev, where the search's own settings were chosen: they look a little "
                    "better here than they are",
                ),
                calculated=(
                    "95% bootstrap intervals, that of the difference question by question",
                    "p by a sign-flip test",
                    f"a claim takes {FEWEST} questions, an interval without 0, p under {_LEVEL}",
                ),
            ),
        )


def _slice(bench: Workbench, inputs: ProjectLoopInput) -> list[GoldQuestion]:
    """Dev questions with an answer, spread evenly over lessons and kinds. Raises DemoError."""
    numbers = [lesson.number for lesson in bench.lessons]
    if inputs.lesson not in (0, *numbers):
        raise DemoError(
            f"give {min(numbers)} to {max(numbers)}, or 0 for all, not {inputs.lesson}", "lesson"
        )
    there = [q for q in load_gold("dev") if q.answerable and inputs.lesson in (0, q.lesson)]
    if not there:
        raise DemoError(
            f"the slice is empty: lesson {inputs.lesson} has no questions in the dev "
            "split; give another, or 0 for all",
            "lesson",
        )
    if not inputs.questions:
        raise DemoError(f"the slice is empty: give 1 to {len(there)}, not 0", "questions")
    count = min(inputs.questions, len(there))
    return [there[n * len(there) // count] for n in range(count)]


def _searched(
    retriever: Retriever, questions: Sequence[GoldQuestion], stage: str, done: float, run: Run
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for n, question in enumerate(questions):
        run.report(f"{stage}: {n} of {len(questions)}", done + n / len(questions) / 2)
        outcomes += evaluate(retriever, [question])
    return outcomes


def _row(before: Outcome, after: Outcome) -> dict[str, Any]:
    question = before.question
    return {
        "id": question.id,
        "question": " / ".join((*question.history, question.question)),
        "right": sorted(question.relevant),
        "before": _first(before),
        "after": _first(after),
    }


def _first(outcome: Outcome) -> dict[str, Any]:
    """The first passage, and the rank of the first right one (None: not among those looked at)."""
    hits = outcome.found.hits
    ranks = (h.rank for h in hits if h.passage.passage_id in outcome.question.relevant)
    return {
        "first": hits[0].passage.passage_id,
        "hit": bool(outcome.hit_at_1),
        "rank": next(ranks, None),
    }


def _figures(
    found: Comparison,
    rows: Sequence[dict[str, Any]],
    passages: dict[str, Passage],
    knob: str,
    old: object,
    new: object,
) -> tuple[Figure, ...]:
    d = found.difference
    runs = ((f"{knob} = {old}".lower(), found.before), (f"{knob} = {new}".lower(), found.after))
    told = (f"{d.mean:+.3f}", f"{d.low:+.3f} to {d.high:+.3f}", f"{found.p:.3f}")
    won = [row for row in rows if row["after"]["hit"] and not row["before"]["hit"]]
    lost = [row for row in rows if row["before"]["hit"] and not row["after"]["hit"]]
    return (
        Bars(
            f"share of {d.n} questions whose first passage is right (hit@1)",
            tuple(Bar(name, e.mean, f"95%: {e.low:.2f} to {e.high:.2f}") for name, e in runs),
            digits=3,
        ),
        Table(
            "the difference on the same questions",
            ("hit@1", "95% interval", "p", "questions", "won", "lost"),
            ((*told, str(d.n), str(found.won), str(found.lost)),),
        ),
        *(
            _examples(title, some, passages, wrong)
            for title, some, wrong in (("won", won, "before"), ("lost", lost, "after"))
            if some
        ),
    )


def _examples(
    title: str, rows: Sequence[dict[str, Any]], passages: dict[str, Passage], wrong: str
) -> Table:
    right = "after" if wrong == "before" else "before"
    some = rows if len(rows) <= _EXAMPLES else rows[:: len(rows) // _EXAMPLES][:_EXAMPLES]

    def section(row: dict[str, Any], run: str) -> str:
        passage = passages[row[run]["first"]]
        return f"{passage.lesson}: {passage.section}"

    return Table(
        f"{title}: {len(rows)}" + (f", {len(some)} of them" if len(some) < len(rows) else ""),
        ("question", f"first {right} (right)", f"first {wrong} (wrong)"),
        tuple(
            (
                shorten(row["question"], _LONGEST, placeholder=" …"),
                section(row, right),
                section(row, wrong),
            )
            for row in some
        ),
    )


def _seen(found: Comparison, turned: str) -> str:
    d = found.difference
    first = (
        f"Of {d.n} questions {found.before.mean * d.n:.0f} had the right passage first, and "
        f"{found.after.mean * d.n:.0f} with {turned}: {found.won} won, {found.lost} lost."
    )
    if d.n < FEWEST:
        return (
            f"{first} With {d.n} question{'s' if d.n > 1 else ''}, under {FEWEST}, nothing can be claimed "
            f"from the difference of {100 * d.mean:+.1f} points."
        )
    told = (
        f"The difference of {100 * d.mean:+.1f} points has a 95% interval from "
        f"{100 * d.low:+.1f} to {100 * d.high:+.1f} and p = {found.p:.3f}"
    )
    verdict = (
        "it may be chance, and nothing can be claimed"
        if found.claim == "nothing"
        else f"on questions like these the search got {found.claim} by more than chance"
    )
    return f"{first} {told}: {verdict}."
