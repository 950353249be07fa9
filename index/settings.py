"""How passages are searched: every choice that was measured, as one immutable state."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Mode = Literal["hybrid", "dense", "bm25"]
Fusion = Literal["scores", "ranks"]


class Retrieval(BaseModel):
    """The arms and weights of the search; docs/experiments.md tells what each is worth."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mode: Mode = Field("hybrid", description="Vectors, BM25, or both.")
    fusion: Fusion = Field(
        "scores", description="Fuse z-scored scores, or ranks (reciprocal rank fusion)."
    )
    whole: bool = Field(True, description="Compare with a section's whole text.")
    heading: bool = Field(True, description="Compare with a section's heading.")
    sentences: bool = Field(True, description="Compare with each sentence.")
    questions: bool = Field(True, description="Compare with the bank's questions of a section.")
    question_offset: float = Field(
        0.0, ge=-1, le=1, description="Added to the cosine of a question of the bank."
    )
    spelling: bool = Field(True, description="Mend misspelled words before searching.")
    bm25_weight: float = Field(
        0.4, ge=0, le=10, description="Of the z-scored BM25 against the z-scored cosine."
    )
    bm25_questions: bool = Field(True, description="Let BM25 read the bank's questions too.")
    lesson_prior: float = Field(
        0.3, ge=0, le=10, description="For the open lesson, in standard deviations."
    )
    context_weight: float = Field(
        0.2,
        ge=0,
        le=0.6,
        description="Of the question after the one before, against it alone; half as much again where "
        "it has few words.",
    )
