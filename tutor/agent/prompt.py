"""The exact prompt of a turn, told apart by what each of its tokens is there for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

Part = Literal["template", "system", "history", "passages", "question", "instructions"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of tokens of the prompt and what it is there for."""

    part: Part
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """The exact prompt, piece by piece, and what had to stay outside."""

    pieces: tuple[Piece, ...]
    dropped_exchanges: int = 0
    dropped_notes: int = 0

    @property
    def tokens(self) -> list[int]:
        return [id for piece in self.pieces for id in piece.ids]

    @property
    def while_typed(self) -> list[int]:
        """What the prompt begins with, too, when more words follow the question: all up to its end
        but its last token, which may become a longer one."""
        places = [n for n, piece in enumerate(self.pieces) if piece.part == "question"]
        pieces = self.pieces[: places[-1] + 1] if places else self.pieces
        return [id for piece in pieces for id in piece.ids][:-1]

    @property
    def counts(self) -> dict[Part, int]:
        """Tokens by part, in the order in which the parts begin."""
        found: Counter[Part] = Counter()
        for piece in self.pieces:
            found[piece.part] += len(piece.ids)
        return dict(found)
