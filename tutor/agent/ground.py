"""Which of the model's sentences rest on the passages, decided sentence by sentence.

A sentence counts as supported when one sentence of a passage is close to it in meaning, shares
most of its content words, holds all of its numbers, and negates where it negates. The rule is
strict on purpose: an unmarked falsehood costs more than a true sentence marked as unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from index.encoder import Encoder
from index.passages import Passage, split_sentences
from tutor.agent.turn import Sentence

MIN_COSINE = 0.70
MIN_OVERLAP = 0.60

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATION = re.compile(r"\b(?:no|not|never|none|nothing|cannot|without|neither|nor)\b|n't\b")
_CLAUSE_END = re.compile(r"[,;:](?=\s)|\bbut\b|\bwhile\b|\bbecause\b")
_SHORT = 3


def ground(text: str, passages: Sequence[Passage], encoder: Encoder) -> tuple[Sentence, ...]:
    """The sentences of `text`, each with the passage that supports it or with None."""
    claims = [s for s in split_sentences(text) if _WORD.search(s.lower())]
    grounds = [(p, sentence) for p in passages for sentence in p.sentences]
    if not claims:
        return ()
    if not grounds:
        return tuple(Sentence(claim, False, None) for claim in claims)
    # (claims, 384) @ (384, grounds): cosines, since the encoder's vectors have length one.
    cosines = encoder.encode(claims) @ encoder.encode([s for _, s in grounds]).T
    found = []
    for claim, row in zip(claims, cosines, strict=True):
        support = next(
            (
                passage
                for i in row.argsort()[::-1]
                if row[i] >= MIN_COSINE
                for passage, sentence in [grounds[i]]
                if _agree(claim, sentence)
            ),
            None,
        )
        found.append(Sentence(claim, support is not None, support and support.passage_id))
    return tuple(found)


def _agree(claim: str, evidence: str) -> bool:
    """Whether some clause of the evidence says what the claim says.

    A negation binds its own clause ("keeps the keys, so that they are not computed again"), so
    only evidence without any is compared as a whole.
    """
    claim, evidence = claim.lower(), evidence.lower()
    parts = _CLAUSE_END.split(evidence)
    if not _NEGATION.search(evidence):
        parts.append(evidence)
    words = {word for word in _WORD.findall(claim) if len(word) > _SHORT}
    numbers = set(_NUMBER.findall(claim))
    negated = bool(_NEGATION.search(claim))
    return any(
        numbers <= set(_NUMBER.findall(part))
        and negated == bool(_NEGATION.search(part))
        and len(words & set(_WORD.findall(part))) >= MIN_OVERLAP * max(len(words), 1)
        for part in parts
    )
