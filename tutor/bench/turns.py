"""A tutor's turns, timed: evidence, first word, tokens a second, tracing, adapters."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
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
from tutor.engine.cores import share
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
_SETTLING = 0.5


@dataclass(frozen=True, slots=True)
class Turn:
    """One timed turn. Times in milliseconds from the question."""

    messages: list[dict[str, str]]
    prompt: list[int]
    cached: int
    evidence_ms: float
    first_word_ms: float


def turns(tutor: Tutor, typed: bool = False) -> Iterator[Turn]:
    """A turn a question that is answered, traced as the app does, each a conversation of its own.

    With `typed` the tutor has read ahead for all of the question but its last word, as the app lets
    it while somebody types.
    """
    for question in (*QUESTIONS, *_asked()):
        if typed:
            draft = question.rpartition(" ")[0]
            tutor.read_ahead(draft, (), None, Sampling(max_tokens=TOKENS), Cancel())
            tutor.engine.preview(Sampling())  # comes after it
        if (turn := _turn(tutor, question)) is not None:
            yield turn


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
    """What a warm tutor does. `reading_ms` is what each turn's uncached tokens take to read, measured
    right after it, `plain_ms` what the plain way takes to its first word, once after the turns and once
    after the typed ones: the machine changes its speed."""

    turns: list[Turn]
    typed: list[Turn]
    reading_ms: list[float]
    plain_ms: tuple[list[float], list[float]]
    path: Path
    peak_memory_mb: float
    """Of this process while it was nothing but a tutor."""

    def figures(self) -> dict[str, float]:
        """Medians of the tutor's turns."""
        asked = [turn.first_word_ms for turn in self.turns]
        typed = [turn.first_word_ms for turn in self.typed]
        return {
            "question_to_evidence_ms": statistics.median(t.evidence_ms for t in self.turns),
            "question_to_first_word_ms": statistics.median(asked),
            "typed_first_word_ms": statistics.median(typed),
            "first_word_to_reading": _ratio(asked, self.reading_ms),
            "plain_first_word_ms": statistics.median(self.plain_ms[0]),
            "first_word_to_plain": _ratio(asked, self.plain_ms[0]),
            "typed_first_word_to_plain": _ratio(typed, self.plain_ms[1]),
            "peak_memory_mb": self.peak_memory_mb,
        }


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios, turn by turn."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def warm(tutor: Tutor) -> Warm:
    """Times a tutor that has answered before."""
    plain = bare.Plain(embedded_model_path())
    try:
        for question in _WARMING:
            _turn(tutor, question)
        timed, reading = [], []
        for turn in turns(tutor):
            timed.append(turn)
            reading.append(_reading_ms(tutor.engine, turn))
        beside = [plain.first_word_ms(turn.messages) for turn in timed]
        # The engine takes no more threads than others leave cores, and sees twice a second which.
        share().threads()
        time.sleep(_SETTLING)
        typed = list(turns(tutor, typed=True))
        beside_typed = [plain.first_word_ms(turn.messages) for turn in typed]
    finally:
        plain.close()
    path = Path(tutor.info.path)
    return Warm(timed, typed, reading, (beside, beside_typed), path, _peak_memory_mb())


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
            loop = loops[SHIPPED]
            one["answers_by_token"], _ = _answering(tutor.engine, prompts, 0)
            one["answers"], lengths = _answering(tutor.engine, prompts, DRAFT)
            one["answers_bare"] = _together(
                [(n, loop.tokens_per_second(p, n)) for p, n in zip(prompts, lengths, strict=True)]
            )
            rounds.append(one)
    finally:
        for loop in loops.values():
            loop.close()

    def median(of: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(map(of, rounds))

    return {
        "answer_tokens_per_second": median(lambda r: r["answers"]),
        "answers_to_bare": median(lambda r: r["answers"] / r["answers_bare"]),
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


def _answering(
    engine: Engine, prompts: Sequence[Sequence[int]], draft: int
) -> tuple[float, list[int]]:
    """Tokens a second of answers as they are, traced, each from its first token to its last, and how
    many these are."""
    sampling = Sampling(greedy=True)
    all_stats = [_said(engine, prompt, sampling, TOP, draft) for prompt in prompts]
    lengths = [s.completion_tokens - 1 for s in all_stats]
    rates = [s.tokens_per_second for s in all_stats]
    return _together(list(zip(lengths, rates, strict=True))), lengths


def _together(said: Sequence[tuple[int, float]]) -> float:
    """Tokens a second of several answers, of which the tokens and the rate of each are told."""
    said = [(n, rate) for n, rate in said if rate]
    return sum(n for n, _ in said) / sum(n / rate for n, rate in said)


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
