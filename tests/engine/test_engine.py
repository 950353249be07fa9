from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutor.engine.cancel import Cancel
from tutor.engine.engine import Engine
from tutor.engine.errors import EngineError, ModelFileError
from tutor.engine.events import Message
from tutor.engine.settings import Sampling

GREEDY = Sampling(greedy=True, max_tokens=24)
ENDLESS = Sampling(temperature=5, top_k=0, top_p=1, min_p=0, max_tokens=1500)


def prompt(engine: Engine, text: str) -> list[int]:
    return [i for s in engine.render_chat([Message("user", text)]) for i in s.ids]


def said(engine: Engine, text: str, sampling: Sampling) -> str:
    return "".join(e.text for e in engine.generate(prompt(engine, text), lambda: sampling))


def test_the_same_seed_says_the_same(engine: Engine) -> None:
    sampling = Sampling(seed=7, temperature=1.2, max_tokens=32)
    assert said(engine, "Tell a story.", sampling) == said(engine, "Tell a story.", sampling)


def test_seed_zero_is_a_seed_like_any_other(engine: Engine) -> None:
    zero = Sampling(seed=0, temperature=2, max_tokens=32)
    first = said(engine, "Tell a story.", zero)
    assert first == said(engine, "Tell a story.", zero)
    assert first != said(engine, "Tell a story.", zero.model_copy(update={"seed": 1}))


def test_a_repeated_prompt_comes_from_the_cache(engine: Engine) -> None:
    ids = prompt(engine, "What is a cache?")
    for _ in range(2):
        generation = engine.generate(ids, lambda: GREEDY)
        list(generation)
    assert generation.stats.cached_tokens == len(ids)


def test_after_forgetting_a_prompt_is_read_whole(engine: Engine) -> None:
    ids = prompt(engine, "What is a cache?")
    engine.next(ids, GREEDY)
    engine.forget()
    generation = engine.generate(ids, lambda: GREEDY)
    list(generation)
    assert generation.stats.cached_tokens == 0


def test_a_cached_prompt_is_answered_as_a_fresh_one(engine: Engine) -> None:
    first = said(engine, "What is a list?", GREEDY)
    said(engine, "Something else entirely, and longer.", GREEDY)
    assert said(engine, "What is a list?", GREEDY) == first


def test_cancelling_while_the_prompt_is_read_stops_and_harms_nothing(engine: Engine) -> None:
    before = said(engine, "What is a tree?", GREEDY)
    cancel = Cancel()
    generation = engine.generate(prompt(engine, "word " * 1500), lambda: GREEDY, cancel)
    cancel.set()
    assert list(generation) == []
    assert generation.stats.stop_reason == "cancelled"
    assert said(engine, "What is a tree?", GREEDY) == before


def test_cancelling_in_mid_answer_keeps_what_was_said(engine: Engine) -> None:
    generation = engine.generate(prompt(engine, "Talk."), lambda: ENDLESS)
    events = []
    for event in generation:
        events.append(event)
        if len(events) == 5:
            generation.cancel()
    assert generation.stats.stop_reason == "cancelled"
    assert 5 <= generation.stats.completion_tokens < 1500


def test_after_200_cancels_at_random_moments_the_answer_is_a_fresh_engines(
    engine: Engine, model_path: Path
) -> None:
    draw = random.Random(0)
    for n in range(200):
        words = draw.choices(("tree", "list", "token", "loss", "layer"), k=draw.randint(1, 60))
        generation = engine.generate(prompt(engine, " ".join(words)), lambda: ENDLESS)
        threading.Timer(draw.uniform(0, 0.06), generation.cancel).start()
        list(generation)
        assert generation.stats.stop_reason == "cancelled", n
    with Engine(model_path, n_ctx=2048) as fresh:
        assert said(engine, "What is a tree?", GREEDY) == said(fresh, "What is a tree?", GREEDY)


