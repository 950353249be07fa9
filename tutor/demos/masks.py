"""Lesson 13: the last word of a sentence changes: whose vectors notice, and why.

In a decoder no position looks to the right, so all before the word stay as they were; in an encoder
every position sees the new word. Both masks are read off the models' own attention weights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from index.encoder import model_folder
from tutor.demos.demo import Demo, DemoError, DemoInput, Prediction, Provenance, Run, Shown
from tutor.demos.figures import Bar, Bars, Columns, Heatmap
from tutor.demos.torch_copy import agreement, last_logits, open_copy, prompt_of, read
from tutor.demos.workbench import Workbench
from tutor.engine.imports import import_torch
from tutor.engine.settings import Sampling
from tutor.text import visible

MOST_TOKENS = 40
CHANGED = 1e-3
"""A vector counts as changed from a thousandth of its length on: texts of different lengths are
summed in different orders, which moves the last digits."""

Vectors = NDArray[np.float32]


class MasksInput(DemoInput):
    """The sentence, its other last word, and who is asked to go on writing."""

    text: str = Field(
        "The bank was closed because of the flood",
        min_length=1,
        description=f"A sentence of 2 words or more, at most {MOST_TOKENS} tokens.",
    )
    word: str = Field("holiday", min_length=1, max_length=40, description="Its new last word.")
    write: Literal["nobody", "decoder", "encoder"] = Field(
        "nobody", description="Who is asked to go on with the sentence."
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """A model's tokens of a text, its final vectors (n, width), and who sees whom (n, n)."""

    ids: tuple[int, ...]
    names: tuple[str, ...]
    vectors: Vectors
    sees: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Position:
    """One position of the first sentence: how far its vector moved, in lengths of the vector.

    `place` is before, at or after the changed word.
    """

    token: str
    place: Literal["before", "at", "after"]
    moved: float


class Masks(Demo[MasksInput]):
    """Decoder and encoder side by side."""

    name: ClassVar[str] = "masks"
    lesson: ClassVar[int] = 13
    title: ClassVar[str] = "Who sees whom"
    about: ClassVar[str] = "Change a sentence's last word: which vectors change in each family?"
    input = MasksInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: MasksInput) -> Prediction:
        return Prediction(
            f"The last word becomes {inputs.word!r}. In which model does the vector of the FIRST "
            "word change?",
            (
                "in neither",
                "only in the decoder (SmolLM2's kind)",
                "only in the encoder (MiniLM's kind)",
                "in both",
            ),
        )

    def run(self, bench: Workbench, inputs: MasksInput, run: Run) -> Shown:
        if inputs.write == "encoder":
            raise DemoError(
                "the encoder cannot write. It gives vectors, no scores for a next token, "
                "and each of its vectors needs the words to its right, which do not exist while "
                "a text is being written: choose decoder",
                "write",
            )
        old, new = inputs.text.strip(), _with_last_word(inputs.text.strip(), inputs.word)
        prompts = [prompt_of(bench, text, 2, MOST_TOKENS) for text in (old, new)]
        model = open_copy(bench, run)
        outputs = [
            read(
                model,
                ids,
                run,
                f"the decoder reads sentence {n}",
                output_attentions=True,
                output_hidden_states=True,
            )
            for n, ids in enumerate(prompts, start=1)
        ]
        decoder = [
            Reading(
                tuple(ids),
                tuple(visible(bench.engine.token_text(id)) for id in ids),
                output.hidden_states[-1][0].numpy(),
                _sees(output),
            )
            for ids, output in zip(prompts, outputs, strict=True)
        ]
        agreed = agreement(bench, prompts[0], last_logits(outputs[0]))
        run.report("loading the encoder", 0.5)
        encoder = [_encoded(text) for text in (old, new)]
        run.report("comparing", 1.0)
        if encoder[0].ids == encoder[1].ids:
            raise DemoError(
                f"to the encoder, which reads no capitals, {inputs.word!r} is the same as "
                "the old word: give another",
                "word",
            )
        in_decoder, in_encoder = _positions(*decoder), _positions(*encoder)
        # The encoder puts a token of its own before the first word.
        first = (in_decoder[0].moved > CHANGED) + 2 * (in_encoder[1].moved > CHANGED)
        written = _continued(bench, prompts[1]) if inputs.write == "decoder" else None

        before = [p for p in in_decoder if p.place == "before"]
        others = [p for p in in_encoder if p.place != "at"]
        least = min(others, key=lambda p: p.moved)
        seen = (
            f"In the decoder {_changed(before)} of the {len(before)} positions before the new word "
            f"change (at most by {max((p.moved for p in before), default=0.0):.1e} of a vector's length). In "
            f"the encoder {_changed(others)} of the {len(others)} other positions change, even the "
            f"least, {least.token!r}, by {least.moved:.0%}."
        )
        pairs = [int(reading.sees.sum()) for reading in (decoder[0], encoder[0])]
        return self.shown(
            inputs,
            first,
            {
                "sentences": [old, new],
                "decoder": _result(decoder[0], in_decoder, pairs[0]),
                "encoder": _result(encoder[0], in_encoder, pairs[1]),
                "changed_from": CHANGED,
                "written": written,
                "engines": asdict(agreed),
            },
            (
                _moves("decoder: how far each position's final vector moved", in_decoder),
                _mask(f"decoder's mask: {pairs[0]} pairs, row sees column", decoder[0]),
                _moves("encoder: how far each position's final vector moved", in_encoder),
                _mask(f"encoder's mask: {pairs[1]} pairs, row sees column", encoder[0]),
                *((Columns("the decoder writes", ((new, written),)),) if written else ()),
            ),
            seen,
            (
                "Which tokens can each family see?",
                "Can an encoder such as BERT write text?",
                "Is a decoder-only model blind to the end of my question?",
            ),
            Provenance(
                f"{bench.engine.info.name} and all-MiniLM-L6-v2",
                "torch in float32, both models",
                measured=(
                    "final vectors of both sentences",
                    "masks: attention above 0 in any head of any layer",
                    agreed.told,
                ),
                calculated=("distance of two vectors over the first one's length",),
            ),
        )


