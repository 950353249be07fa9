"""The check of the model's sentences, on single ones and on 480 that were labelled by hand."""

from __future__ import annotations

import pytest

from corpus.reading import Claim, load_claims
from index.course import load_course
from index.encoder import Encoder
from index.passages import Passage
from tutor.agent.ground import ground
from tutor.agent.tutor import Tutor


@pytest.mark.parametrize(
    ("claim", "supported"),
    [
        ("The KV cache keeps the keys and values of the tokens already read.", True),
        ("The KV cache forgets the values of the tokens already read.", False),
        ("The KV cache does not keep the keys and values of the tokens already read.", False),
        ("The cache needs 99,999 bytes for each token in SmolLM2-135M.", False),
        ("Bananas are yellow and grow in the tropics.", False),
    ],
)
def test_a_claim_is_supported_only_where_a_passage_says_so(
    tutor: Tutor, claim: str, supported: bool
) -> None:
    passages = [hit.passage for hit in tutor.retriever.search("What is the KV cache?", 2).hits]
    (sentence,) = ground(claim, "", passages, tutor.retriever.encoder)
    assert sentence.supported is supported


def test_a_sentence_that_the_answer_quotes_is_put_down_to_the_passage_it_stands_in(
    tutor: Tutor,
) -> None:
    first, second = (hit.passage for hit in tutor.retriever.search("What is the KV cache?", 2).hits)
    shown = f"{first.sentences[0]} [1] {second.sentences[0]} [2]"
    sentences = ground(
        f"{second.sentences[0]} {first.sentences[0]}",
        shown,
        [first, second],
        tutor.retriever.encoder,
    )
    assert [s.passage_id for s in sentences] == [second.passage_id, first.passage_id]


@pytest.fixture(scope="module")
def passed(encoder: Encoder) -> dict[str, list[bool]]:
    """Whether each labelled sentence passes the check against its own section, by kind."""
    passages = {passage.passage_id: passage for passage in load_course().passages}
    found: dict[str, list[bool]] = {}
    for claim in load_claims():
        found.setdefault(claim.kind, []).append(passes(claim, passages, encoder))
    return found


def passes(claim: Claim, passages: dict[str, Passage], encoder: Encoder) -> bool:
    sentences = ground(claim.claim, "", [passages[claim.passage_id]], encoder)
    return all(sentence.supported for sentence in sentences)


def test_hardly_a_false_sentence_passes(passed: dict[str, list[bool]]) -> None:
    false = ("negated", "number", "swapped", "spliced", "invented", "generalised")
    some = [ok for kind in false for ok in passed[kind]]
    # Measured 4 of 240.
    assert len(some) == 240 and sum(some) <= 0.03 * len(some)


def test_what_a_section_says_in_its_own_words_passes(passed: dict[str, list[bool]]) -> None:
    assert all(passed["verbatim"])
    some = [ok for kind in ("shortened", "pronoun", "joined") for ok in passed[kind]]
    # Measured 88 of 120; synonyms and verdicts of the model's own are marked on purpose.
    assert sum(some) >= 0.7 * len(some)
