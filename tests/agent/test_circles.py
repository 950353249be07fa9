from __future__ import annotations

import pytest

from tutor.agent.circles import before_circling, loops
from tutor.agent.turn import Answer, Delta, Done
from tutor.agent.tutor import Tutor
from tutor.engine.settings import Sampling
from tutor.settings import NONE

LEARNS = "The loss falls when the model learns from its data."
FORGETS = "The loss falls when the model learns, and it rises when the model forgets."


@pytest.mark.parametrize(
    ("text", "round"),
    [("The loss falls when the model learns. " * 3, True), (FORGETS, False), ("", False)],
)
def test_an_answer_that_says_a_run_of_words_twice_loops(text: str, round: bool) -> None:
    assert loops(text) is round


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"{LEARNS}\n\nIt is **measured** in nats. In short: {LEARNS}", 2),
        (f"{LEARNS} And so the loss falls when the model learns from its", 1),
        (f"{LEARNS} {FORGETS}", 2),
    ],
)
def test_an_answer_is_kept_up_to_the_sentence_that_repeats(text: str, kept: int) -> None:
    left = before_circling(text)
    assert text.startswith(left) and not loops(left)
    assert left.count(".") == kept


def test_a_first_sentence_that_circles_in_itself_is_left() -> None:
    text = "The model learns and the model learns and the model learns and the model learns"
    assert before_circling(text) == text and loops(text)


def spoken(tutor: Tutor, question: str, rag: bool) -> tuple[Answer, str]:
    settings = Sampling(greedy=True, max_tokens=200)
    events = list(tutor.ask(question, sampling=lambda: settings, rag=rag))
    assert isinstance(events[-1], Done)
    streamed = "".join(e.event.text for e in events if isinstance(e, Delta))
    return events[-1].answer, streamed


def test_the_base_model_is_cut_where_it_begins_to_circle_and_the_answer_says_so(
    tutor: Tutor,
) -> None:
    with tutor.engine.adapter_kept():
        tutor.use(NONE)
        # Which question it circles at depends on how the processor rounds.
        for question in ("How do embeddings work?", "Why does a model need a tokenizer?"):
            cut, streamed = spoken(tutor, question, rag=True)
            free, _ = spoken(tutor, question, rag=False)
            if cut.stop_reason == "repeats":
                break
    assert cut.stop_reason == "repeats" and not loops(cut.model_text)
    assert streamed.strip().startswith(cut.model_text) and len(streamed) > len(cut.model_text)
    assert free.stop_reason != "repeats"
