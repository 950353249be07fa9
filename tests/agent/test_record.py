from __future__ import annotations

import json

from tutor.agent.record import exchange, struck

SENTENCES = [
    {"text": "A token is a piece of text.", "supported": True, "passage_id": "4/a"},
    {"text": "It weighs 3 grams.", "supported": False, "passage_id": None},
]


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
    kept = json.dumps({"answer": "Shown.", "intent": "answer", "sources": [{"passage_id": "4/a"}]})
    assert exchange("q", "Shown. And words.", kept).answer == "Shown."
    assert exchange("q", "Cut off", "").answer == "Cut off"
