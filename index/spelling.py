"""Mends misspelled words of a question before it is searched: "residul conections".

A word is taken for misspelled when neither the course nor the encoder's own vocabulary (30,000
pieces of everyday English) nor pyspellchecker's dictionary (160,000 words) has it whole; it becomes
the nearest word of the course by Damerau-Levenshtein distance, if one is near.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING

from index.lexical import stem

if TYPE_CHECKING:
    from spellchecker import SpellChecker

_WORD = re.compile(r"[A-Za-z]{4,}")
_ONE_EDIT, _TWO_EDITS = 4, 7
"""Letters from which a word may have so many edits."""


@cache
def _dictionary() -> SpellChecker:
    # A tenth of a second and 20 MB: only when a word is about to be replaced.
    from spellchecker import SpellChecker

    return SpellChecker()


class Spelling:
    """The words that a learner may have meant."""

    def __init__(self, course: Iterable[str], is_english: Callable[[str], bool]) -> None:
        """`course` are texts whose words are known; further ones, `is_english`, are left alone."""
        counted = Counter(_WORD.findall("\n".join(course).lower()))
        # Frequent words first: of two that are as near, the one that the course uses more wins.
        self._words = [word for word, _ in counted.most_common()]
        self._known = frozenset(self._words)
        self._is_english = is_english

    def mended(self, text: str) -> str:
        """The text with each misspelled word replaced; capitals of other words stay."""
        return _WORD.sub(lambda match: self._mend(match.group()), text)

    def _mend(self, word: str) -> str:
        stemmed = stem(word.lower())
        if any(
            w in self._known or self._is_english(w) for w in (word.lower(), stemmed, f"{stemmed}e")
        ):
            return word
        if not (word.islower() or word.istitle()):
            return word
        # Most questions are spelled well: its import would be a part of every start.
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        edits = 2 if len(word) >= _TWO_EDITS else 1 if len(word) >= _ONE_EDIT else 0
        found = process.extractOne(
            word.lower(), self._words, scorer=OSA.distance, score_cutoff=edits
        )
        return found[0] if found and word.lower() not in _dictionary() else word
