"""What one turn is made of: the typed events it streams, and the answer it ends with.

The command line prints these, the app draws them, the store keeps them; nobody else's types are
needed to show an answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from corpus.intents import QUESTION
from tutor.agent.prompt import Prompt
from tutor.demos.demo import Shown
from tutor.engine.events import StopReason, TokenEvent
from tutor.engine.settings import Sampling

AnswerSource = Literal["card", "evidence", "model", "demo"]
"""`demo`: the tutor did what was asked and tells what it saw."""
AnswerStop = StopReason | Literal["repeats"]
"""`repeats`: it began to say again what it had said, and was cut there."""
CUT: dict[str, str] = {
    "cancelled": "stopped",
    "length": "cut off: max_tokens is reached",
    "context": "cut off: the context is full",
    "repeats": "ended where it began to say the same again",
}
"""What a learner is told of an answer that did not come to its own end, by its stop_reason."""
OWN = 0
"""The lesson's number of passages about the tutor itself, which stand in no lesson."""


def place_of(lesson: int) -> str:
    """Where a passage of this lesson's number stands, for the learner."""
    return "the tutor itself" if lesson == OWN else f"lesson {lesson}"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One earlier turn of the conversation, as the prompt and the retriever need it."""

    question: str
    answer: str
    passage_id: str | None = None
    """The best passage of that turn."""
    request: bool = False
    """Whether something was done rather than answered."""

    @property
    def topic(self) -> str:
        """What a follow-up stands on: the question, or the section that a request led to."""
        if self.request and self.passage_id:
            return self.passage_id.partition("/")[2].replace("-", " ")
        return self.question


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that an answer rests on; `[n]` in the answer is the n-th source."""

    lesson: int
    title: str
    section: str
    passage_id: str
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a lesson, word for word, and the number of its source (from 1)."""

    text: str
    source: int
    passage_id: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the model and the passage that supports it, if one does."""

    text: str
    supported: bool
    passage_id: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one generation."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall-clock figures of one turn; milliseconds, and tokens a second."""

    retrieve_ms: float = 0.0
    first_token_ms: float = 0.0
    tokens_per_second: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished turn. `text` is what the learner is shown as the answer."""

    id: str
    question: str
    text: str
    answer_source: AnswerSource
    model_text: str
    refused: bool
    intent: str
    sources: tuple[Source, ...]
    quotes: tuple[Quote, ...]
    sentences: tuple[Sentence, ...]
    model: str
    adapter: str | None
    adapter_scale: float
    """How strongly the adapter acted, 0 to 1; 0 without one."""
    settings: Sampling
    usage: Usage
    timings: Timings
    stop_reason: AnswerStop = "end"
    demo: str | None = None
    tokens: tuple[int, ...] = field(default=(), repr=False)

    @property
    def exchange(self) -> Exchange:
        """The turn as the history of later ones."""
        best = self.sources[0].passage_id if self.sources else None
        return Exchange(self.question, self.text, best, self.intent != QUESTION)

    @property
    def supported(self) -> float | None:
        """The share of the model's sentences that a passage supports; None without sentences."""
        if not self.sentences:
            return None
        return sum(s.supported for s in self.sentences) / len(self.sentences)


Screen = Literal["prompt", "inspect", "compare"]


@dataclass(frozen=True, slots=True)
class Performed:
    """What a request did. `sampling` is what the settings shall be from now on, `undo` that their
    last change shall be taken back, `adapter` who shall speak, `screen` what the app shall open and
    `about` with which question, `passage_id` the section that it speaks of, where a follow-up is
    searched."""

    text: str
    demo: str | None = None
    shown: Shown | None = None
    sampling: Sampling | None = None
    undo: bool = False
    adapter: str | None = None
    screen: Screen | None = None
    about: str = ""
    passage_id: str | None = None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The part that is true by construction: it is shown before the model has said a word.

    `notes` is what the model speaks from: the card's answer, where one fits, and the quotes.
    """

    text: str
    sources: tuple[Source, ...]
    quotes: tuple[Quote, ...]
    refused: bool
    retrieve_ms: float
    notes: tuple[str, ...] = ()
    answer_source: AnswerSource = "evidence"


@dataclass(frozen=True, slots=True)
class Began:
    """The prompt has been read; `cached_tokens` of it were still in memory."""

    prompt: Prompt
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class Delta:
    """One token of the model's own words."""

    event: TokenEvent


@dataclass(frozen=True, slots=True)
class Acted:
    """The text was a request, and it was done; what only the caller can do stands in it."""

    performed: Performed


@dataclass(frozen=True, slots=True)
class Done:
    """The end of the turn."""

    answer: Answer


TurnEvent = Retrieved | Acted | Began | Delta | Done
