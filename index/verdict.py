"""Yes and no: which questions want one, and whether that of a known answer fits another question.

A known question and the one that is asked may be near and yet be answered the other way round: "is
it impossible to beat a large model?", "can a small model ever beat a large one?".
"""

from __future__ import annotations

import re

_VERDICT = re.compile(r"(?:yes|no)[,:]\s+", re.IGNORECASE)
_ASKING = re.compile(
    r"\b(?:(?P<open>how|what|why|which|whom?|whose|where|when)"
    r"|is|are|am|was|were|do|does|did|can|could|will|would|should|shall|may|might|must|has|have|had)\b"
)
_CLAUSE = re.compile(r"[.!?;:]\s+")
_NOT = r"(?:n'?t|\s+not)\b"
_AUXILIARY = r"(?:is|are|was|were|do|does|did|ca|could|wo|would|should|has|have|had|ai|must)"
_BIASED = re.compile(
    rf"(?:^|(?<=[,.;:?!]\s)|\b(?:so|but|and|then|because)\s+){_AUXILIARY}n'?t\b"
    rf"|(?:{_AUXILIARY}{_NOT}\s+(?:it|they|that|this|there|he|she|we|you|i)|,\s*(?:no|or not))\s*\??$"
)
"""A negation that asks for assent ("isn't it true", "..., doesn't it?", "..., no?") and negates nothing."""
_NEGATION = re.compile(
    r"\b(?:no|not|never|none|nothing|nobody|nowhere|without|neither|nor|cannot|cant|dont|doesnt|didnt|isnt|arent"
    r"|wasnt|wont|impossible|unable|hopeless|pointless|useless|unnecessary|bad|wrong|mistake|myth|always"
    r"|worry|worried|problem|broken|afraid)\b|n't\b"
)
"""What turns an answer round, or may ("always enough")."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CHOICE = re.compile(r"\bor\b(?! (?:not|so|less)\b)")


def asks_openly(question: str) -> bool:
    """Whether it asks how, what or why, or to be told something ("tell me about tokens"), so that
    a yes or a no would be the answer to another one.

    The first asking word of its last clause decides, and without one whether it is a question.
    """
    clause = _CLAUSE.split(question.lower().strip(" ?!.;:"))[-1]
    first = _ASKING.search(clause)
    return bool(first["open"]) if first else "?" not in question


def without_verdict(text: str, sign: str = "") -> str:
    """The text without the yes or no that it begins with; `sign` stands where a quote was cut."""
    verdict = _VERDICT.match(text)
    if not verdict:
        return text
    cut = text[verdict.end() :]
    return sign + cut if sign else capital(cut)


def capital(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def same_verdict(question: str, known: str, answer: str) -> bool:
    """Whether the yes or no of a known question's answer fits the question.

    Not where one of them is negated and the other is not, where the question leaves a choice, or
    has numbers that the known one and its answer have not.
    """
    numbers = set(_NUMBER.findall(f"{known} {answer}"))
    return (
        not asks_openly(question)
        and _negated(question) == _negated(known)
        and bool(_CHOICE.search(question.lower())) <= bool(_CHOICE.search(known.lower()))
        and set(_NUMBER.findall(question)) <= numbers
    )


def _negated(question: str) -> bool:
    said = _BIASED.sub(" ", question.lower().replace("’", "'").strip())
    return len(_NEGATION.findall(said)) % 2 == 1
