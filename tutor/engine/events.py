"""What the engine gives: tokens, the events of a generation, its figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StopReason = Literal["end", "length", "cancelled", "context"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat, before the model's template is applied."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text as the model reads it. `text` replaces bytes that are no whole character."""

    id: int
    text: str
    bytes: bytes
    special: bool


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One generated token.

    `text` is what became complete UTF-8 with it and may be empty; `logprob` (natural logarithm)
    and `entropy` (bits) are of the full distribution, before any sampler.
    """

    index: int
    id: int
    bytes: bytes
    text: str
    logprob: float
    entropy: float


@dataclass(frozen=True, slots=True)
class GenerationStats:
    """The figures of a finished generation; `first_token_ms` counts from the request."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    first_token_ms: float
    tokens_per_second: float
    stop_reason: StopReason
