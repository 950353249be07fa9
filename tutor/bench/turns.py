"""A tutor's turns, timed: evidence, first word, tokens a second, tracing, adapters."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import prompts
from corpus.gold import load_gold
from tutor.agent.trace import TOP
from tutor.agent.turn import Began, Delta, Done, Retrieved
from tutor.agent.tutor import Tutor
from tutor.bench import bare
from tutor.engine.adapters import shipped_adapter
from tutor.engine.cancel import Cancel
from tutor.engine.engine import Engine
from tutor.engine.events import GenerationStats
from tutor.engine.lookup import DRAFT
from tutor.engine.prepare import embedded_model_path
from tutor.engine.settings import Sampling
from tutor.settings import NONE, SHIPPED

QUESTIONS = (
    "Why does a high temperature make answers stranger?",
    "What is a token?",
    "What does the KV cache keep?",
    "What is overfitting?",
    "What does LoRA train?",
)
_OF_DEV = 15
_WARMING = ("What is a prompt?", "What is attention?")
"""Others than those that are timed: the encoder remembers the vectors of the last questions."""
TOKENS = 96
"""How many are said at most where the speed is taken: more than most answers have."""
_REPEATS = 5


@dataclass(frozen=True, slots=True)
class Turn:
    """One timed turn. Times in milliseconds from the question; the rates are tokens a second."""

    messages: list[dict[str, str]]
    prompt: list[int]
    cached: int
    evidence_ms: float
    first_word_ms: float


def turns(tutor: Tutor, typed: bool = False) -> list[Turn]:
    """A turn a question that is answered, traced as the app does, each a conversation of its own.

    With `typed` the tutor has read ahead for all of the question but its last word, as the app lets
    it while somebody types.
    """
    found = []
    for question in (*QUESTIONS, *_asked()):
        if typed:
            draft = question.rpartition(" ")[0]
            tutor.read_ahead(draft, (), None, Sampling(max_tokens=TOKENS), Cancel())
            tutor.engine.preview(Sampling())  # comes after it
        if (turn := _turn(tutor, question)) is not None:
            found.append(turn)
    return found


def _asked() -> list[str]:
    """Questions as learners word them: an even share of the dev split that the lessons answer."""
    asked = [q.question for q in load_gold("dev") if q.answerable and not q.history]
    return asked[:: len(asked) // _OF_DEV][:_OF_DEV]


def _turn(tutor: Tutor, question: str) -> Turn | None:
    """None where the question is refused: then the model says nothing."""
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
    if read is None:
        return None
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
    """What a warm tutor does. `reading_ms` is what each turn's uncached tokens take to read."""

    turns: list[Turn]
    typed: list[Turn]
    reading_ms: list[float]
    path: Path
    peak_memory_mb: float
    """Of this process while it was nothing but a tutor."""

    def figures(self) -> dict[str, float]:
        """Medians of the tutor's turns."""
        words = [turn.first_word_ms for turn in self.turns]
        reading = zip(words, self.reading_ms, strict=True)
        return {
            "question_to_evidence_ms": statistics.median(t.evidence_ms for t in self.turns),
            "question_to_first_word_ms": statistics.median(words),
            "typed_first_word_ms": _first_word_ms(self.typed),
            "first_word_to_reading": statistics.median(word / ms for word, ms in reading),
            "peak_memory_mb": self.peak_memory_mb,
        }

    def beside_the_plain_way(self) -> dict[str, float]:
        """The same questions by the library; only when the tutor has left the machine to it."""
        plain = bare.plain_first_word_ms(embedded_model_path(), [t.messages for t in self.turns])
        return {
            "plain_first_word_ms": statistics.median(plain),
            "first_word_to_plain": _first_word_ms(self.turns) / statistics.median(plain),
            "typed_first_word_to_plain": _first_word_ms(self.typed) / statistics.median(plain),
        }


def _first_word_ms(turns: Sequence[Turn]) -> float:
    return statistics.median(turn.first_word_ms for turn in turns)


