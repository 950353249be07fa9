"""Lesson 4: what lies near a token in the model's own embedding table; apart from it, how alike
the sentence encoder finds some texts.

The two are different models with different numbers: their cosines are never compared here. A map
is the plane in which the points lie widest apart (PCA); what it leaves out is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, field_validator

from tutor.demos.demo import Demo, DemoError, DemoInput, Prediction, Provenance, Run, Shown, spoken
from tutor.demos.figures import Bar, Bars, Figure, Line, Plot, Table
from tutor.demos.kept import key_of, written_whole
from tutor.demos.tokens import shown
from tutor.demos.workbench import Workbench

Floats = NDArray[np.floating[Any]]
# Neighbours of more pieces than this would be a list that nobody reads.
MOST_PIECES = 3
_ROWS = 4_096
# The encoder reads 256 word pieces, and a piece is at least one character.
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=250)]


class NeighboursInput(DemoInput):
    """The word to look up, and the texts to compare."""

    text: str = Field("cat", min_length=1, max_length=40, description="A word, or a piece of one.")
    space: bool = Field(True, description="Look it up as inside a sentence, with a space before.")
    count: int = Field(8, ge=1, le=20, description="How many neighbours.")
    texts: tuple[_Text, ...] = Field(
        (
            "The cat sleeps on the sofa.",
            "A kitten is napping on the couch.",
            "The bank raised its interest rates.",
            "Borrowing money became more expensive.",
        ),
        min_length=2,
        max_length=6,
        description="Two to six texts for the encoder; on a command line with | between them.",
    )

    @field_validator("texts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.split("|")) if isinstance(value, str) else value


class Neighbours(Demo[NeighboursInput]):
    """Looks the token up."""

    name: ClassVar[str] = "neighbours"
    lesson: ClassVar[int] = 4
    title: ClassVar[str] = "Neighbours"
    about: ClassVar[str] = "Give a word and see what lies near it; give texts and see which agree."
    input = NeighboursInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: NeighboursInput) -> Prediction:
        return Prediction(
            f"Which token lies nearest to {inputs.text!r} (its first token) in the model's table?",
            (
                "the same letters in other capitals or with another space",
                "the word with an ending, or a part of it",
                "another word",
            ),
        )

    def run(self, bench: Workbench, inputs: NeighboursInput, run: Run) -> Shown:
        engine = bench.engine
        word = spoken(inputs.text).strip()
        tokens = engine.tokens(f" {word}" if inputs.space else word)
        if len(tokens) > MOST_PIECES:
            pieces = " ".join(shown(token.bytes) for token in tokens[:8])
            raise DemoError(
                f"{inputs.text!r} is {len(tokens)} tokens ({pieces}), and each has a place "
                f"of its own: give a word of at most {MOST_PIECES}",
                "text",
            )
        table = embedding_table(bench, run)
        run.report("comparing all tokens", 0.9)
        cosines = row_cosines(table, [token.id for token in tokens])
        found: list[dict[str, Any]] = []
        for token, row in zip(tokens, cosines, strict=True):
            row[token.id] = -np.inf
            near = np.argsort(-row, kind="stable")[: inputs.count].tolist()
            found.append(
                {
                    "id": token.id,
                    "text": shown(token.bytes),
                    "neighbours": [
                        {"id": id, "text": shown(engine.token_bytes(id)), "cosine": float(row[id])}
                        for id in near
                    ],
                }
            )
        names = {n["id"]: n["text"] for token in found for n in (token, *token["neighbours"])}
        rows = _unit(table[list(names)].astype(np.float32))
        places, kept = plane(rows)
        run.report("encoding the texts", 0.95)
        vectors = bench.retriever.encoder.encode(inputs.texts)
        alike = vectors @ vectors.T
        text_places, text_kept = plane(vectors)
        first, nearest = found[0], found[0]["neighbours"][0]
        i, j = _closest(alike)
        seen = (
            f"{first['text']!r} lies nearest to {nearest['text']!r}, with a cosine of "
            f"{nearest['cosine']:.2f}, among all {len(table):,} tokens of {table.shape[1]} numbers "
            f"each. The encoder, another model with {vectors.shape[1]} numbers a text, finds texts "
            f"{i + 1} and {j + 1} most alike ({alike[i, j]:.2f}); the maps keep {sum(kept):.0%} "
            f"and {sum(text_kept):.0%} of the differences."
        )
        numbers = tuple(str(n + 1) for n in range(len(inputs.texts)))
        figures: tuple[Figure, ...] = (
            *(
                Bars(
                    f"nearest to {token['text']!r} (token {token['id']}), by cosine",
                    tuple(
                        Bar(n["text"], n["cosine"], f"token {n['id']}") for n in token["neighbours"]
                    ),
                )
                for token in found
            ),
            _map("tokens", tuple(names.values()), places, kept),
            Table(
                "the encoder's cosines of the texts",
                ("text", *numbers, ""),
                tuple(
                    (number, *(f"{cosine:.2f}" for cosine in row), text)
                    for number, row, text in zip(numbers, alike, inputs.texts, strict=True)
                ),
            ),
            _map("texts", numbers, text_places, text_kept),
        )
        return self.shown(
            inputs,
            _kind(engine.token_bytes(first["id"]), engine.token_bytes(nearest["id"])),
            {
                "tokens": found,
                "vocabulary": len(table),
                "width": table.shape[1],
                "token_map": _map_result(list(names), places, kept),
                "text_cosines": alike.tolist(),
                "text_map": _map_result(list(inputs.texts), text_places, text_kept),
            },
            figures,
            seen,
            (
                "What does it mean that two embeddings are similar?",
                "What is an embedding?",
                "What is the difference between a token embedding and a sentence embedding?",
            ),
            Provenance(
                f"{engine.info.name} for the tokens, all-MiniLM-L6-v2 for the texts",
                "the table of the model file (gguf, numpy), onnxruntime for the texts",
                measured=("embeddings, those of tokens rounded to float16", "text vectors"),
                calculated=("cosines", "maps by PCA and their share of the variance"),
            ),
        )


def embedding_table(bench: Workbench, run: Run) -> NDArray[np.float16]:
    """The model's token embeddings, (n_vocab, n_embd): read from the file once, then mapped.

    Raises DemoError for a file whose table gguf cannot read.
    """
    path = Path(bench.engine.info.path)
    kept = bench.cache / "embeddings" / f"{key_of(path)}.npy"
    if not kept.exists():
        run.report("opening the model file", 0.0)
        from gguf import GGUFReader, dequantize

        tensors = GGUFReader(path).tensors
        tensor = next((t for t in tensors if t.name == "token_embd.weight"), None)
        if tensor is None:
            raise DemoError(f"{path.name} has no table of token embeddings (token_embd.weight)")
        n_embd, n_vocab = map(int, tensor.shape)
        table = np.empty((n_vocab, n_embd), dtype=np.float16)
        for start in range(0, n_vocab, _ROWS):
            run.report("reading the embedding table", 0.8 * start / n_vocab)
            try:
                rows = dequantize(tensor.data[start : start + _ROWS], tensor.tensor_type)
            except NotImplementedError as error:
                raise DemoError(f"{path.name}: {error}") from error
            table[start : start + _ROWS] = rows
        with written_whole(kept) as draft, draft.open("wb") as file:
            np.save(file, table)
    return np.load(kept, mmap_mode="r")


def row_cosines(table: NDArray[np.float16], ids: Sequence[int]) -> Floats:
    """The cosines of some rows with all rows, (len(ids), n_vocab); a row of zeros has 0."""
    asked = _unit(table[list(ids)].astype(np.float32))
    parts = [
        asked @ _unit(table[start : start + _ROWS].astype(np.float32)).T
        for start in range(0, len(table), _ROWS)
    ]
    return np.concatenate(parts, axis=1)


def plane(points: Floats) -> tuple[Floats, tuple[float, float]]:
    """Points (n, d) in the plane of most variance, (n, 2), and the share that each axis keeps.

    PCA: the first two right singular vectors of the centred points. Two points lie on a line.
    """
    centred = (points - points.mean(0)).astype(np.float64)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    variance = sizes**2 / (float(sizes @ sizes) or 1.0)
    return centred @ axes[:2].T, (float(variance[0]), float(variance[1]))


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _closest(alike: Floats) -> tuple[int, int]:
    """The pair of different texts with the highest cosine."""
    pairs = [(i, j) for i in range(len(alike)) for j in range(i + 1, len(alike))]
    return max(pairs, key=lambda pair: float(alike[pair]))


def _kind(token: bytes, other: bytes) -> int:
    """Which choice of the prediction it is; bytes that are no whole character stay apart."""
    a, b = (t.decode("utf-8", "surrogateescape").strip().casefold() for t in (token, other))
    return 0 if a == b else 1 if a.startswith(b) or b.startswith(a) else 2


def _map(what: str, names: Sequence[str], places: Floats, kept: tuple[float, float]) -> Plot:
    lines = tuple(
        Line(name, (float(x),), (float(y),)) for name, (x, y) in zip(names, places, strict=True)
    )
    title = f"map of the {what}: keeps {sum(kept):.0%} of the differences (variance)"
    return Plot(title, lines, f"axis 1: {kept[0]:.0%}", f"axis 2: {kept[1]:.0%}", points=True)


def _map_result(
    names: Sequence[object], places: Floats, kept: tuple[float, float]
) -> dict[str, Any]:
    return {"points": list(names), "places": places.tolist(), "explained_variance": list(kept)}
