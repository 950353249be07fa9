"""Lesson 12: n-gram models with back-off, counted on all lessons but one and tested on that one.

They work on the tokens of the running model, so that its bits a byte on the same text can stand
beside theirs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from corpus import Lesson
from tutor.demos.backoff import BackOff, Context
from tutor.demos.demo import Demo, DemoInput, Prediction, Provenance, Run, Shown, spoken
from tutor.demos.figures import Bar, Bars, Table
from tutor.demos.kept import key_of, written_whole
from tutor.demos.workbench import Workbench
from tutor.engine.engine import Engine
from tutor.engine.settings import Sampling
from tutor.text import visible

ORDERS = (1, 2, 3, 4, 5)
_WINDOW, _OVERLAP, _CHUNK = 1024, 256, 32
_OFTEN = 64
_TRAINED = {"SmolLM2-135M": "about 2 trillion tokens (SmolLM2 report, arXiv 2502.02737)"}


class NgramsInput(DemoInput):
    """The lesson that is kept out of training, and the words that are continued."""

    text: str = Field(
        "A language model is", min_length=1, max_length=500, description="Words to continue."
    )
    lesson: int = Field(13, ge=1, le=13, description="Tested on this one, trained on the others.")
    tokens: int = Field(20, ge=1, le=60, description="How far the words are continued.")
    seed: int = Field(42, ge=0, le=2**32 - 2, description="Where the random numbers start.")


class Ngrams(Demo[NgramsInput]):
    """Counts, tests, continues."""

    name: ClassVar[str] = "ngrams"
    lesson: ClassVar[int] = 12
    title: ClassVar[str] = "N-gram models"
    about: ClassVar[str] = "Train n-gram models on twelve lessons and set them beside the model."
    input = NgramsInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: NgramsInput) -> Prediction:
        return Prediction(
            f"N-gram models of order 1 to 5 are counted on all lessons but {inputs.lesson}. "
            f"Which predicts lesson {inputs.lesson} best?",
            tuple(f"order {n}: {_looks(n)}" for n in ORDERS),
        )

    def run(self, bench: Workbench, inputs: NgramsInput, run: Run) -> Shown:
        engine = bench.engine
        words = engine.tokenize(spoken(inputs.text).rstrip())
        tested = next(lesson for lesson in bench.lessons if lesson.number == inputs.lesson)
        others = [lesson for lesson in bench.lessons if lesson is not tested]
        counted = BackOff(ORDERS[-1], engine.info.n_vocab)
        trained = 0
        for n, other in enumerate(others):
            run.report("counting n-grams", n / len(others))
            ids = engine.tokenize(lesson_text(other))
            counted.count(ids)
            trained += len(ids)
        counted.finish()

        ids = engine.tokenize(lesson_text(tested))
        # The first token has nothing before it; it is given to all.
        n_bytes = sum(len(engine.token_bytes(id)) for id in ids[1:])
        bits = {n: _bits(counted, n, ids, run) / n_bytes for n in ORDERS}
        unseen = {n: _unseen(counted, n, ids) for n in ORDERS}
        uniform = math.log2(engine.info.n_vocab) * (len(ids) - 1) / n_bytes
        model_bits = _model_bits(engine, ids, bench.cache, run) / n_bytes

        starts = [_start(engine, counted, n, words) for n in ORDERS]
        goes_on = [_continued(engine, counted, n, words, inputs) for n in ORDERS]
        model_text = _model_continued(engine, words, inputs, run)
        best = min(ORDERS, key=lambda n: bits[n])
        model_trained = next(
            (size for name, size in _TRAINED.items() if engine.info.name.startswith(name)),
            "far more text than a course",
        )
        return self.shown(
            inputs,
            ORDERS.index(best),
            {
                "tested_lesson": inputs.lesson,
                "tested_tokens": len(ids) - 1,
                "tested_bytes": n_bytes,
                "training_tokens": trained,
                "model_training": model_trained,
                "bits_per_byte": {str(n): bits[n] for n in ORDERS},
                "bits_per_byte_model": model_bits,
                "bits_per_byte_uniform": uniform,
                "contexts_unseen": {str(n): unseen[n] for n in ORDERS},
                "distinct_contexts": len(counted.followers),
                "starts": starts,
                "continuations": goes_on,
                "continuation_model": model_text,
            },
            (
                Bars(
                    f"bits a byte on lesson {inputs.lesson}, fewer is better",
                    (
                        Bar("uniform guess", uniform),
                        *(Bar(f"order {n}", bits[n], f"{unseen[n]:.0%} unseen") for n in ORDERS),
                        Bar(engine.info.name, model_bits),
                    ),
                    digits=3,
                ),
                Table(
                    "your words as a context, and what of it was ever seen",
                    ("order", "context", "seen", "so it uses"),
                    tuple(_start_row(start) for start in starts),
                ),
                Table(
                    "your words continued (drawn, same seed)",
                    ("model", "goes on", "backed off"),
                    (
                        *(
                            (f"order {c['order']}", visible(c["text"], " "), _steps(c))
                            for c in goes_on
                        ),
                        (engine.info.name, visible(model_text, " "), "never"),
                    ),
                ),
                Table(
                    "what each was trained on",
                    ("model", "training text"),
                    (
                        ("orders 1 to 5", f"{trained:,} tokens of {len(others)} lessons"),
                        (engine.info.name, f"{model_trained}; not these lessons"),
                    ),
                ),
            ),
            f"Order {best} is the best n-gram model with {bits[best]:.2f} bits a byte, and "
            f"{engine.info.name} needs {model_bits:.2f}; but it was trained on {model_trained}, "
            f"the n-grams on {trained:,} tokens. Of the contexts of 4 tokens in lesson "
            f"{inputs.lesson}, {unseen[5]:.0%} had never been seen, and there order 5 backed off"
            + ("" if starts[-1]["seen"] else ", as it did on your words")
            + ".",
            (
                "What is back-off in n-gram models?",
                "Why is sparsity the trouble of n-gram models?",
                "Are n-gram models still useful today?",
            ),
            Provenance(
                engine.info.name,
                "llama.cpp for the model; n-grams counted in Python (Katz back-off)",
                measured=("counts", "the model's log-probabilities", "shares never seen"),
                calculated=("bits a byte", "n-gram probabilities"),
                seed=inputs.seed,
            ),
        )


def lesson_text(lesson: Lesson) -> str:
    """What of a lesson is read: its headings and paragraphs."""
    return "\n\n".join(f"## {section.heading}\n\n{section.text}" for section in lesson.sections)


def _looks(order: int) -> str:
    return f"looks at {order - 1} token{'' if order == 2 else 's'} before"


def _context(ids: Sequence[int], order: int) -> Context:
    """What a model of that order looks at after `ids`: at most order - 1 tokens."""
    return tuple(ids[max(0, len(ids) - order + 1) :])


def _bits(counted: BackOff, order: int, ids: Sequence[int], run: Run) -> float:
    bits = 0.0
    for at in range(1, len(ids)):
        if at % _OFTEN == 1:
            run.report(f"testing order {order}", at / len(ids))
        bits -= math.log2(counted.p(ids[at], _context(ids[:at], order)))
    return bits


def _unseen(counted: BackOff, order: int, ids: Sequence[int]) -> float:
    """The share of the text's contexts of order - 1 tokens that the training text lacks."""
    length = order - 1
    contexts = [tuple(ids[at - length : at]) for at in range(max(length, 1), len(ids))]
    return sum(context not in counted.followers for context in contexts) / len(contexts)


