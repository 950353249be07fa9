"""Lesson 2: the model's own loss on a sentence, token by token, beside an even guess.

The first token has nothing before it, so it is given and not scored. llama.cpp rounds the inputs of
matrix products: with Q8_0, on 146 texts of 2 to 128 tokens, its mean loss differed from torch's in
float32 by under 0.03 nats a token on half of them, by 0.17 on the worst, and by 0.8 on the worst
single token.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tutor.demos.demo import Demo, DemoError, DemoInput, Prediction, Provenance, Run, Shown
from tutor.demos.figures import Bar, Bars, Chip, Chips
from tutor.demos.tokens import shown
from tutor.demos.torch_copy import MOST_TOKENS, prompt_of
from tutor.demos.workbench import Workbench
from tutor.engine.events import Token
from tutor.text import visible

BOUND = 0.3
"""Nats a token by which the mean loss in llama.cpp and in torch may differ."""

_WORD = re.compile(rb"\S+")
_CHOICES = 4
_BARS = 40
_NATS = {"nats": 1.0, "bits": float(np.log(2.0))}


class LossInput(DemoInput):
    """The sentence, and the unit."""

    text: str = Field(
        "The early bird catches the pizza",
        min_length=1,
        description=f"Two to {MOST_TOKENS} tokens.",
    )
    unit: Literal["nats", "bits"] = Field(
        "nats", description="Nats are natural logarithms, bits those to the base 2."
    )


class Loss(Demo[LossInput]):
    """Scores the learner's sentence."""

    name: ClassVar[str] = "loss"
    lesson: ClassVar[int] = 2
    title: ClassVar[str] = "The loss"
    about: ClassVar[str] = "Type a sentence and see the model's own loss on every token."
    input = LossInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: LossInput) -> Prediction:
        if asked := _asked(inputs.text):
            return Prediction(
                "Which of these words surprises the model most, all its tokens together?",
                tuple(asked.values()),
            )
        return Prediction(
            "How large is the model's mean loss beside that of an even guess among all tokens?",
            ("at most half as large", "more than half as large", "larger than an even guess's"),
        )

    def run(self, bench: Workbench, inputs: LossInput, run: Run) -> Shown:
        tokens = bench.engine.tokens(inputs.text.rstrip())
        if len(tokens) == 1:
            raise DemoError(
                f"{shown(tokens[0].bytes)!r} is one token, and a first token has nothing "
                f"before it to be predicted from: give 2 to {MOST_TOKENS} tokens",
                "text",
            )
        run.report("reading the sentence", 0.0)
        nats = surprisals(bench, prompt_of(bench, inputs.text, least=2))
        run.report("scored", 1.0)

        numbers = words_of([token.bytes for token in tokens])
        by_word = np.bincount(numbers[1:], nats)
        mean, n_vocab = float(nats.mean()), bench.engine.info.n_vocab
        uniform, perplexity = float(np.log(n_vocab)), float(np.exp(mean))
        asked = _asked(inputs.text)
        right = (
            int(by_word[list(asked)].argmax())
            if asked
            else int(mean > uniform / 2) + int(mean > uniform)
        )
        most, least = int(nats.argmax()) + 1, int(nats.argmin()) + 1
        unit = _NATS[inputs.unit]
        names = [shown(token.bytes) for token in tokens]

        def told(n: int) -> str:
            loss = nats[n - 1]
            return f"{loss / unit:.2f} {inputs.unit}, a probability of {np.exp(-loss):.2g}"

        seen = (
            f"Over {len(nats)} token{'s' if len(nats) > 1 else ''} after the first the mean loss is "
            f"{mean / unit:.2f} {inputs.unit}, a perplexity of {perplexity:,.1f}: "
            f"{'below' if mean < uniform else 'above'} the {uniform / unit:.2f} of an even "
            f"guess among {n_vocab:,} tokens. {names[most]!r} surprised the model most "
            f"({told(most)})"
            + (f", {names[least]!r} least ({told(least)})." if least != most else ".")
        )
        return self.shown(
            inputs,
            right,
            {
                "tokens": _scored(tokens, nats),
                "loss": mean,
                "bits": mean / _NATS["bits"],
                "perplexity": perplexity,
                "uniform": {"n_vocab": n_vocab, "loss": uniform},
                "most_surprising": most,
                "least_surprising": least,
                "words": [{"text": word, "loss": float(by_word[n])} for n, word in asked.items()],
            },
            (
                Chips(
                    f"the sentence, each token with its loss in {inputs.unit}",
                    tuple(
                        Chip(name, f"{loss / unit:.1f}", min(loss / uniform, 1.0))
                        if n
                        else Chip(name, "given")
                        for n, (name, loss) in enumerate(
                            zip(names, [0.0, *nats.tolist()], strict=True)
                        )
                    ),
                ),
                _bars(inputs.unit, names, nats, mean, uniform),
                *(
                    (
                        Bars(
                            "the loss of whole words: the sum over their tokens",
                            tuple(Bar(w, float(by_word[n]) / unit) for n, w in asked.items()),
                            inputs.unit,
                        ),
                    )
                    if asked
                    else ()
                ),
            ),
            seen,
            (
                "How is the loss of a language model computed?",
                "Which loss counts as a good loss?",
                "Does a lower loss always mean better answers?",
            ),
            Provenance(
                bench.engine.info.name,
                "llama.cpp on the bare text, where the first tokens have little before them",
                measured=("logits of every token given all before it",),
                calculated=(
                    "loss = -ln(probability)",
                    "mean",
                    "perplexity = e^mean",
                    f"even guess = ln({n_vocab:,})",
                ),
            ),
        )