def _with_last_word(text: str, word: str) -> str:
    words = re.findall(r"\w+(?:['’-]\w+)*", text)
    if len(words) < 2:
        raise DemoError(f"give a sentence of at least 2 words, this has {len(words)}", "text")
    if len(word.split()) != 1:
        raise DemoError(f"give one word, not {len(word.split())}", "word")
    head, _, tail = text.rpartition(words[-1])
    if word == words[-1]:
        raise DemoError(f"the sentence ends with {word!r} already: give another", "word")
    return head + word + tail


def _sees(output: Any) -> NDArray[np.bool_]:
    """Who gives any weight to whom, in any head of any layer, shape (n, n)."""
    import torch

    return np.asarray((torch.cat(output.attentions).amax(dim=(0, 1)) > 0).numpy())


@lru_cache(maxsize=1)
def _encoder() -> tuple[Any, Any]:
    """The encoder's transformer, without its pooling, and its tokenizer."""
    import_torch()
    from tokenizers import Tokenizer
    from transformers import AutoModel

    folder = model_folder()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    model = AutoModel.from_pretrained(folder, attn_implementation="eager", local_files_only=True)
    return model.eval(), tokenizer


def _encoded(text: str) -> Reading:
    import torch

    model, tokenizer = _encoder()
    encoding = tokenizer.encode(text)
    with torch.inference_mode():
        output = model(torch.tensor([encoding.ids]), output_attentions=True)
    return Reading(
        tuple(encoding.ids),
        tuple(encoding.tokens),
        output.last_hidden_state[0].numpy(),
        _sees(output),
    )


def _positions(old: Reading, new: Reading) -> list[Position]:
    """The positions that both sentences have: equal ids from the left, from the right, and the
    changed word's pieces in between."""
    n, m = len(old.ids), len(new.ids)
    left = _shared(old.ids, new.ids)
    right = min(_shared(old.ids[::-1], new.ids[::-1]), min(n, m) - left)
    found = []
    for i in range(n):
        place: Literal["before", "at", "after"] = (
            "before" if i < left else "after" if i >= n - right else "at"
        )
        j = i + m - n if place == "after" else i
        # A shorter new word has no piece to compare with.
        if place == "at" and j >= m - right:
            continue
        distance = np.linalg.norm(new.vectors[j] - old.vectors[i])
        found.append(
            Position(old.names[i], place, float(distance / np.linalg.norm(old.vectors[i])))
        )
    return found


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    return next(
        (n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )


def _continued(bench: Workbench, ids: Sequence[int]) -> str:
    settings = Sampling(greedy=True, repeat_penalty=1.0, max_tokens=12)
    return "".join(event.text for event in bench.engine.generate(ids, lambda: settings))


def _changed(positions: Sequence[Position]) -> int:
    return sum(position.moved > CHANGED for position in positions)


def _result(reading: Reading, positions: Sequence[Position], pairs: int) -> dict[str, Any]:
    return {
        "tokens": list(reading.names),
        "positions": [asdict(position) for position in positions],
        "changed": [position.moved > CHANGED for position in positions],
        "mask": reading.sees.astype(int).tolist(),
        "allowed_pairs": pairs,
    }


def _moves(title: str, positions: Sequence[Position]) -> Bars:
    notes = {"before": "", "at": "the changed word", "after": "after it"}
    return Bars(
        title,
        tuple(Bar(p.token, p.moved, notes[p.place]) for p in positions),
        digits=4,
    )


def _mask(title: str, reading: Reading) -> Heatmap:
    return Heatmap(
        title,
        reading.names,
        reading.names,
        tuple(tuple(1.0 if seen else None for seen in row) for row in reading.sees.tolist()),
    )
