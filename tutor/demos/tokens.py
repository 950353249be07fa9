"""Lesson 4: a text cut into the tokens that the model reads, with ids and bytes.

A short text is also merged here, step by step, with the merges that the model file stores. The
words that merges stay inside are found by the rule of SmolLM2 and GPT-2 tokenizers; where the
result is not the model's own (another rule, another kind of tokenizer) no merge is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from tutor.demos.demo import Demo, DemoInput, Prediction, Provenance, Run, Shown, spoken
from tutor.demos.figures import Chip, Chips, Figure, Table
from tutor.demos.kept import key_of, written_whole
from tutor.demos.workbench import Workbench
from tutor.engine.events import Token
from tutor.text import visible

MOST_CHARACTERS = 2_000
MOST_MERGED = 24
_SHOWN = 200

# llama.cpp's rule for `smollm`: every digit alone, then GPT-2's words with their leading space.
_DIGIT = re.compile(r"(\d)")
_WORD = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


def _byte_signs() -> dict[int, str]:
    """Byte-level BPE writes merges in printable signs: a byte that is none gets one from U+0100
    (GPT-2, encoder.py: bytes_to_unicode)."""
    own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]
    others = [byte for byte in range(256) if byte not in own]
    return {b: chr(b) for b in own} | {b: chr(256 + n) for n, b in enumerate(others)}


_SIGN = _byte_signs()
_BYTE = {sign: byte for byte, sign in _SIGN.items()}


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge: its rank (1 was learned first), the pair that it joined, and all the pieces of
    the text after it; pieces are bytes."""

    rank: int
    pair: tuple[bytes, bytes]
    pieces: tuple[bytes, ...]


def merge_steps(text: str, ranks: Mapping[str, int]) -> tuple[tuple[bytes, ...], list[Merge]]:
    """The bytes that `text` begins as, and the merges that follow, word by word.

    `ranks` has the merges as the file writes them ("Ġ t"), from 1. Always the merge of the lowest
    rank in the word comes next, the leftmost of equal ones first.
    """
    words = [
        [_SIGN[byte] for byte in word.encode()]
        for part in _DIGIT.split(text)
        for word in _WORD.findall(part) or [part]
        if word
    ]
    first = _as_bytes(words)
    steps = []
    for word in words:
        while True:
            known = [
                (ranks[f"{left} {right}"], at)
                for at, (left, right) in enumerate(pairwise(word))
                if f"{left} {right}" in ranks
            ]
            if not known:
                break
            rank, at = min(known)
            pair = _as_bytes([word[at : at + 2]])
            word[at : at + 2] = ["".join(word[at : at + 2])]
            steps.append(Merge(rank, (pair[0], pair[1]), _as_bytes(words)))
    return first, steps


def _as_bytes(words: Sequence[Sequence[str]]) -> tuple[bytes, ...]:
    return tuple(bytes(_BYTE[sign] for sign in piece) for word in words for piece in word)


def stored_merges(bench: Workbench, run: Run) -> dict[str, int]:
    """The merges of the model file with their ranks from 1; empty where it stores none.

    Read once from the metadata (`tokenizer.ggml.merges`), since gguf takes seconds, then kept.
    """
    path = Path(bench.engine.info.path)
    kept = bench.cache / "merges" / f"{key_of(path)}.txt"
    if not kept.exists():
        run.report("reading the merges from the model file", 0.1)
        from gguf import GGUFReader

        field = GGUFReader(path).fields.get("tokenizer.ggml.merges")
        with written_whole(kept) as draft:
            draft.write_text("\n".join(field.contents() if field else ()), encoding="utf-8")
        run.report("merges read", 1.0)
    lines = kept.read_text(encoding="utf-8").split("\n")
    return {line: rank for rank, line in enumerate(lines, start=1) if line}


class TokensInput(DemoInput):
    """The text to cut."""

    text: str = Field(
        "unbelievable", min_length=1, max_length=MOST_CHARACTERS, description="Any text."
    )


