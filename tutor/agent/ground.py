"""Which of the model's sentences rest on the lessons, decided sentence by sentence.

A sentence counts as supported when a sentence of the lessons says it: close in meaning, with all its
content words and numbers in the same order and most of the small words too, negated where it is
negated, with the same yes or no, and without the contrary of one word (higher, lower). Clauses that
"and", "so", "because" join may rest on two sentences. The rule is strict on purpose: an unmarked
falsehood costs more than a true sentence marked as unchecked. Calibrated on labelled sentences
(docs/experiments.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapidfuzz.distance import LCSseq

from corpus.gold import normalised
from corpus.reading import NOT_SAID
from index.encoder import Encoder
from index.lexical import content_words, stem
from index.passages import Passage, split_sentences, without_markup
from tutor.agent.turn import Sentence

MIN_COSINE = 0.5
MIN_IN_ORDER = 0.8
"""The share of all of a claim's words that stand in the evidence in the same order."""
_LEAST_OF_A_CLAUSE = 3
"""Content words of a clause that may rest on a sentence of its own."""

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_TOKEN = re.compile(rf"\d+(?:[.,]\d+)*|{_WORD.pattern}")
_SPELLED = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {word: str(number) for number, word in enumerate(_SPELLED, 2)} | {"twice": "2"}
_UNITS = {"hundred", "thousand", "million", "billion", "trillion", "percent"}
_VERDICT = re.compile(r"(yes|no)\b[,.:;]?\s*")
_JOINED = re.compile(
    r"[;:](?=\s)|,\s+(?:and|but|so|because|while|since)\b|\b(?:but|while|because)\b"
)
_NEGATION = re.compile(r"\b(?:no|not|never|none|nothing|cannot|without|neither|nor)\b|n't\b")
_CLAUSE_END = re.compile(r"[,;:](?=\s)|\bbut\b|\bwhile\b|\bbecause\b|\bso that\b")
CITATION = re.compile(r"\s*\[\d+\]")
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
    ours = len(grounds)
    grounds += [(passages[0], s) for s in split_sentences(CITATION.sub("", shown))]
    # (claims, 384) @ (384, grounds): cosines, since the encoder's vectors have length one.
    cosines = encoder.encode(claims) @ encoder.encode([s for _, s in grounds]).T
    found = []
    for claim, row in zip(claims, cosines, strict=True):
        # What the answer quotes stands in a passage too, which is told then.
        order = sorted(range(len(grounds)), key=lambda i: (i >= ours, -row[i]))
        near = [grounds[i] for i in order if row[i] >= MIN_COSINE]
        support = _supporting(claim, near) or _jointly(claim, near)
        found.append(Sentence(claim, support is not None, support.passage_id if support else None))
    return tuple(found)


def _supporting(claim: str, near: Sequence[tuple[Passage, str]], least: int = 1) -> Passage | None:
    """The passage of the first sentence that says the claim."""
    return next((p for p, sentence in near if _agree(claim, sentence, least)), None)


def _agree(claim: str, evidence: str, least: int) -> bool:
    """Whether the evidence says what the claim says, as a whole or in one of its clauses.

    A negation binds its own clause ("keeps the keys, so that they are not computed again"), so
    only evidence without any is compared as a whole.
    """
    if normalised(claim) == normalised(evidence):
        return True
    claim, evidence = without_markup(claim).lower(), without_markup(evidence).lower()
    verdict, given = _VERDICT.match(claim), _VERDICT.match(evidence)
    if verdict:
        if not given or verdict[1] != given[1]:
            return False
        claim = claim[verdict.end() :]
    if given:
        evidence = evidence[given.end() :]
    parts = [part for part in _CLAUSE_END.split(evidence) if _WORD.search(part)]
    if not _NEGATION.search(evidence):
        parts.append(evidence)
    return any(_says(part, claim, least) for part in parts)


def _jointly(claim: str, near: Sequence[tuple[Passage, str]]) -> Passage | None:
    """The passage of the first of several clauses that are all supported, each by some sentence."""
    clauses = [part for part in _JOINED.split(claim) if _WORD.search(part.lower())]
    if len(clauses) < 2:
        return None
    supports = [_supporting(clause, near, _LEAST_OF_A_CLAUSE) for clause in clauses]
    return supports[0] if all(supports) else None


def _says(part: str, claim: str, least: int) -> bool:
    """Whether a part of the evidence says a claim of at least so many content words."""
    content, said = _content(claim), _content(part)
    words, others = _WORD.findall(claim), _WORD.findall(part)
    return (
        len(content) >= least
        and LCSseq.similarity(content, said) == len(content)
        and LCSseq.similarity(list(map(stem, words)), list(map(stem, others)))
        >= MIN_IN_ORDER * len(words)
        and len(_NEGATION.findall(claim)) == len(_NEGATION.findall(part))
        and not _contrary(set(words), set(others))
    )


def _content(text: str) -> list[str]:
    """The content words and numbers of a text in order, numbers as digits."""
    found = []
    for token in _TOKEN.findall(text):
        if number := _NUMBERS.get(token):
            found.append(number)
        elif token[0].isdigit():
            found.append(token.replace(",", ""))
        elif token in _UNITS:
            found.append(token)
        else:
            found += content_words(token)
    return found


def _contrary(claim: set[str], evidence: set[str]) -> bool:
    """Whether the claim has one side of a pair of opposites and the evidence only the other."""
    return any(
        claim & one and evidence & other and not (evidence & one or claim & other)
        for a, b in _OPPOSITES
        for one, other in ((a, b), (b, a))
    )
