from __future__ import annotations

import json
from typing import Any

import pytest

from tutor.agent.record import exchange, kept_record, struck

SENTENCES = [
    {"text": "A token is a piece of text.", "supported": True, "passage_id": "4/a"},
    {"text": "It weighs 3 grams.", "supported": False, "passage_id": None},
]

WHOLE: dict[str, Any] = {
    "answer": "Shown.",
    "answer_source": "evidence",
    "model_text": "And words.",
    "intent": "answer",
    "sources": [{"lesson": 4, "section": "A", "passage_id": "4/a"}],
    "grounding": {"sentences": SENTENCES},
    "adapter": None,
    "adapter_scale": 1.0,
    "stop_reason": "end",
}


def record(words: str, sentences: list[dict[str, object]]) -> dict[str, object]:
    return {"model_text": words, "grounding": {"sentences": sentences}}


def test_what_nothing_supports_is_struck_and_the_rest_stays_as_it_was() -> None:
    words = "A token is a piece of text. It weighs 3 grams."
    assert (
        struck(record(words, SENTENCES)) == "A token is a piece of text. ~~It weighs 3 grams.~~ [?]"
    )


def test_an_item_of_a_list_is_struck_behind_its_mark() -> None:
    item = [{"text": "- It weighs 3 grams.", "supported": False, "passage_id": None}]
    assert struck(record("- It weighs 3 grams.", item)) == "- ~~It weighs 3 grams.~~ [?]"


def test_a_sentence_over_two_lines_is_struck_too() -> None:
    words = "A token is a piece of text. It weighs\n3 grams."
    assert struck(record(words, SENTENCES)).endswith("~~It weighs 3 grams.~~ [?]")


def test_a_stored_turn_is_remembered_by_what_was_shown_as_its_answer() -> None:
    kept = json.dumps(WHOLE)
    assert exchange("q", "Shown. And words.", kept).answer == "Shown."
    assert exchange("q", "Cut off", "").answer == "Cut off"


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        json.dumps(WHOLE)[:-1],
        "[" * 100_000,
        "null",
        "[]",
        json.dumps({name: value for name, value in WHOLE.items() if name != "sources"}),
        *(json.dumps(WHOLE | {name: None}) for name in WHOLE if name not in ("intent", "adapter")),
        json.dumps(WHOLE | {"sources": [{"lesson": "six"}]}),
        json.dumps(WHOLE | {"grounding": {"sentences": [{"text": 1, "supported": True}]}}),
        json.dumps(WHOLE | {"adapter_scale": "much"}),
    ],
)
def test_a_damaged_record_is_none_and_is_remembered_by_its_text(damaged: str) -> None:
    assert kept_record(damaged) is None
    assert exchange("q", "What was shown", damaged).answer == "What was shown"


def test_a_whole_record_is_given_as_it_was_kept() -> None:
    assert kept_record(json.dumps(WHOLE)) == WHOLE
