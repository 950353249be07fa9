"""The decoding settings: what they are, and the range of each."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


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
    repeat_penalty: float = Field(
        1.1, ge=0.5, le=2, description="Above 1 makes tokens that were just said less likely."
    )
    seed: int = Field(
        42, ge=0, le=2**32 - 2, description="Where the random numbers start: same seed, same draw."
    )
    max_tokens: int = Field(160, ge=1, le=4096, description="The longest answer, in tokens.")
    greedy: bool = Field(False, description="Always take the most probable token.")