def warm(tutor: Tutor) -> Warm:
    """Times a tutor that has answered before."""
    for question in _WARMING:
        _turn(tutor, question)
    timed = turns(tutor)
    typed = turns(tutor, typed=True)
    reading = [_reading_ms(tutor.engine, turn) for turn in timed]
    return Warm(timed, typed, reading, Path(tutor.info.path), _peak_memory_mb())


def speeds(tutor: Tutor, prompts: Sequence[Sequence[int]]) -> dict[str, float]:
    """Tokens a second of the tutor and of the library's own loop.

    Token by token all answer the first prompt; whole answers, to every prompt, show what the
    lookup in the prompt gains. They are taken in turn, and each ratio is the median of those within
    a round: the machine is not the same from one minute to the next.
    """
    prompt = prompts[0]
    path = Path(tutor.info.path)
    loops = {NONE: bare.Loop(path, None), SHIPPED: bare.Loop(path, shipped_adapter())}
    rounds: list[dict[str, float]] = []
    try:
        for _ in range(_REPEATS):
            one: dict[str, float] = {}
            for name, adapter in (("base", NONE), ("adapter", SHIPPED)):
                began = time.perf_counter()
                tutor.use(adapter)
                one["swap_ms"] = 1000 * (time.perf_counter() - began)
                said = _by_token(tutor.engine, prompt, TOP)
                one[f"{name}_traced"] = said.tokens_per_second
                one[f"{name}_untraced"] = _by_token(tutor.engine, prompt, 0).tokens_per_second
                n = said.completion_tokens - 1
                one[f"{name}_bare"] = loops[adapter].tokens_per_second(prompt, n)
            one["answers_by_token"] = _answering(tutor.engine, prompts, 0)
            one["answers"] = _answering(tutor.engine, prompts, DRAFT)
            rounds.append(one)
    finally:
        for loop in loops.values():
            loop.close()

    def median(of: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(map(of, rounds))

    return {
        "answer_tokens_per_second": median(lambda r: r["answers"]),
        "lookup_gains": median(lambda r: r["answers"] / r["answers_by_token"]),
        "tokens_per_second": median(lambda r: r["adapter_traced"]),
        "bare_tokens_per_second": median(lambda r: r["adapter_bare"]),
        "ratio_to_bare": median(lambda r: r["adapter_traced"] / r["adapter_bare"]),
        "base_tokens_per_second": median(lambda r: r["base_traced"]),
        "bare_base_tokens_per_second": median(lambda r: r["base_bare"]),
        "base_ratio_to_bare": median(lambda r: r["base_traced"] / r["base_bare"]),
        "tracing_costs": median(lambda r: 1 - r["base_traced"] / r["base_untraced"]),
        "adapter_costs": median(lambda r: 1 - r["adapter_untraced"] / r["base_untraced"]),
        "swap_ms": median(lambda r: r["swap_ms"]),
    }


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


def _by_token(engine: Engine, prompt: Sequence[int], top: int) -> GenerationStats:
    return _said(engine, prompt, Sampling(greedy=True, max_tokens=TOKENS), top, draft=0)


def _answering(engine: Engine, prompts: Sequence[Sequence[int]], draft: int) -> float:
    """Tokens a second of answers as they are, traced, each from its first token to its last."""
    sampling = Sampling(greedy=True)
    all_stats = [_said(engine, prompt, sampling, TOP, draft) for prompt in prompts]
    counted = [(s.completion_tokens - 1, s.tokens_per_second) for s in all_stats]
    return sum(n for n, _ in counted) / sum(n / speed for n, speed in counted if speed)


def _said(
    engine: Engine, prompt: Sequence[int], sampling: Sampling, top: int, draft: int
) -> GenerationStats:
    generation = engine.generate(prompt, lambda: sampling, top=top, draft=draft)
    for _ in generation:
        pass
    return generation.stats


def _peak_memory_mb() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
