from __future__ import annotations

import pytest

from index.errors import RetrievalError
from index.retriever import Retriever
from index.settings import Mode, Retrieval


@pytest.mark.parametrize("mode", ["hybrid", "dense", "bm25"])
def test_a_heading_asked_as_a_question_finds_its_section(retriever: Retriever, mode: Mode) -> None:
    searched = retriever.with_settings(Retrieval(mode=mode))
    hits = searched.search("What does the repetition penalty do?", 3).hits
    assert hits[0].passage.passage_id == "6/what-does-the-repetition-penalty-do"
    assert [hit.rank for hit in hits] == [1, 2, 3]


def test_nearly_every_heading_finds_its_own_section_first(retriever: Retriever) -> None:
    found = [
        retriever.search(passage.section, 1).hits[0].passage == passage
        for passage in retriever.passages
    ]
    assert sum(found) / len(found) > 0.97


def test_the_open_lesson_is_preferred_between_near_equals(retriever: Retriever) -> None:
    query = "how many parameters"
    for lesson in (3, 8):
        score = {
            h.passage.passage_id: h.score
            for h in retriever.search(query, len(retriever.passages), lesson=lesson).hits
        }
        without = {
            h.passage.passage_id: h.score
            for h in retriever.search(query, len(retriever.passages)).hits
        }
        raised = {id for id in score if score[id] > without[id] + 0.01}
        assert {id.partition("/")[0] for id in raised} == {str(lesson)}


def test_a_follow_up_is_searched_with_its_topic(retriever: Retriever) -> None:
    hits = retriever.search("why more than one?", 3, context="what is a minibatch").hits
    assert any("minibatch" in hit.passage.passage_id for hit in hits)


def test_a_question_of_few_words_leans_more_on_the_one_before(retriever: Retriever) -> None:
    context, share = "what is quantization", retriever.settings.context_weight

    def weight(query: str) -> float:
        alone, before, both = (
            {hit.passage.passage_id: hit.dense for hit in found.hits}
            for found in (
                retriever.search(query, 300),
                retriever.search(f"{context} {query}", 300),
                retriever.search(query, 300, context=context),
            )
        )
        place = max(alone, key=lambda id: abs(before[id] - alone[id]))
        return (both[place] - alone[place]) / (before[place] - alone[place])

    assert weight("does it hurt the answers") == pytest.approx(1.5 * share, abs=1e-3)
    longer = "which tasks of a small language model suffer first"
    assert weight(longer) == pytest.approx(share, abs=1e-3)


def test_the_same_query_gives_the_same_scores(retriever: Retriever) -> None:
    assert retriever.search("adapters") == retriever.search("adapters")


@pytest.mark.parametrize("query", ["", "   "])
def test_an_empty_query_is_refused(retriever: Retriever, query: str) -> None:
    with pytest.raises(RetrievalError, match="empty"):
        retriever.search(query)


def test_a_passage_scores_as_the_mean_of_its_two_best_vectors(retriever: Retriever) -> None:
    query = retriever.encoder.encode_one("why do answers get wilder")
    hit = retriever.search("why do answers get wilder", 1).hits[0]
    rows = [*retriever.sentence_vectors(hit.passage), *retriever.question_vectors(hit.passage)]
    best = sorted((float(row @ query) for row in rows), reverse=True)[:2]
    assert hit.cosine == pytest.approx(best[0], abs=1e-5)
    assert hit.dense == pytest.approx(sum(best) / 2, abs=1e-5) and best[0] > best[1]
