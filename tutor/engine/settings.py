"""The decoding settings: what they are, and the range of each."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

STAGES = (
    "logit_bias",
    "penalties",
    "dry",
    "top_n_sigma",
    "top_k",
    "typical",
    "top_p",
    "min_p",
    "xtc",
    "temperature",
)
"""The stages before the draw, in llama.cpp's own order (common_params_sampling.samplers)."""


class Sampling(BaseModel):
    """One state of all decoding knobs; immutable, so that a running answer can compare states."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: float = Field(
        0.7, ge=0, le=5, description="Below 1 likely tokens gain, above 1 unlikely ones do."
    )
    top_k: int = Field(
        40, ge=0, le=1000, description="Keep only this many most probable tokens; 0 keeps all."
    )
    top_p: float = Field(
        0.95, gt=0, le=1, description="Keep the fewest tokens whose probabilities reach this sum."
    )
    min_p: float = Field(
        0.05, ge=0, le=1, description="Drop tokens below this share of the best one's probability."
    )
    typical_p: float = Field(
        1.0, gt=0, le=1, description="Keep the tokens that surprise about as much as expected."
    )
    repeat_penalty: float = Field(
        1.0, ge=0.5, le=2, description="Above 1 makes tokens that were just said less likely."
    )
    presence_penalty: float = Field(
        0.0, ge=-2, le=2, description="Taken once from the logit of every token just said."
    )
    frequency_penalty: float = Field(
        0.0, ge=-2, le=2, description="Taken from the logit for every time a token was just said."
    )
    seed: int = Field(
        42, ge=0, le=2**32 - 2, description="Where the random numbers start: same seed, same draw."
    )
    max_tokens: int = Field(160, ge=1, le=4096, description="The longest answer, in tokens.")
    greedy: bool = Field(False, description="Always take the most probable token.")
    top_n_sigma: float = Field(
        0.0, ge=0, le=10, description="Keep logits this many deviations from the best; 0 is off."
    )
    dry_multiplier: float = Field(
        0.0, ge=0, le=5, description="Punish going on with a repeated passage (DRY); 0 is off."
    )
    xtc_probability: float = Field(
        0.0, ge=0, le=1, description="How often the likeliest tokens are left out (XTC)."
    )
    xtc_threshold: float = Field(
        0.1, ge=0, le=1, description="Which tokens count as likeliest for XTC."
    )
    mirostat_tau: float = Field(
        0.0, ge=0, le=20, description="Hold the surprise at this many nats (mirostat 2); 0 is off."
    )
    logit_bias: dict[int, float] = Field(
        default_factory=dict, description="Added to the logits of tokens, by id."
    )
    banned: tuple[str, ...] = Field((), description="Words that must not be said.")
    order: tuple[str, ...] = Field(STAGES, description="The stages in the order in which they run.")

    @field_validator("order")
    @classmethod
    def _every_stage_once(cls, order: tuple[str, ...]) -> tuple[str, ...]:
        if sorted(order) != sorted(STAGES):
            raise ValueError(f"name every stage once: {', '.join(STAGES)}")
        return order

    @field_validator("logit_bias", mode="before")
    @classmethod
    def _biases(cls, value: object) -> object:
        """A command line gives ID=BIAS with commas between them."""
        if isinstance(value, str):
            parts = (part.partition("=") for part in value.split(",") if part.strip())
            return {id.strip(): bias.strip() for id, _, bias in parts}
        return value

    @field_validator("order", "banned", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        """A command line gives words with commas between them."""
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value


PRESETS: dict[str, Sampling] = {
    "precise": Sampling(temperature=0.2, top_k=20, top_p=0.9, min_p=0.1),
    "balanced": Sampling(),
    "wild": Sampling(temperature=1.5, top_k=0, top_p=1.0, min_p=0.02),
}
"""Whole states of the knobs under a name: from looking a fact up to making a story up."""


def changes(before: Sampling, after: Sampling) -> dict[str, tuple[object, object]]:
    """What differs between two states, as (before, after) by name."""
    old, new = before.model_dump(), after.model_dump()
    return {name: (old[name], new[name]) for name in new if old[name] != new[name]}
