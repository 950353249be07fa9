"""Tells a request ("cut this sentence: ...") from a question, and finds what it is about.

Nothing here is a list of words: regressions over sentence vectors and over wordings learn from the
phrases of corpus/intents, with the question bank as the examples of what is no request. What a
request is about, its payload, may be any text: what is quoted, what follows a colon, or the end of the text
whose removal makes the rest most like a known phrase of that intent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpus.intents import QUESTION, Request
from index.build import cached_vectors
from index.retriever import Retriever
from tutor.agent.classifier import Classifier

THRESHOLD = 0.3
"""The least probability of an intent; below it a text is a question. Chosen on dev."""
MARGIN = 0.1
"""A text that is so much nearer to a question of the bank than to any phrase of its intent is a
question all the same. Chosen on dev."""
_THE_SAME = 0.95
"""From this cosine on, a text is the known question itself."""
_LONGEST_HEAD = 14
_LONGEST = 600
"""Characters of a text that can be a request without quotes or a colon."""

_QUOTED = re.compile(r"[\"“«„](?P<text>.+)[\"”»“]|(?<!\w)['‘](?P<single>.+)['’](?!\w)", re.DOTALL)
_AFTER_COLON = re.compile(r"^(?P<text>[^:\n]{3,120}):\s*(?P<payload>\S.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Route:
    """What is wanted: `intent` is QUESTION for a question; `p` is its probability."""

    intent: str
    payload: str | None
    p: float


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text read as a request: what is asked, and about what."""

    head: str
    payload: str | None


class Router:
    """Requests and questions told apart."""

    def __init__(
        self,
        requests: Sequence[Request],
        unanswered: Sequence[str],
        retriever: Retriever,
        cache: Path,
    ) -> None:
        """`unanswered` are questions that no lesson answers, which are no requests either."""
        self._encoder = retriever.encoder
        self._retriever = retriever
        self._requests = requests
        self._classifier = Classifier.trained(requests, unanswered, retriever, cache)
        heads = [request.head for request in requests]
        self._heads = cached_vectors(heads, "requests", cache, retriever.encoder)

    def route(self, text: str) -> Route:
        """Decides what `text` wants."""
        text = text.strip()
        readings = _marked(text)
        if len(text) >= _LONGEST and len(readings) == 1:
            return Route(QUESTION, None, 1.0)
        # What is marked as a payload says nothing about what is wanted.
        head = readings[-1].head
        intent, p = self._classifier.decide(head, self._encoder.encode_one(head))
        if intent == QUESTION or p < THRESHOLD or self._is_known(text, head, intent):
            return Route(QUESTION, None, p)
        return Route(intent, self._payload(intent, text, readings), p)

    def _is_known(self, text: str, head: str, intent: str) -> bool:
        own = np.array([request.intent == intent for request in self._requests])
        vectors = np.stack([self._encoder.encode_one(text), self._encoder.encode_one(head)])
        nearest = float((vectors @ self._heads[own].T).max())
        return self._retriever.nearest_known(text) > min(nearest + MARGIN, _THE_SAME)

    def _payload(self, intent: str, text: str, readings: list[_Reading]) -> str | None:
        own = np.array([request.intent == intent for request in self._requests])
        about = np.array([request.payload is not None for request in self._requests]) & own
        if not about.any():
            return None
        if len(readings) == 1:
            readings = [*readings, *_endings(text)]
        cosines = self._encoder.encode([r.head for r in readings]) @ self._heads.T
        fits: NDArray[np.bool_] = np.array(
            [about if r.payload is not None else own & ~about for r in readings]
        )
        # Of equally good readings the first counts: it leaves the longest payload.
        best = np.where(fits, cosines, np.float32(-1.0)).max(axis=1).argmax()
        return readings[int(best)].payload


def _marked(text: str) -> list[_Reading]:
    """The text as a request about nothing, and about what is quoted or after a colon."""
    found = [_Reading(text, None)]
    if match := _QUOTED.search(text):
        head = " ".join((text[: match.start()] + " " + text[match.end() :]).split())
        if len(head.split()) > 1:
            found.append(_Reading(head, match.group("text") or match.group("single")))
    elif match := _AFTER_COLON.match(text):
        found.append(_Reading(match.group("text"), match.group("payload").strip()))
    return found


def _endings(text: str) -> list[_Reading]:
    """Every way to take the end of the text for what the request is about."""
    words = list(re.finditer(r"\S+", text))
    return [
        _Reading(text[: words[n].start()].strip(), text[words[n].start() :].strip(" ?.!"))
        for n in range(1, min(len(words), _LONGEST_HEAD))
    ]
