"""What may be asked: a question is checked here before anything is computed."""

from __future__ import annotations

from tutor.text import plain

QUESTION_LIMIT = 4_000
"""Characters; about a quarter of the default context."""


class QuestionError(Exception):
    """A question that cannot be asked; the message says why and what to do."""


def checked(question: str) -> str:
    """The question without control characters and outer space. Raises QuestionError."""
    question = plain(question).strip()
    if not question:
        raise QuestionError("the question is empty: type a question about the lessons")
    if len(question) > QUESTION_LIMIT:
        raise QuestionError(
            f"the question has {len(question):,} characters; ask in at most {QUESTION_LIMIT:,}"
        )
    return question
