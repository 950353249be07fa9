from __future__ import annotations

import numpy as np
import pytest

from tutor.engine.engine import Engine
from tutor.engine.events import Step
from tutor.engine.sampler import SamplerChain
from tutor.engine.settings import Sampling
from tutor.engine.trace import (
    Stage,
    log_normaliser_and_entropy,
    log_probabilities,
    summarise,
)

LOGITS = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))


def step(sampling: Sampling, top: int = 4) -> Step:
    stages: list[Stage] = []
    chain = SamplerChain(len(LOGITS))
    id = chain.sample(LOGITS, sampling, stages)
    chain.close()
    return summarise(id, LOGITS, stages, top, *log_normaliser_and_entropy(LOGITS))


def test_log_probabilities_are_those_of_the_softmax() -> None:
    found = log_probabilities(np.array([2, 1, 0], dtype=np.float32))
    assert np.exp(found) == pytest.approx([0.665, 0.245, 0.090], abs=5e-4)


def test_entropy_of_four_equal_tokens_is_two_bits() -> None:
    normaliser, entropy = log_normaliser_and_entropy(np.zeros(4, dtype=np.float32))
    assert entropy == pytest.approx(2.0) and normaliser == pytest.approx(np.log(4))


def test_a_banned_token_adds_nothing_to_the_entropy() -> None:
    logits = np.array([0, 0, -np.inf], dtype=np.float32)
    assert log_normaliser_and_entropy(logits)[1] == pytest.approx(1.0)


def test_a_step_tells_the_full_probability_the_final_one_and_who_cut() -> None:
    found = step(Sampling(temperature=1, top_k=3, top_p=0.6, min_p=0, repeat_penalty=1))
    assert [c.id for c in found.candidates] == [0, 1, 2, 3]
    assert [c.p_full for c in found.candidates] == pytest.approx([0.5, 0.3, 0.15, 0.05])
    assert [c.p_final for c in found.candidates] == pytest.approx([0.625, 0.375, 0, 0])
    assert [c.cut_by for c in found.candidates] == [None, None, "top_p", "top_k"]
    assert found.kept == (("top_k", 3), ("top_p", 2), ("temperature", 2), ("dist", 2))
    assert found.entropy > found.entropy_final


@pytest.mark.parametrize("n_vocab", [9, 64, 1000, 49152])
def test_the_candidates_are_the_likeliest_of_any_vocabulary(n_vocab: int) -> None:
    logits = np.random.default_rng(n_vocab).standard_normal(n_vocab).astype(np.float32)
    stages = [Stage("greedy", np.arange(n_vocab, dtype=np.int32), logits)]
    likeliest = np.argsort(-logits, kind="stable")[:8].tolist()
    found = summarise(likeliest[0], logits, stages, 8, *log_normaliser_and_entropy(logits))
    assert [c.id for c in found.candidates] == likeliest


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(greedy=True),
        Sampling(greedy=True, logit_bias={1: -100.0}),
        Sampling(top_k=0, top_p=1, min_p=0),
        Sampling(),
    ],
    ids=["greedy", "greedy with a bias", "nothing cut", "as shipped"],
)
def test_a_brief_trace_gives_the_same_step_as_a_whole_one(sampling: Sampling) -> None:
    logits = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    normal = log_normaliser_and_entropy(logits)
    steps = []
    for brief in (True, False):
        stages: list[Stage] = []
        id = SamplerChain(len(logits)).sample(logits, sampling, stages, brief=brief)
        steps.append(summarise(id, logits, stages, 8, *normal))
    assert steps[0].candidates == steps[1].candidates
    assert steps[0].entropy_final == pytest.approx(steps[1].entropy_final)


def test_the_drawn_token_is_among_the_candidates_even_when_it_is_unlikely() -> None:
    unlikely = Sampling(temperature=1, top_k=0, top_p=1, min_p=0, repeat_penalty=1)
    sampling = unlikely.model_copy(update={"logit_bias": {3: 50.0}})
    found = step(sampling, top=2)
    assert found.chosen == 3 and found.candidates[-1].id == 3
    assert found.candidates[-1].p_full == pytest.approx(0.05)


def test_every_token_of_a_generation_carries_its_step(engine: Engine) -> None:
    prompt = engine.tokenize("Once upon a time")
    events = list(engine.generate(prompt, lambda: Sampling(max_tokens=12), top=8))
    assert len(events) == 12
    for event in events:
        assert event.step and event.step.chosen == event.id
        chosen = next(c for c in event.step.candidates if c.id == event.id)
        assert chosen.cut_by is None and 0 < chosen.p_final <= 1
        assert np.log(chosen.p_full) == pytest.approx(event.logprob, abs=1e-3)


def test_tracing_changes_no_token(engine: Engine) -> None:
    prompt = engine.tokenize("The capital of France")
    plain = [e.id for e in engine.generate(prompt, Sampling)]
    assert [e.id for e in engine.generate(prompt, Sampling, top=10)] == plain


def test_next_tells_what_the_first_token_of_a_generation_will_be(engine: Engine) -> None:
    prompt = engine.tokenize("Once upon a")
    found = engine.next(prompt, Sampling(), top=5)
    first = next(iter(engine.generate(prompt, lambda: Sampling(max_tokens=1))))
    assert found.step.chosen == first.id
    assert float(np.exp(found.logprobs).sum()) == pytest.approx(1.0, abs=1e-4)
    assert all(float(s.p.sum()) == pytest.approx(1.0, abs=1e-4) for s in found.stages)


def test_a_preview_shows_the_next_token_under_other_settings(engine: Engine) -> None:
    prompt = engine.tokenize("Once upon a")
    list(engine.generate(prompt, lambda: Sampling(max_tokens=4)))
    narrow = engine.preview(Sampling(top_k=1), top=5)
    wide = engine.preview(Sampling(top_k=0, top_p=1, min_p=0, temperature=2), top=5)
    assert narrow and wide
    assert narrow.step.entropy == pytest.approx(wide.step.entropy)
    assert narrow.step.entropy_final == pytest.approx(0, abs=1e-5)
    assert wide.step.entropy_final > wide.step.entropy


def test_a_branch_goes_on_from_the_token_that_was_picked(engine: Engine) -> None:
    prompt = engine.tokenize("Once upon a time")
    greedy = Sampling(greedy=True, max_tokens=12)
    whole = [e.id for e in engine.generate(prompt, lambda: greedy)]
    rest = [e.id for e in engine.generate(prompt, lambda: greedy, said=whole[:5])]
    assert whole[:5] + rest == whole
