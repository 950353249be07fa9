from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tutor.engine.lookup import Lookup


def looked_up(text: list[int], longest: int = 8) -> Lookup:
    lookup = Lookup(longest)
    lookup.add(text)
    return lookup


def test_what_followed_the_newest_tokens_before_is_drafted() -> None:
    assert looked_up([1, 2, 3, 4, 5, 6, 1, 2]).draft(10) == [3, 4, 5, 6]


def test_the_longest_run_decides_and_not_the_nearest() -> None:
    assert looked_up([7, 1, 2, 3, 9, 1, 2, 4, 7, 1, 2]).draft(1) == [3]


def test_of_equal_runs_the_nearest_is_taken() -> None:
    assert looked_up([1, 2, 3, 1, 2, 4, 1, 2]).draft(1) == [4]


def test_a_single_token_that_stood_before_is_not_enough() -> None:
    assert looked_up([1, 2, 3, 4, 1]).draft(8) == []


def test_no_draft_is_longer_than_the_room() -> None:
    text = [1, 2, 3, 4, 5, 6, 1, 2]
    assert looked_up(text).draft(2) == [3, 4]
    assert looked_up(text).draft(0) == [] == looked_up(text).draft(-1)


def test_drafts_grow_while_they_are_right_and_shrink_when_they_are_wrong() -> None:
    lookup = looked_up([*range(30), 0, 1])
    assert len(lookup.draft(30)) == 4
    lookup.learn(4, 4)
    assert len(lookup.draft(30)) == 8
    lookup.learn(8, 8)
    assert len(lookup.draft(30)) == 8
    for _ in range(5):
        lookup.learn(8, 3)
    assert len(lookup.draft(30)) == 1


def test_a_step_without_a_draft_teaches_nothing() -> None:
    lookup = looked_up([*range(30), 0, 1])
    lookup.learn(0, 0)
    assert len(lookup.draft(30)) == 4


def test_without_a_length_nothing_is_drafted() -> None:
    assert looked_up([1, 2, 3, 1, 2], longest=0).draft(8) == []


@given(st.lists(st.integers(0, 3), max_size=60))
def test_a_draft_stands_in_the_text_after_the_tokens_that_end_it(text: list[int]) -> None:
    draft = looked_up(text).draft(8)
    places = range(2, len(text))
    assert draft == [] or any(
        text[at - 2 : at] == text[-2:] and text[at : at + len(draft)] == draft for at in places
    )
