"""Judges answers on gold questions: what the learner is shown, by the facts that it must state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from corpus.gold import GoldQuestion, states
from tutor.agent.turn import Answer, Done, Exchange
from tutor.agent.tutor import Tutor
from tutor.engine.settings import Sampling


@dataclass(frozen=True, slots=True)
class Judged:
    """One answered gold question; shares are 0 to 1."""

    question: GoldQuestion
    answer: Answer
    fact_recall: float
    correct: bool
    """Every fact is stated in what is shown as the answer."""
    model_correct: bool
    """Every fact is stated in the model's own words."""


def answers(
    tutor: Tutor,
    questions: Sequence[GoldQuestion],
    sampling: Sampling,
    rag: bool = True,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Judged]:
    """Asks every question, a follow-up after the turns before it, and judges the answer."""
    for n, question in enumerate(questions, start=1):
        history: list[Exchange] = []
        for asked in question.history:
            history.append(ask(tutor, asked, history, sampling, rag).exchange)
        answer = ask(tutor, question.question, history, sampling, rag)
        stated = [states(answer.text, fact) for fact in question.facts]
        said = [states(answer.model_text, fact) for fact in question.facts]
        yield Judged(
            question,
            answer,
            sum(stated) / len(stated) if stated else 0.0,
            bool(stated) and all(stated),
            bool(said) and all(said),
        )
        if progress:
            progress(n / len(questions))


def ask(
    tutor: Tutor, question: str, history: Sequence[Exchange], sampling: Sampling, rag: bool = True
) -> Answer:
    """The finished answer of one turn."""
    *_, last = tutor.ask(question, history, sampling=lambda: sampling, rag=rag)
    assert isinstance(last, Done)
    return last.answer
