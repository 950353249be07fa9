from __future__ import annotations

import pytest

from corpus import load_lessons
from tutor.demos.demo import DemoError
from tutor.demos.registry import NAMES, demo


def test_the_lessons_lead_to_every_demonstration_in_their_order() -> None:
    assert [shown.name for lesson in load_lessons() for shown in lesson.demos] == list(NAMES)


def test_a_demonstration_that_a_lesson_leads_to_belongs_to_it() -> None:
    for lesson in load_lessons():
        headings = {section.heading for section in lesson.sections}
        for shown in lesson.demos:
            assert demo(shown.name).lesson == lesson.number
            assert shown.section in headings


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(DemoError, match="choose one of model-file, determinism"):
        demo("nothing")
