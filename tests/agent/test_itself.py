from __future__ import annotations

import pytest

from tutor.agent.turn import Answer, Done
from tutor.agent.tutor import Tutor
from tutor.engine.settings import Sampling


def answer(tutor: Tutor, question: str, sampling: Sampling | None = None) -> Answer:
    settings = sampling or Sampling(max_tokens=4)
    *_, done = tutor.ask(question, sampling=lambda: settings)
    assert isinstance(done, Done)
    return done.answer


@pytest.mark.parametrize(
    ("question", "figure"),
    [
        ("how many layers do you have?", "30 layers"),
        ("how many parameters do you have?", "134,515,008"),
        ("how large is your vocabulary?", "49,152"),
    ],
)
def test_a_question_about_itself_is_answered_from_the_file(
    tutor: Tutor, question: str, figure: str
) -> None:
    found = answer(tutor, question)
    assert figure in found.text and found.sources[0].lesson == 0


def test_asked_how_it_is_stored_it_tells_that_before_what_quantization_is(tutor: Tutor) -> None:
    found = answer(tutor, "How are you quantized?")
    first = found.text.partition(". ")[0]
    assert first.startswith("My model's weights, shipped with about 4 bits each,")
    assert f"stored as {tutor.info.quantization}" in first


def test_the_temperature_that_counts_now_is_told(tutor: Tutor) -> None:
    found = answer(tutor, "what is your temperature?", Sampling(temperature=1.3, max_tokens=4))
    assert "1.3" in found.text


def test_a_question_on_the_subject_is_still_answered_from_the_lessons(tutor: Tutor) -> None:
    assert answer(tutor, "What is the context window?").sources[0].lesson == 4