def test_what_was_read_ahead_is_not_read_again(engine: Engine) -> None:
    ids = prompt(engine, "What is a tree? " * 12)
    expected = said(engine, "What is a tree? " * 12, GREEDY)
    engine.forget()
    engine.read_ahead(ids[:60], Cancel())
    generation = engine.generate(ids, lambda: GREEDY)
    assert "".join(event.text for event in generation) == expected
    assert generation.stats.cached_tokens == 60


def test_reading_ahead_leaves_the_preview_of_the_last_answer(engine: Engine) -> None:
    said(engine, "What is a list?", GREEDY)
    before = engine.preview(GREEDY)
    engine.read_ahead(prompt(engine, "Another question"), Cancel())
    after = engine.preview(GREEDY)
    assert before and after and after.step == before.step


def test_reading_ahead_is_cancelled_at_random_moments_and_the_answer_is_a_fresh_engines(
    engine: Engine, model_path: Path
) -> None:
    draw = random.Random(1)
    for _ in range(30):
        words = draw.choices(("tree", "list", "token", "loss", "layer"), k=draw.randint(1, 200))
        cancel = Cancel()
        threading.Timer(draw.uniform(0, 0.3), cancel.set).start()
        engine.read_ahead(prompt(engine, " ".join(words)), cancel)
        cancel.wait()
    with Engine(model_path, n_ctx=2048) as fresh:
        assert said(engine, "What is a tree?", GREEDY) == said(fresh, "What is a tree?", GREEDY)


def test_a_setting_turned_in_mid_answer_acts_on_the_next_token(engine: Engine) -> None:
    current = [ENDLESS]
    count = 0
    for _ in engine.generate(prompt(engine, "Talk."), lambda: current[0]):
        count += 1
        if count == 5:
            current[0] = ENDLESS.model_copy(update={"max_tokens": 6})
    # Between the fifth token and the change the worker may be a few tokens ahead of the reader.
    assert count < 100


def test_an_event_tells_probability_and_entropy_of_the_full_distribution(engine: Engine) -> None:
    event = next(iter(engine.generate(prompt(engine, "Hi"), lambda: GREEDY)))
    assert event.logprob <= 0 and 0 <= event.entropy <= 15.6


def test_an_empty_prompt_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineError, match="empty"):
        engine.generate([], lambda: GREEDY)


def test_a_prompt_longer_than_the_context_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineError, match="shorten"):
        engine.generate([5] * engine.n_ctx, lambda: GREEDY)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_text("hello")
    with pytest.raises(ModelFileError, match="no GGUF"):
        Engine(tmp_path / "x.gguf")


def test_a_cut_off_model_is_refused(tmp_path: Path, model_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    with model_path.open("rb") as file:
        cut.write_bytes(file.read(50_000_000))
    with pytest.raises(ModelFileError, match="cut off"):
        Engine(cut)


def test_a_cut_off_header_is_refused(tmp_path: Path, model_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    with model_path.open("rb") as file:
        cut.write_bytes(file.read(1_000))
    with pytest.raises(ModelFileError, match="cut off"):
        Engine(cut)


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path, model_path: Path) -> None:
    # The key is renamed in place, so that the file stays whole but has no template.
    data = model_path.read_bytes().replace(b"tokenizer.chat_template", b"tokenizer.chat_xxxxxxxx")
    (tmp_path / "base.gguf").write_bytes(data)
    with pytest.raises(ModelFileError, match="chat template"):
        Engine(tmp_path / "base.gguf")


@pytest.fixture(scope="module")
def known(engine: Engine) -> frozenset[int]:
    """The bytes that the vocabulary has a token for; this one lacks some, and drops them."""
    pieces = (engine.token_bytes(id) for id in range(engine.info.n_vocab))
    return frozenset(piece[0] for piece in pieces if len(piece) == 1)


@given(text=st.text(max_size=300))
@settings(max_examples=100, deadline=None)
def test_the_bytes_of_the_tokens_are_the_bytes_of_the_text_that_the_vocabulary_knows(
    engine: Engine, known: frozenset[int], text: str
) -> None:
    data = b"".join(engine.token_bytes(id) for id in engine.tokenize(text))
    assert data == bytes(byte for byte in text.encode() if byte in known)
