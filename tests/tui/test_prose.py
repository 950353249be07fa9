from __future__ import annotations

import pytest
from textual.content import Span

from tutor.tui.prose import prose


def test_paragraphs_are_one_piece_with_an_empty_line_between() -> None:
    content = prose("One line\nof two.\n\nAnother.")
    assert content is not None and content.plain == "One line of two.\n\nAnother."


def test_what_is_marked_up_within_a_line_is_a_span() -> None:
    content = prose("**Bold**, *slanted ~~and struck~~*, `code` and [named](elsewhere).")
    assert content is not None
    assert content.plain == "Bold, slanted and struck, code and named."
    assert {content.plain[s.start : s.end]: s.style for s in content.spans} == {
        "Bold": "bold",
        "and struck": "strike",
        "slanted and struck": "italic",
        "code": "bold",
    }


def test_a_line_that_is_broken_on_purpose_stays_broken() -> None:
    content = prose("One\\\nTwo")
    assert content is not None and content.plain == "One\nTwo"


def test_brackets_and_escapes_are_text() -> None:
    content = prose(r"A source [1], [red]no markup[/red], 2 \* 3 &lt; 7.")
    assert content is not None and content.plain == "A source [1], [red]no markup[/red], 2 * 3 < 7."
    assert content.spans == []


def test_spans_of_a_later_paragraph_are_counted_from_its_beginning() -> None:
    content = prose("First.\n\nThen **this**.")
    assert content is not None
    assert content.spans == [Span(13, 17, "bold")]


@pytest.mark.parametrize(
    "text",
    [
        "# Heading",
        "- an item",
        "1. an item",
        "> quoted",
        "```\ncode\n```",
        "    code",
        "| a | b |\n|-|-|\n| 1 | 2 |",
        "---",
        "![picture](file)",
        "some <b>html</b>",
    ],
)
def test_what_is_more_than_prose_is_left_to_markdown(text: str) -> None:
    assert prose(text) is None
    assert prose(f"Before.\n\n{text}") is None


def test_nothing_is_prose() -> None:
    content = prose("")
    assert content is not None and content.plain == ""
