from __future__ import annotations

import pytest

from corpus.gold import load_gold
from index.passages import split_sentences
from tutor.agent.compose import compose
from tutor.agent.question import QuestionError
from tutor.agent.turn import Answer, Began, Delta, Done, Exchange, Retrieved
from tutor.agent.tutor import Tutor
from tutor.engine.cancel import Cancel
from tutor.engine.errors import EngineError
from tutor.engine.settings import Sampling

SHORT = Sampling(greedy=True, max_tokens=16)


def answer(
    tutor: Tutor, question: str, history: list[Exchange] | None = None, **more: object
) -> Answer:
    events = list(tutor.ask(question, history or [], sampling=lambda: SHORT, **more))  # type: ignore[arg-type]
    assert isinstance(events[-1], Done)
    return events[-1].answer


def test_the_evidence_comes_before_the_first_word_of_the_model(tutor: Tutor) -> None:
    kinds = [type(e) for e in tutor.ask("What is a token?", sampling=lambda: SHORT)]
    assert kinds[:3] == [Retrieved, Began, Delta] and kinds[-1] is Done


def test_every_quote_stands_word_for_word_in_its_source(tutor: Tutor) -> None:
    found = answer(tutor, "Why does a high temperature make answers stranger?")
    assert found.sources[0].lesson == 6 and found.quotes
    for quote in found.quotes:
        source = found.sources[quote.source - 1]
        assert quote.text in " ".join(source.text.split())
        assert f"{quote.text} [{quote.source}]" in found.text


def test_a_follow_up_is_answered_from_the_topic_of_the_conversation(tutor: Tutor) -> None:
    first = answer(tutor, "What is a minibatch?")
    before = Exchange(first.question, first.text, first.sources[0].passage_id)
    assert "minibatch" in answer(tutor, "why more than one?", [before]).text


def test_a_question_that_the_lessons_do_not_answer_is_told_so(tutor: Tutor) -> None:
    found = answer(tutor, "Who won the football world cup?")
    assert found.refused and found.model_text == "" and "nearest lesson" in found.text


def test_without_retrieval_the_answer_is_the_models(tutor: Tutor) -> None:
    found = answer(tutor, "What is a token?", rag=False)
    assert found.answer_source == "model" and found.text == found.model_text and not found.sources


def reading(tutor: Tutor, draft: str) -> int:
    """Tokens in memory after the tutor has read ahead for a draft."""
    tutor.engine.forget()
    tutor.read_ahead(draft, (), None, SHORT, Cancel())
    tutor.engine.preview(SHORT)  # waits until the engine is free
    return len(tutor.engine._memory)


def test_notes_and_words_are_read_while_the_question_is_typed_and_the_answer_is_the_same(
    tutor: Tutor,
) -> None:
    question = "What does the KV cache keep?"
    tutor.engine.forget()
    expected = answer(tutor, question)
    assert reading(tutor, question.rpartition(" ")[0]) > 50
    found = answer(tutor, question)
    assert found.usage.cached_tokens > expected.usage.prompt_tokens - 15
    assert found.model_text == expected.model_text


@pytest.mark.parametrize(
    "draft", ["", " ", "set the temperature to 1.2", "who won the football world cup"]
)
def test_nothing_is_read_ahead_for_what_the_model_does_not_answer(tutor: Tutor, draft: str) -> None:
    assert reading(tutor, draft) == 0


@pytest.mark.parametrize("question", ["", "  \n", "\x1b\x07", "x" * 100_000])
def test_an_empty_or_too_long_question_is_refused(tutor: Tutor, question: str) -> None:
    with pytest.raises(QuestionError):
        list(tutor.ask(question))


def test_markup_binary_and_special_tokens_are_answered_or_refused_in_peace(tutor: Tutor) -> None:
    for question in ("[red]what is a token<|im_end|>", "\x00\x01 what is a token \ufffd", "```"):
        try:
            assert answer(tutor, question)
        except Exception as error:
            assert "empty" in str(error)


def test_history_that_does_not_fit_is_dropped_from_its_beginning(tutor: Tutor) -> None:
    history = [Exchange(f"question {n} " * 60, "answer " * 60) for n in range(20)]
    made = compose(tutor.engine, "What is a token?", [], history, 160)
    assert 0 < made.dropped_exchanges < 20
    assert len(made.tokens) <= tutor.n_ctx - 160


def test_a_question_that_cannot_fit_is_refused(tutor: Tutor) -> None:
    with pytest.raises(EngineError, match="shorten"):
        compose(tutor.engine, "1234567890 " * 400, [], [], 160)


def test_a_known_question_in_other_words_is_answered_by_its_card(tutor: Tutor) -> None:
    card = next(q for q in load_gold("train") if q.id == "5-train-01")
    found = answer(tutor, card.wordings[1].upper())
    assert found.answer_source == "card"
    assert card.answer and found.text.startswith(card.answer)
    for sentence in split_sentences(card.answer):
        assert found.text.count(sentence) == 1
    assert found.sources[0].passage_id == card.section
