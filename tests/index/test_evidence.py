"""Which sentences are picked as evidence, told by the bank's own questions."""

from __future__ import annotations

from dataclasses import replace

from corpus.gold import load_gold, states
from index.evidence import evidence
from index.retriever import Retriever


def test_a_known_question_picks_the_sentence_that_states_its_answer(retriever: Retriever) -> None:
    cards = [c for c in load_gold("train") if c.section and not c.history][::40]
    found = []
    for card in cards:
        hits = retriever.search(card.question, 3).hits
        text = " ".join(e.sentence for e in evidence(retriever, card.question, hits, 2))
        found.append(all(states(text, fact) for fact in card.facts))
    assert sum(found) >= 0.9 * len(found)


def test_where_no_bank_tells_the_sentences_own_cosines_decide(retriever: Retriever) -> None:
    query = "what does min_p do"
    (hit,) = retriever.search(query, 1).hits
    bare = replace(hit, passage=replace(hit.passage, stated=()))
    vector = retriever.encoder.encode_one(retriever.mended(query))
    best = int((retriever.sentence_vectors(hit.passage) @ vector).argmax())
    assert hit.passage.sentences[best] in [
        e.sentence for e in evidence(retriever, query, [bare], 2)
    ]


def test_where_no_bank_tells_the_first_sentence_answers_the_passages_questions(
    retriever: Retriever,
) -> None:
    (hit,) = retriever.search("what does min_p do", 1).hits
    bare = replace(hit, passage=replace(hit.passage, stated=()))
    for query in hit.passage.questions[::9]:
        (best,) = evidence(retriever, query, [bare], 1)
        assert best.sentence == hit.passage.sentences[0]


def test_only_wanted_sentences_are_picked(retriever: Retriever) -> None:
    hits = retriever.search("what is a token", 3).hits
    first = evidence(retriever, "what is a token", hits, 3)[0]
    others = evidence(
        retriever, "what is a token", hits, 3, wanted=lambda e: e.sentence != first.sentence
    )
    assert len(others) == 3 and first.sentence not in [e.sentence for e in others]
