from __future__ import annotations

from corpus.gold import load_gold
from tutor.agent.tutor import Tutor
from tutor.lora.compare import SHOWN, compare
from tutor.settings import SHIPPED


def test_base_and_tuned_answer_without_and_with_the_lessons(tutor: Tutor) -> None:
    questions = load_gold("dev")[::70]
    with tutor.engine.adapter_kept():
        ways = list(compare(tutor, questions, SHIPPED))
    assert [way.name for way in ways] == [
        "base, without the lessons",
        "base, with the lessons",
        "tuned, without the lessons",
        "tuned, with the lessons",
        SHOWN,
    ]
    asked = [question for question in questions if question.answerable]
    for way in ways:
        assert way.scores.n == len(asked) == sum(s.n for s in way.by_lesson.values())
    assert ways[-1].scores.right + ways[-1].scores.partly > ways[0].scores.right
    with_lessons = [way for way in ways if "with the" in way.name]
    assert not any(way.loops for way in with_lessons)
