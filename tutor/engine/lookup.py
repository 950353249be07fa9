"""Prompt lookup: what followed the newest tokens when they stood in the text before.

An answer that takes up its notes repeats them, so that the next tokens can be guessed without a
second model (Saxena, "Prompt Lookup Decoding", 2023). The guesses are read in one batch with the
newest token and count only as far as the sampler chain draws the same.
"""

from __future__ import annotations

from collections.abc import Iterable

DRAFT = 12
"""Tokens of the longest draft. Thirteen in one batch take as long as three or four by themselves."""
_LONGEST, _SHORTEST = 4, 2
"""Tokens of the runs that are looked up, the longest one first. A single token's follower is too
rarely right: reading it in vain costs more than it saves."""
_FIRST = 4


class Lookup:
    """The text so far, and drafts of what could follow it."""

    def __init__(self, longest_draft: int) -> None:
        """No draft has more than `longest_draft` tokens; 0 drafts nothing."""
        self._longest = longest_draft
        self._length = min(_FIRST, longest_draft)
        self._text: list[int] = []
        # For every run of tokens, where it last ended before the newest token.
        self._ends: dict[tuple[int, ...], int] = {}

    def add(self, ids: Iterable[int]) -> None:
        """Tokens that stand in the text from now on."""
        if not self._longest:
            return
        for id in ids:
            end = len(self._text)
            for n in range(_SHORTEST, min(_LONGEST, end) + 1):
                self._ends[tuple(self._text[-n:])] = end
            self._text.append(id)

    def draft(self, room: int) -> list[int]:
        """What could follow, at most `room` tokens; empty where the newest ones are new."""
        if self._longest:
            for n in range(min(_LONGEST, len(self._text)), _SHORTEST - 1, -1):
                end = self._ends.get(tuple(self._text[-n:]))
                if end is not None:
                    return self._text[end : end + max(min(self._length, room), 0)]
        return []

    def learn(self, drafted: int, right: int) -> None:
        """How many tokens of a draft were right: the next ones are longer or shorter."""
        if drafted:
            longer = min(2 * self._length, self._longest)
            self._length = longer if right == drafted else max(self._length // 2, 1)
