"""A tutor's turns, timed: evidence, first word, tokens a second, tracing, adapters."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import prompts
from tutor.agent.trace import TOP
from tutor.agent.turn import Began, Delta, Done, Retrieved
from tutor.agent.tutor import Tutor
from tutor.agent.variants import NONE, SHIPPED
from tutor.bench import bare
from tutor.engine.adapters import shipped_adapter
from tutor.engine.engine import Engine
from tutor.engine.prepare import embedded_model_path
from tutor.engine.settings import Sampling

QUESTIONS = (
    "Why does a high temperature make answers stranger?",
    "What is a token?",
    "What does the KV cache keep?",
    "What is overfitting?",
    "What does LoRA train?",
)
_WARMING = ("What is a prompt?", "What is attention?")
"""Others than those that are timed: the encoder remembers the vectors of the last questions."""
TOKENS = 96
"""How many are said where the speed is taken: more than most answers have."""
_REPEATS = 5


@dataclass(frozen=True, slots=True)
class Turn:
    """One timed turn. Times in milliseconds from the question; the rates are tokens a second."""

    messages: list[dict[str, str]]
    prompt: list[int]
    cached: int
    evidence_ms: float
    first_word_ms: float


def turns(tutor: Tutor) -> list[Turn]:
    """A turn a question, traced as the app traces them, each a conversation of its own."""
    return [_turn(tutor, question) for question in QUESTIONS]


def _turn(tutor: Tutor, question: str) -> Turn:
    began = time.perf_counter()
    evidence_ms = first_word_ms = 0.0
    notes: tuple[str, ...] = ()
    read: Began | None = None
    sampling = Sampling(greedy=True, max_tokens=TOKENS)
    for event in tutor.ask(question, sampling=lambda: sampling, top=TOP):
        now = 1000 * (time.perf_counter() - began)
        if isinstance(event, Retrieved):
            evidence_ms, notes = now, event.notes
        elif isinstance(event, Began):
            read = event
        elif isinstance(event, Delta) and event.event.text.strip() and not first_word_ms:
            first_word_ms = now
        elif isinstance(event, Done):
            break
    assert read is not None, "the lessons answer these questions"
    messages = [
        {"role": "system", "content": prompts.render("system")},
        {
            "role": "user",
            "content": prompts.render("question", question=question, notes=notes),
        },
    ]
    return Turn(messages, read.prompt.tokens, read.cached_tokens, evidence_ms, first_word_ms)


@dataclass(frozen=True, slots=True)
class Warm:
    """What a warm tutor does. `reading_ms` is what each turn's uncached tokens take to read, `speeds`
    are tokens a second by adapter and candidates traced, after the first turn's prompt."""

    turns: list[Turn]
    reading_ms: list[float]
    speeds: dict[tuple[str, int], float]
    swap_ms: float
    path: Path

    def figures(self) -> dict[str, float]:
        """Medians of the tutor by itself."""
        words = [turn.first_word_ms for turn in self.turns]
        reading = zip(words, self.reading_ms, strict=True)
        base, tuned = self.speeds[NONE, 0], self.speeds[SHIPPED, 0]
        return {
            "question_to_evidence_ms": statistics.median(t.evidence_ms for t in self.turns),
            "question_to_first_word_ms": statistics.median(words),
            "first_word_to_reading": statistics.median(word / ms for word, ms in reading),
            "tokens_per_second": self.speeds[SHIPPED, TOP],
            "base_tokens_per_second": base,
            "tracing_costs": 1 - self.speeds[SHIPPED, TOP] / tuned,
            "adapter_costs": 1 - tuned / base,
            "swap_ms": self.swap_ms,
        }

    def beside_the_library(self) -> dict[str, float]:
        """The same work by llama-cpp-python; only when the tutor has left the machine to it."""
        prompt = self.turns[0].prompt
        plain = statistics.median(
            bare.plain_first_word_ms(embedded_model_path(), [t.messages for t in self.turns])
        )
        base, tuned = (
            statistics.median(
                bare.tokens_per_second(self.path, lora, prompt, TOKENS) for _ in range(3)
            )
            for lora in (None, shipped_adapter())
        )
        word = statistics.median(turn.first_word_ms for turn in self.turns)
        return {
            "plain_first_word_ms": plain,
            "first_word_to_plain": word / plain,
            "bare_tokens_per_second": tuned,
            "bare_base_tokens_per_second": base,
            "ratio_to_bare": self.speeds[SHIPPED, TOP] / tuned,
            "base_ratio_to_bare": self.speeds[NONE, 0] / base,
        }


def warm(tutor: Tutor) -> Warm:
    """Times a tutor that has answered before."""
    for question in _WARMING:
        _turn(tutor, question)
    timed = turns(tutor)
    reading = [_reading_ms(tutor.engine, turn) for turn in timed]
    speeds, swap_ms = _speeds(tutor, timed[0].prompt)
    return Warm(timed, reading, speeds, swap_ms, Path(tutor.info.path))


def _reading_ms(engine: Engine, turn: Turn) -> float:
    """What the engine needs for the tokens alone that were not in memory."""
    times = []
    for _ in range(3):
        engine.forget()
        engine.next(turn.prompt[: turn.cached] or turn.prompt[:1], Sampling(), top=1)
        began = time.perf_counter()
        engine.next(turn.prompt, Sampling(greedy=True), top=1)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def _speeds(tutor: Tutor, prompt: Sequence[int]) -> tuple[dict[tuple[str, int], float], float]:
    """Tokens a second by adapter and candidates traced, taken in turn so that all see one machine;
    and the time of a swap in milliseconds."""
    speeds: dict[tuple[str, int], list[float]] = {}
    swaps = []
    for _ in range(_REPEATS):
        for adapter in (NONE, SHIPPED):
            began = time.perf_counter()
            tutor.use(adapter)
            swaps.append(1000 * (time.perf_counter() - began))
            for top in (0, TOP):
                speeds.setdefault((adapter, top), []).append(_speed(tutor.engine, prompt, top))
    return {key: statistics.median(found) for key, found in speeds.items()}, statistics.median(
        swaps
    )


def _speed(engine: Engine, prompt: Sequence[int], top: int) -> float:
    # The end of the answer is banned, so that all say the same number of tokens.
    sampling = Sampling(greedy=True, max_tokens=TOKENS, logit_bias={engine.end_id: -100.0})
    generation = engine.generate(prompt, lambda: sampling, top=top)
    for _ in generation:
        pass
    return generation.stats.tokens_per_second
