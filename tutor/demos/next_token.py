"""Lesson 6: what could follow a text, and what the whole sampler chain makes of it."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from tutor.demos.demo import Demo, DemoInput, Prediction, Provenance, Run, Shown, spoken
from tutor.demos.figures import Bar, Bars, Table
from tutor.demos.workbench import Workbench
from tutor.engine.settings import Sampling
from tutor.text import visible

_TOP = 10
_NARROW_BITS, _OPEN_BITS = 2.0, 5.0


class NextTokenInput(DemoInput):
    """The text and the knobs."""

    text: str = Field("Once upon a", min_length=1, max_length=2_000, description="Any beginning.")
    temperature: float = Field(0.7, ge=0, le=5, description="0 is greedy.")
    top_k: int = Field(40, ge=0, le=1000, description="0 keeps all.")
    top_p: float = Field(0.95, gt=0, le=1, description="1 keeps all.")
    min_p: float = Field(0.05, ge=0, le=1, description="0 keeps all.")
    seed: int = Field(42, ge=0, le=2**32 - 2, description="Where the random numbers start.")


class NextToken(Demo[NextTokenInput]):
    """The chain on the learner's own words."""

    name: ClassVar[str] = "next-token"
    lesson: ClassVar[int] = 6
    title: ClassVar[str] = "The next token"
    about: ClassVar[str] = "Type a beginning, turn the knobs, and see what could follow and why."
    input = NextTokenInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: NextTokenInput) -> Prediction:
        return Prediction(
            f"How sure will the model be about what follows {inputs.text[-40:]!r}?",
            (
                f"nearly sure (under {_NARROW_BITS:.0f} bits of entropy)",
                f"a few good choices ({_NARROW_BITS:.0f} to {_OPEN_BITS:.0f} bits)",
                f"wide open (over {_OPEN_BITS:.0f} bits)",
            ),
        )

    def run(self, bench: Workbench, inputs: NextTokenInput, run: Run) -> Shown:
        engine = bench.engine
        # The end of a text is where its next token begins: a trailing space is a token of its own.
        prompt = engine.tokenize(spoken(inputs.text).rstrip())
        sampling = Sampling(repeat_penalty=1.0, **inputs.model_dump(exclude={"text"}))
        found = engine.next(prompt, sampling, _TOP)
        step = found.step
        bits = step.entropy
        candidates: list[dict[str, Any]] = [
            {
                "id": c.id,
                "text": engine.token_text(c.id),
                "logit": c.logit,
                "p_full": c.p_full,
                "p_final": c.p_final,
                "cut_by": c.cut_by,
            }
            for c in step.candidates
        ]
        stages = [{"name": stage.name, "kept": stage.kept} for stage in found.stages]
        drawn = engine.token_text(step.chosen)
        best = candidates[0]
        seen = (
            f"The model gives {best['text']!r} {best['p_full']:.0%} of the probability, and the "
            f"entropy is {bits:.1f} bits over all {len(found.logprobs):,} tokens. After the chain "
            f"{found.stages[-1].kept:,} can still be drawn ({step.entropy_final:.1f} bits), "
            f"and {drawn!r} was."
        )
        return self.shown(
            inputs,
            0 if bits < _NARROW_BITS else 1 if bits <= _OPEN_BITS else 2,
            {
                "entropy_bits": bits,
                "entropy_final_bits": step.entropy_final,
                "chosen": {"id": step.chosen, "text": drawn},
                "candidates": candidates,
                "stages": stages,
            },
            (
                Bars(
                    "probability of the next token, before any sampler",
                    tuple(
                        Bar(
                            visible(c["text"]),
                            c["p_full"],
                            f"cut by {c['cut_by']}"
                            if c["cut_by"]
                            else f"drawn with {c['p_final']:.3f}",
                        )
                        for c in candidates
                    ),
                    digits=3,
                ),
                Table(
                    "the chain",
                    ("stage", "tokens kept"),
                    tuple((str(s["name"]), f"{s['kept']:,}") for s in stages),
                ),
            ),
            seen,
            (
                "Why does a high temperature make answers stranger?",
                "What is top-p sampling?",
                "What does entropy say about the next token?",
            ),
            Provenance(
                engine.info.name,
                "llama.cpp, its own samplers in their own order",
                measured=("logits", "candidates after every stage"),
                calculated=("probabilities", "entropy"),
                seed=inputs.seed,
            ),
        )