def surprisals(bench: Workbench, ids: Sequence[int]) -> NDArray[np.float64]:
    """The loss of every token after the first, in nats, by llama.cpp, shape (n - 1,)."""
    # The logarithm of a certain token may come out a rounding error above 0.
    return np.abs(bench.engine.score(ids).astype(np.float64))


def words_of(pieces: Sequence[bytes]) -> list[int]:
    """For each token the number of the word that it ends in; white space counts to the next."""
    ends = [word.end() for word in _WORD.finditer(b"".join(pieces))]
    return [bisect_left(ends, end) for end in accumulate(map(len, pieces))]


def _asked(text: str) -> dict[int, str]:
    """A few words by number, spread over the text; none where there are no two to choose from.

    Each stands once in the text, behind the first two words, which have little before them.
    """
    words = _WORD.findall(text.encode("utf-8", "replace"))
    times = Counter(words)
    once = [n for n, word in enumerate(words) if n > 1 and times[word] == 1]
    if len(once) < 2:
        return {}
    spread = np.linspace(0, len(once) - 1, min(len(once), _CHOICES)).round().astype(int)
    return {once[i]: visible(words[once[i]].decode()) for i in spread}


def _scored(tokens: Sequence[Token], nats: NDArray[np.float64]) -> list[dict[str, Any]]:
    losses: list[float | None] = [None, *nats.tolist()]
    return [
        {
            "id": token.id,
            "text": token.text,
            "bytes": list(token.bytes),
            "loss": loss,
            "p": None if loss is None else float(np.exp(-loss)),
        }
        for token, loss in zip(tokens, losses, strict=True)
    ]


def _bars(
    unit: str, names: Sequence[str], nats: NDArray[np.float64], mean: float, uniform: float
) -> Bars:
    first = f", of the first {_BARS} tokens" if len(nats) > _BARS else ""
    return Bars(
        f"the loss, and the probability that the token had{first}",
        (
            Bar("(mean)", mean / _NATS[unit]),
            Bar("(even guess)", uniform / _NATS[unit]),
            *(
                Bar(name, float(loss) / _NATS[unit], f"p {np.exp(-loss):.2g}")
                for name, loss in zip(names[1 : _BARS + 1], nats[:_BARS], strict=True)
            ),
        ),
        unit,
    )