class Tokens(Demo[TokensInput]):
    """Cuts any text."""

    name: ClassVar[str] = "tokens"
    lesson: ClassVar[int] = 4
    title: ClassVar[str] = "Tokens"
    about: ClassVar[str] = "Type a text and see the pieces that the model really reads."
    input = TokensInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: TokensInput) -> Prediction:
        return Prediction(
            f"The text has {len(inputs.text.split())} words and {len(inputs.text)} characters. "
            "How many tokens will it be?",
            ("as many as words, or fewer", "more than words, fewer than characters", "even more"),
        )

    def run(self, bench: Workbench, inputs: TokensInput, run: Run) -> Shown:
        tokens = bench.engine.tokens(spoken(inputs.text))
        words, characters = len(inputs.text.split()), len(inputs.text)
        right = 0 if len(tokens) <= words else 1 if len(tokens) < characters else 2
        # The bytes of a split character are shown as hexadecimal until it is whole.
        chips = tuple(
            Chip(shown(token.bytes), str(token.id), (n % 2) * 0.4)
            for n, token in enumerate(tokens[:_SHOWN])
        )
        rows = tuple((shown(t.bytes), str(t.id), t.bytes.hex(" ")) for t in tokens[:_SHOWN])
        first, merges = self._merges(bench, inputs.text, tokens, run)
        seen = (
            f"{characters} characters became {len(tokens)} tokens, "
            f"{characters / len(tokens):.1f} characters a token. "
        )
        if merges:
            seen += (
                f"{len(merges)} merges built them from {len(first)} bytes, and the result is the "
                "tokenizer's own; a dot is a space."
            )
        else:
            seen += "A dot is a space: it belongs to the token of the word that follows."
        return self.shown(
            inputs,
            right,
            {
                "count": len(tokens),
                "words": words,
                "characters": characters,
                "tokens": [asdict(t) | {"bytes": list(t.bytes)} for t in tokens],
                "merges": [
                    {
                        "rank": merge.rank,
                        "pair": [list(piece) for piece in merge.pair],
                        "pieces": [list(piece) for piece in merge.pieces],
                    }
                    for merge in merges
                ],
            },
            (
                Chips("tokens and their ids", chips),
                Table("bytes", ("token", "id", "bytes"), rows),
                *self._drawn(first, merges),
            ),
            seen,
            (
                "Why are tokens parts of words?",
                "Why does a leading space belong to a token?",
                "How are emoji tokenized?",
            ),
            Provenance(
                bench.engine.info.name,
                "llama.cpp's tokenizer",
                measured=("ids", "bytes"),
                calculated=("characters a token",)
                + (("merges, whose result is the tokenizer's own",) if merges else ()),
            ),
        )

    def _merges(
        self, bench: Workbench, text: str, tokens: Sequence[Token], run: Run
    ) -> tuple[tuple[bytes, ...], list[Merge]]:
        """Nothing where the text is long, or where our merging is not the model's."""
        if len(text) > MOST_MERGED or not (ranks := stored_merges(bench, run)):
            return (), []
        first, merges = merge_steps(text, ranks)
        last = merges[-1].pieces if merges else first
        return (first, merges) if last == tuple(t.bytes for t in tokens) else ((), [])

    def _drawn(self, first: Sequence[bytes], merges: Sequence[Merge]) -> tuple[Figure, ...]:
        if not merges:
            return ()
        rows = [("", "", " ".join(map(shown, first)))]
        for merge in merges:
            pair = " + ".join(map(shown, merge.pair))
            rows.append((f"{merge.rank:,}", pair, " ".join(map(shown, merge.pieces))))
        return (
            Table(
                "merges: in each word the one that was learned earliest comes first",
                ("learned as", "joins", "pieces"),
                tuple(rows),
            ),
        )


def shown(data: bytes) -> str:
    """A token's bytes for eyes: as text, or in hexadecimal where they are no whole characters."""
    try:
        return visible(data.decode())
    except UnicodeDecodeError:
        return "".join(f"‹{byte:02x}›" for byte in data)
