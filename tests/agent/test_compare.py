from __future__ import annotations

import pytest

from tutor.agent.compare import Column, Compared, CompareError, column_of, compare, difference
from tutor.agent.turn import Exchange
from tutor.agent.tutor import Tutor
from tutor.engine.settings import Sampling
from tutor.settings import NONE, Settings

GREEDY = Sampling(greedy=True, max_tokens=10)
QUESTION = "What does the temperature do?"


def compared(tutor: Tutor, *columns: Column) -> Compared:
    *_, last = compare(tutor, QUESTION, columns)
    assert isinstance(last, Compared)
    return last


def test_equal_columns_never_part(tutor: Tutor) -> None:
    found = compared(tutor, Column(GREEDY), Column(GREEDY))
    assert found.partings == (None, None)
    assert found.results[0].text == found.results[1].text


def test_columns_part_where_their_tokens_first_differ_and_the_reason_tells_the_odds(
    tutor: Tutor,
) -> None:
    hot = Sampling(temperature=3, top_k=0, top_p=1, min_p=0, max_tokens=10, seed=3)
    found = compared(tutor, Column(GREEDY), Column(hot))
    parting = found.partings[1]
    assert parting is not None and "%" in parting.reason
    first, other = found.results
    ids = [[e.id for e in r.events] for r in (first, other)]
    assert ids[0][: parting.index] == ids[1][: parting.index]
    assert ids[0][parting.index] != ids[1][parting.index]


def test_without_passages_the_prompt_is_shorter(tutor: Tutor) -> None:
    found = compared(tutor, Column(GREEDY), Column(GREEDY, rag=False))
    prompts = [r.stats.prompt_tokens for r in found.results if r.stats]
    assert prompts[1] < prompts[0]


def test_a_column_is_written_as_names_and_values() -> None:
    column = column_of(Settings(), "temperature=1.5, top-k=3, rag=off")
    assert (column.sampling.temperature, column.sampling.top_k, column.rag) == (1.5, 3, False)
    assert "temperature 1.5" in difference(Column(Sampling()), column)


@pytest.mark.parametrize("text", ["hot", "theme=x", "rag=maybe", "temperature=-1"])
def test_a_column_that_cannot_be_made_is_refused(text: str) -> None:
    with pytest.raises(CompareError):
        column_of(Settings(), text)


def test_columns_of_different_adapters_speak_one_after_another(tutor: Tutor) -> None:
    tuned, base = Column(GREEDY), Column(GREEDY, adapter=NONE)
    with tutor.engine.adapter_kept():
        tutor.use(NONE)
        found = compared(tutor, tuned, base)
        assert tutor.engine.adapter is None
    spoke = [r.stats.adapter for r in found.results if r.stats]
    assert spoke[0] is not None and spoke[0].name == "tutor" and spoke[1] is None
    assert "no adapter" in difference(tuned, base)
    if found.partings[1]:
        assert "other weights" in found.partings[1].reason


def test_in_a_long_conversation_the_columns_have_room_together(tutor: Tutor) -> None:
    history = [Exchange(f"question {n}", "answer " * 100) for n in range(20)]
    columns = [Column(GREEDY), Column(GREEDY, rag=False), Column(GREEDY, adapter=NONE)]
    *_, found = compare(tutor, QUESTION, columns, history)
    assert isinstance(found, Compared)
    told = [result.stats.prompt_tokens for result in found.results if result.stats]
    assert len(told) == 3 and told[0] == told[2] < tutor.n_ctx / 2 < told[1]
