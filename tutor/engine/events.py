"""What the engine gives: tokens, the events of a generation, its figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tutor.engine.settings import Sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tutor.engine.trace import Stage

StopReason = Literal["end", "length", "cancelled", "context", "criterion"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat, before the model's template is applied."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of token ids: the content of a message by its number, or (None) the template's own."""

    message: int | None
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Framing:
    """What a chat template may call bos_token and eos_token, empty where the model has none.

    `first` is the token that the model wants at the start of every prompt, None where it wants none.
    """

    bos: str = ""
    eos: str = ""
    first: int | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text as the model reads it. `text` replaces bytes that are no whole character."""

    id: int
    text: str
    bytes: bytes
    special: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible token at a step. `p_full` is of the whole vocabulary before any sampler;
    `p_final` is what it was drawn with, 0 where `cut_by` names the stage that removed it."""

    id: int
    logit: float
    p_full: float
    p_final: float
    cut_by: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the chain: the likeliest candidates by raw logit, and the one drawn.

    `entropy` is of the full distribution, `entropy_final` of what was drawn from, in bits; `kept`
    are the candidates after each recorded stage.
    """

    chosen: int
    entropy: float
    entropy_final: float
    kept: tuple[tuple[str, int], ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One generated token.

    `text` is what became complete UTF-8 with it and may be empty; `logprob` (natural logarithm)
    and `entropy` (bits) are of the full distribution, before any sampler. `step` is what the
    sampler chain did, where it was traced, and `settings` are those that it ran under.
    """

    index: int
    id: int
    bytes: bytes
    text: str
    logprob: float
    entropy: float
    settings: Sampling = field(repr=False)
    step: Step | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter that acts: its name, its file, and how strongly, from 0 to 1."""

    name: str
    path: Path
    scale: float


@dataclass(frozen=True, slots=True)
class GenerationStats:
    """The figures of a finished generation; `first_token_ms` counts from the request.

    `cached_tokens` of the prompt were in memory already; of answers that are decoded together it
    is what their prompts share, which is read once. `adapter` is the one that acted meanwhile, None
    where the base spoke alone.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    first_token_ms: float
    tokens_per_second: float
    stop_reason: StopReason
    adapter: Adapter | None = None


@dataclass(frozen=True, slots=True)
class ColumnEvent:
    """A token of one of several answers that are decoded together; columns count from 0."""

    column: int
    event: TokenEvent


@dataclass(frozen=True, slots=True)
class NextToken:
    """What could follow a prompt: every stage of the chain in full, and what it would draw.

    `logprobs` are natural logarithms over the whole vocabulary, shape (n_vocab,), before any stage.
    """

    step: Step
    stages: tuple[Stage, ...]
    logprobs: NDArray[np.float32] = field(repr=False)
