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
    claim, evidence = claim.lower(), evidence.lower()
    words = {word for word in _WORD.findall(claim) if len(word) > _SHORT}
    shared = words & set(_WORD.findall(evidence))
    numbers = set(_NUMBER.findall(claim)) <= set(_NUMBER.findall(evidence))
    negation = bool(_NEGATION.search(claim)) == bool(_NEGATION.search(evidence))
    return numbers and negation and len(shared) >= MIN_OVERLAP * max(len(words), 1)