def _model_bits(engine: Engine, ids: Sequence[int], cache: Path, run: Run) -> float:
    """The model's own bits on ids[1:], in windows that overlap; kept in the cache."""
    window = min(_WINDOW, engine.n_ctx - 1)
    kept = cache / "ngrams" / f"{key_of(Path(engine.info.path), window, list(ids))}.json"
    if kept.exists():
        return float(json.loads(kept.read_text())["bits"])
    bits, begin, at = 0.0, 0, 1
    while at < len(ids):
        run.report("the model reads the lesson", at / len(ids))
        if at - begin + _CHUNK > window:
            begin = at - min(_OVERLAP, window // 2)
        end = min(at + _CHUNK, len(ids))
        bits -= float(engine.score(ids[begin:end], at - begin).sum(dtype=np.float64)) / math.log(2)
        at = end
    with written_whole(kept) as draft:
        draft.write_text(json.dumps({"bits": bits}))
    return bits


def _start(engine: Engine, counted: BackOff, order: int, words: Sequence[int]) -> dict[str, Any]:
    """What the order makes of the learner's words before it says anything."""
    wanted = _context(words, order)
    used = counted.longest_seen(wanted)
    return {
        "order": order,
        "context": _text(engine, wanted),
        "seen": used == wanted,
        "used": _text(engine, used),
        "used_tokens": len(used),
        "backed_off": len(wanted) - len(used),
    }


def _start_row(start: dict[str, Any]) -> tuple[str, ...]:
    used = visible(start["used"]) if start["used_tokens"] else "no context: how often each occurs"
    told = "yes" if start["seen"] else f"never: backs off by {start['backed_off']}"
    return str(start["order"]), visible(start["context"]) or "(none)", told, used


def _continued(
    engine: Engine, counted: BackOff, order: int, words: Sequence[int], inputs: NgramsInput
) -> dict[str, Any]:
    """Draws on from the words, by the counts of the longest context that was seen."""
    random = np.random.default_rng(inputs.seed)
    history, backed_off = list(words), 0
    for _ in range(inputs.tokens):
        wanted = _context(history, order)
        context = counted.longest_seen(wanted)
        backed_off += len(context) < len(wanted)
        counts = counted.followers[context]
        p = np.array(list(counts.values()), dtype=float)
        history.append(int(random.choice(list(counts), p=p / p.sum())))
    text = _text(engine, history[len(words) :])
    return {"order": order, "text": text, "steps": inputs.tokens, "backed_off": backed_off}


def _model_continued(engine: Engine, words: Sequence[int], inputs: NgramsInput, run: Run) -> str:
    """The model's own continuation, drawn as the n-grams': no sampler but the draw."""
    bare = Sampling(
        temperature=1,
        top_k=0,
        top_p=1,
        min_p=0,
        repeat_penalty=1,
        seed=inputs.seed,
        max_tokens=inputs.tokens,
    )
    said: list[int] = []
    for event in engine.generate(words, lambda: bare, run.cancel):
        run.report("the model goes on", event.index / inputs.tokens)
        said.append(event.id)
    run.report("the model goes on", 1.0)
    return _text(engine, said)


def _steps(continued: dict[str, Any]) -> str:
    return f"{continued['backed_off']} of {continued['steps']} steps"


def _text(engine: Engine, ids: Sequence[int]) -> str:
    """The tokens as text; bytes that are no whole character as hexadecimal."""
    return b"".join(map(engine.token_bytes, ids)).decode("utf-8", "backslashreplace")
