"""Which of the model's sentences rest on the lessons, decided sentence by sentence.

A sentence counts as supported when one sentence of the lessons is close to it in meaning, has most
of its words and all of its numbers in the same order, negates where it negates, and does not say
the opposite with one word (higher, lower). The rule is strict on purpose: an unmarked falsehood costs
more than a true sentence marked as unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapidfuzz.distance import LCSseq

from corpus.gold import normalised
from corpus.reading import NOT_SAID
from index.encoder import Encoder
from index.lexical import content_words, stem
from index.passages import Passage, split_sentences
from tutor.agent.turn import Sentence

MIN_COSINE = 0.70
MIN_IN_ORDER = 0.85
"""The share of a claim's words that stand in the evidence in the same order: one word changed, or
two swapped, make another claim."""
_ONE_NEW_IN = 8
"""Content words of a claim for each that the evidence may lack."""

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATION = re.compile(r"\b(?:no|not|never|none|nothing|cannot|without|neither|nor)\b|n't\b")
_CLAUSE_END = re.compile(r"[,;:](?=\s)|\bbut\b|\bwhile\b|\bbecause\b")
_CITATION = re.compile(r"\s*\[\d+\]")
_OPPOSITES = tuple(
    tuple(frozenset(side.split("|")) for side in pair.split(" / "))
    for pair in (
        "more|most / less|fewer|least|fewest",
        "higher|high|highest / lower|low|lowest",
        "larger|bigger|large|big|largest / smaller|small|little|smallest",
        "longer|long|longest / shorter|short|shortest",
        "faster|fast|quicker|quick / slower|slow",
        "better|best / worse|worst",
        "rises|rise|grows|grow|increases|increase / falls|fall|shrinks|shrink|decreases|decrease",
        "raises|raise / lowers|reduces|reduce",
        "flatter|flattens|flat / sharper|sharpens|sharp|steeper",
        "before|earlier|previous / after|later|following",
        "first / last",
        "input|inputs / output|outputs",
        "encoder / decoder",
        "training|trained / inference",
        "always / never|sometimes|rarely",
        "all|every|both / none|some",
        "same|equal / different|unequal",
        "easier|easy / harder|hard|difficult",
        "cheaper|cheap / dearer|expensive",
        "stronger|strong / weaker|weak",
        "likely|likelier|probable / unlikely|improbable",
        "left / right",
        "forward|forwards / backward|backwards",
        "possible / impossible",
        "positive / negative",
        "yes / no",
    )
)
"""Words of which one stands in a sentence where its contrary stands in the other."""


def ground(
    text: str, shown: str, passages: Sequence[Passage], encoder: Encoder
) -> tuple[Sentence, ...]:
    """The sentences of `text` that claim something, each with the passage that supports it or None.

    `shown` is the answer that stands before it, of sentences that we wrote; what rests on it alone
    is put down to the best passage.
    """
    claims = [s for s in split_sentences(text) if _WORD.search(s.lower()) and s != NOT_SAID]
    if not claims:
        return ()
    if not passages:
        return tuple(Sentence(claim, False, None) for claim in claims)
    grounds = [(p, sentence) for p in passages for sentence in p.sentences]
    grounds += [(passages[0], s) for s in split_sentences(_CITATION.sub("", shown))]
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
    """Whether the evidence says what the claim says: word for word, as a whole, or clause by clause.

    A negation binds its own clause ("keeps the keys, so that they are not computed again"), so
    only evidence without any is compared as a whole.
    """
    if normalised(claim) == normalised(evidence):
        return True
    claim, evidence = claim.lower(), evidence.lower()
    parts = _clauses(evidence)
    if not _NEGATION.search(evidence):
        parts.append(evidence)
    return any(_says(part, claim) for part in parts) or all(
        any(_says(part, clause) for part in parts) for clause in _clauses(claim)
    )


def _clauses(text: str) -> list[str]:
    return [part for part in _CLAUSE_END.split(text) if _WORD.search(part)]


def _says(part: str, claim: str) -> bool:
    """Whether a part of the evidence says a claim, or a clause of one."""
    words, said = _WORD.findall(claim), _WORD.findall(part)
    numbers = _NUMBER.findall(claim)
    content = set(content_words(claim))
    return (
        LCSseq.similarity(numbers, _NUMBER.findall(part)) == len(numbers)
        and bool(_NEGATION.search(claim)) == bool(_NEGATION.search(part))
        and LCSseq.similarity(list(map(stem, words)), list(map(stem, said)))
        >= MIN_IN_ORDER * len(words)
        and len(content - set(content_words(part))) <= len(content) // _ONE_NEW_IN
        and not _contrary(set(words), set(said))
    )


def _contrary(claim: set[str], evidence: set[str]) -> bool:
    """Whether the claim has one side of a pair of opposites and the evidence only the other."""
    return any(
        claim & one and evidence & other and not (evidence & one or claim & other)
        for a, b in _OPPOSITES
        for one, other in ((a, b), (b, a))
    )
