"""Whatever is asked after whatever conversation, the prompt fits and holds the question whole."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tutor.agent.compose import compose
from tutor.agent.turn import Exchange
from tutor.engine.engine import Engine
from tutor.engine.errors import EngineError

TEXT = st.text(max_size=400)
HISTORY = st.lists(st.builds(Exchange, TEXT, st.text(max_size=3_000)), max_size=6)


@given(question=st.text(min_size=1, max_size=3_000), notes=st.lists(TEXT, max_size=4),
       history=HISTORY, room=st.integers(0, 5_000))  # fmt: skip
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_prompt_fits_or_is_refused_and_nothing_in_it_is_a_control_token(
    engine: Engine, question: str, notes: list[str], history: list[Exchange], room: int
) -> None:
    limit = engine.n_ctx - min(room, engine.n_ctx // 2)
    try:
        prompt = compose(engine, question, notes, history, room)
    except EngineError:
        assert engine.count(question) > limit // 2
        return
    assert len(prompt.tokens) <= limit
    assert prompt.counts.get("history", 0) == 0 or prompt.dropped_exchanges < len(history)
    template = {id for piece in prompt.pieces if piece.part == "template" for id in piece.ids}
    for piece in prompt.pieces:
        if piece.part != "template":
            assert engine.end_id not in piece.ids
    assert engine.end_id in template


def talk(turns: int, words: int) -> list[Exchange]:
    return [Exchange(f"question {n}", "answer " * words) for n in range(turns)]


def dropped(engine: Engine, history: list[Exchange]) -> int:
    return compose(engine, "What is a token?", [], history, 160).dropped_exchanges


def test_what_a_prompt_begins_with_holds_for_some_turns(engine: Engine) -> None:
    found = [dropped(engine, talk(turns, 150)) for turns in range(12, 24)]
    assert len(set(found)) in (3, 4) and all(first % 4 == 0 for first in found)


def test_of_a_few_long_exchanges_the_newest_stay(engine: Engine) -> None:
    assert dropped(engine, talk(3, 700)) == 1


def test_beside_notes_the_model_is_told_of_no_earlier_question(engine: Engine) -> None:
    after, alone = (
        compose(engine, "What is a token?", ["A piece."], history, 160)
        for history in (talk(3, 20), [])
    )
    assert after == alone and "history" not in after.counts


def test_beside_notes_the_model_is_told_of_a_request_that_the_search_leads_back_to(
    engine: Engine,
) -> None:
    done = Exchange("Cut this: a b", "Two tokens.", "4/what-is-a-token", request=True)
    back, elsewhere = (
        compose(engine, "Why two?", ["A piece."], [*talk(3, 20), done], 160, [found])
        for found in ("4/what-is-a-token", "6/what-does-temperature-do")
    )
    assert 0 < back.counts["history"] < 20
    assert "history" not in elsewhere.counts


def test_of_a_request_the_model_is_told_the_first_paragraph(engine: Engine) -> None:
    shown = Exchange("Cut this: a b", "Two tokens.\n\n| a | b |", request=True)
    prompt = compose(engine, "Why is that?", [], [shown], 160)
    ids = [id for piece in prompt.pieces if piece.part == "history" for id in piece.ids]
    assert b"".join(map(engine.token_bytes, ids)) == b"Cut this: a bTwo tokens."
