"""Reads the requests: what learners type when they want something done rather than explained.

`intents/<split>.json` maps an intent to phrases. Braces enclose what the request is about, as in
`cut this for me: {good morning}`: for the router they are where the payload stands, for the tests
what it should find. Phrases of `train` teach the router, `dev` tunes it, `test` only reports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from corpus.gold import Split
from corpus.lessons import CourseError

INTENTS = Path(__file__).parent / "intents"
QUESTION = "answer"
"""The intent of what is no request: plain questions that come close to one."""

_PAYLOAD = re.compile(r"\{(.*?)\}")
_PHRASES = TypeAdapter(dict[str, list[str]])


@dataclass(frozen=True, slots=True)
class Request:
    """A phrase as it is typed, and what it asks for. `head` is the phrase without its payload."""

    intent: str
    phrase: str
    head: str
    payload: str | None

    @property
    def forms(self) -> tuple[str, ...]:
        """The phrase, and its head where it has a payload."""
        return tuple(dict.fromkeys((self.phrase, self.head)))


def load_requests(split: Split, folder: Path | None = None) -> list[Request]:
    """The requests of a split. Raises CourseError for a file that cannot be read."""
    path = (folder or INTENTS) / f"{split}.json"
    try:
        found = _PHRASES.validate_json(path.read_bytes())
    except OSError as error:
        raise CourseError(f"{path.name}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise CourseError(
            f"{path.name}: give a list of phrases under each intent, as JSON: "
            f"{error.errors()[0]['msg']}"
        ) from error
    return [_request(intent, phrase) for intent, phrases in found.items() for phrase in phrases]


def _request(intent: str, phrase: str) -> Request:
    # Thousands are read at every start, most of them about nothing.
    about = _PAYLOAD.search(phrase) if "{" in phrase else None
    if about is None:
        return Request(intent, phrase, phrase, None)
    head = " ".join(_PAYLOAD.sub(" ", phrase).split())
    return Request(intent, _PAYLOAD.sub(r"\1", phrase), head, about[1])
