"""What an adapter is worth: the same gold questions to base and tuned model, with and without notes.

An answer is right that states every fact, partly right with some of them, wrong with none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from corpus.gold import GoldQuestion, states
from corpus.reading import NOT_SAID
from tutor.agent.circles import loops
from tutor.agent.evaluate import Judged, answers
from tutor.agent.tutor import Tutor
from tutor.engine.settings import Sampling
from tutor.settings import NONE

SHOWN = "what is shown, all layers"


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts over some answers."""

    right: int
    partly: int
    wrong: int

    @property
    def n(self) -> int:
        return self.right + self.partly + self.wrong


@dataclass(frozen=True, slots=True)
class Way:
    """How one way of answering did on the answerable questions.

    `supported` is the share of the model's sentences that the check lets pass, `said_not` the
    answers that say the notes do not answer, `loops` those that repeat themselves, `cut` those that
    began to and were cut there, `words` their mean length, `tokens_per_second` the median.
    """

    name: str
    scores: Scores
    supported: float
    said_not: int
    loops: int
    cut: int
    words: float
    tokens_per_second: float
    by_lesson: dict[int, Scores] = field(repr=False)


def compare(
    tutor: Tutor,
    questions: Sequence[GoldQuestion],
    adapter: str,
    progress: Callable[[str, float], None] = lambda stage, done: None,
) -> Iterator[Way]:
    """Base and tuned, without and with the lessons, greedily, then all layers together.

    Raises AdapterError. What spoke before speaks again afterwards.
    """
    asked = [question for question in questions if question.answerable]
    sampling = Sampling(greedy=True)
    with tutor.engine.adapter_kept():
        for who, name in (("base", NONE), ("tuned", adapter)):
            tutor.use(name)
            for rag in (False, True):
                stage = f"{who}, {'with' if rag else 'without'} the lessons"
                judged = list(answers(tutor, asked, sampling, rag, _staged(progress, stage)))
                yield way(stage, judged, lambda j: j.answer.model_text)
        yield way(SHOWN, judged, lambda j: j.answer.text)


def way(name: str, judged: Sequence[Judged], said: Callable[[Judged], str]) -> Way:
    """The figures of one way of answering, by the text that `said` takes from each turn."""
    lessons: dict[int, list[Judged]] = defaultdict(list)
    for one in judged:
        lessons[one.question.lesson or 0].append(one)
    shares = [j.answer.supported for j in judged if j.answer.supported is not None]
    speeds = sorted(s for j in judged if (s := j.answer.timings.tokens_per_second))
    return Way(
        name,
        _scores(judged, said),
        sum(shares) / len(shares) if shares else 0.0,
        sum(NOT_SAID in said(j) for j in judged),
        sum(loops(said(j)) for j in judged),
        sum(j.answer.stop_reason == "repeats" for j in judged),
        sum(len(said(j).split()) for j in judged) / max(len(judged), 1),
        speeds[len(speeds) // 2] if speeds else 0.0,
        {lesson: _scores(some, said) for lesson, some in sorted(lessons.items())},
    )


def _scores(judged: Iterable[Judged], said: Callable[[Judged], str]) -> Scores:
    counts = {"right": 0, "partly": 0, "wrong": 0}
    for one in judged:
        stated = [states(said(one), fact) for fact in one.question.facts]
        counts["right" if all(stated) else "partly" if any(stated) else "wrong"] += 1
    return Scores(**counts)


def _staged(progress: Callable[[str, float], None], stage: str) -> Callable[[float], None]:
    return lambda done: progress(stage, done)
