from __future__ import annotations

import ctypes

import llama_cpp
import numpy as np
import pytest
from pydantic import ValidationError

from tutor.engine.sampler import SamplerChain
from tutor.engine.settings import STAGES, Sampling
from tutor.engine.trace import Stage

OFF = Sampling(temperature=1, top_k=0, top_p=1, min_p=0, repeat_penalty=1)
LOGITS = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))


def drawn(sampling: Sampling, times: int = 400) -> set[int]:
    chain = SamplerChain(len(LOGITS))
    found = {chain.sample(LOGITS, sampling) for _ in range(times)}
    chain.close()
    return found


def test_with_everything_off_every_token_can_be_drawn() -> None:
    assert drawn(OFF) == {0, 1, 2, 3}


def test_draws_follow_the_probabilities() -> None:
    chain = SamplerChain(len(LOGITS))
    ids = [chain.sample(LOGITS, OFF) for _ in range(4000)]
    assert np.bincount(ids) / 4000 == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.04)


def test_top_k_keeps_k_tokens() -> None:
    assert drawn(OFF.model_copy(update={"top_k": 2})) == {0, 1}


def test_top_p_keeps_the_token_that_crosses_p() -> None:
    assert drawn(OFF.model_copy(update={"top_p": 0.9})) == {0, 1, 2}


def test_min_p_drops_tokens_below_a_share_of_the_best() -> None:
    assert drawn(OFF.model_copy(update={"min_p": 0.4})) == {0, 1}


def test_greedy_and_temperature_zero_take_the_best() -> None:
    assert drawn(OFF.model_copy(update={"greedy": True})) == {0}
    assert drawn(OFF.model_copy(update={"temperature": 0.0})) == {0}


def test_turning_another_knob_does_not_restart_the_random_numbers() -> None:
    sharp = OFF.model_copy(update={"top_k": 4})
    one, two = SamplerChain(4), SamplerChain(4)
    steady = [one.sample(LOGITS, OFF) for _ in range(40)]
    turned = [two.sample(LOGITS, OFF if n % 2 else sharp) for n in range(40)]
    # top_k 4 of 4 sorts the candidates but keeps all: a restart would repeat one number forever.
    assert len(set(turned)) > 1 and len(set(steady)) > 1
    assert turned != [turned[0]] * 40


def test_the_repeat_penalty_lowers_what_was_just_said() -> None:
    logits = np.array([2.0, 1.9, 0.0], dtype=np.float32)
    penalised = OFF.model_copy(update={"greedy": True, "repeat_penalty": 1.5})
    chain = SamplerChain(3)
    assert [chain.sample(logits, penalised) for _ in range(2)] == [0, 1]


def changed(**settings: object) -> Sampling:
    return Sampling.model_validate(OFF.model_dump() | settings)


def stages(sampling: Sampling, logits: np.ndarray = LOGITS) -> list[Stage]:
    found: list[Stage] = []
    chain = SamplerChain(len(logits))
    chain.sample(logits, sampling, found)
    chain.close()
    return found


def test_with_defaults_it_draws_the_tokens_that_llama_cpps_own_chain_draws() -> None:
    n_vocab, defaults = 2_000, Sampling()
    rows = np.random.default_rng(7).normal(0, 3, (400, n_vocab)).astype(np.float32)
    own = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for sampler in (
        llama_cpp.llama_sampler_init_penalties(n_vocab, 64, defaults.repeat_penalty, 0, 0),
        llama_cpp.llama_sampler_init_top_k(defaults.top_k),
        llama_cpp.llama_sampler_init_top_p(defaults.top_p, 1),
        llama_cpp.llama_sampler_init_min_p(defaults.min_p, 1),
        llama_cpp.llama_sampler_init_temp(defaults.temperature),
        llama_cpp.llama_sampler_init_dist(defaults.seed),
    ):
        llama_cpp.llama_sampler_chain_add(own, sampler)
    expected = []
    for logits in rows:
        candidates = (llama_cpp.llama_token_data * n_vocab)(
            *((n, float(logit), 0.0) for n, logit in enumerate(logits))
        )
        array = llama_cpp.llama_token_data_array(candidates, n_vocab, -1, False)
        llama_cpp.llama_sampler_apply(own, ctypes.byref(array))
        id = array.data[array.selected].id
        llama_cpp.llama_sampler_accept(own, id)
        expected.append(id)
    llama_cpp.llama_sampler_free(own)

    chain = SamplerChain(n_vocab)
    assert [chain.sample(logits, defaults) for logits in rows] == expected
    chain.close()


def test_the_stages_run_in_llama_cpps_order() -> None:
    everything = changed(
        logit_bias={0: 1.0},
        repeat_penalty=1.1,
        top_n_sigma=2,
        top_k=3,
        typical_p=0.9,
        top_p=0.9,
        min_p=0.1,
        xtc_probability=0.5,
    )
    names = [stage.name for stage in stages(everything)]
    assert names == [*(s for s in STAGES if s != "dry"), "dist"]


def test_the_order_can_be_changed() -> None:
    order = ("temperature", *(s for s in STAGES if s != "temperature"))
    names = [stage.name for stage in stages(changed(top_p=0.9, order=order))]
    assert names == ["temperature", "top_p", "dist"]


def test_the_order_of_temperature_and_top_p_changes_what_is_kept() -> None:
    order = ("temperature", *(s for s in STAGES if s != "temperature"))
    after = stages(changed(top_p=0.9, temperature=0.3))
    before = stages(changed(top_p=0.9, temperature=0.3, order=order))
    assert after[0].kept == 3 and before[1].kept == 2


def test_an_order_that_leaves_out_a_stage_is_refused() -> None:
    with pytest.raises(ValidationError, match="every stage once"):
        changed(order=("temperature",))


@pytest.mark.parametrize(
    "settings",
    [{}, {"top_k": 2}, {"top_p": 0.6}, {"min_p": 0.2}, {"typical_p": 0.5}, {"temperature": 2.0}],
)
def test_probabilities_of_every_stage_sum_to_one_over_what_is_kept(
    settings: dict[str, object],
) -> None:
    for stage in stages(changed(**settings)):
        assert float(stage.p.sum()) == pytest.approx(1.0, abs=1e-6)


def test_presence_and_frequency_penalties_are_taken_from_the_logits() -> None:
    logits = np.zeros(3, dtype=np.float32)
    chain = SamplerChain(3)
    for id in (0, 0, 1):
        chain.accept(id)
    found: list[Stage] = []
    chain.sample(logits, changed(presence_penalty=0.5, frequency_penalty=0.25), found)
    chain.close()
    assert found[0].name == "penalties"
    assert found[0].logits == pytest.approx([-1.0, -0.75, 0.0])


def test_a_banned_word_is_never_drawn_and_a_biased_token_nearly_always() -> None:
    chain = SamplerChain(4, tokenize=lambda word: [0] if word == "no" else [])
    ids = {chain.sample(LOGITS, changed(banned=("no",))) for _ in range(200)}
    chain.close()
    assert ids == {1, 2, 3}
    assert drawn(changed(logit_bias={3: 50.0})) == {3}


def test_a_banned_word_of_two_tokens_is_cut_off_at_its_second_only() -> None:
    chain = SamplerChain(4, tokenize=lambda word: [1, 0] if word == "no" else [])
    greedy = changed(banned=("no",), greedy=True)
    assert chain.sample(LOGITS, greedy) == 0
    chain.accept(1)
    assert chain.sample(LOGITS, greedy) == 1
    chain.close()


def test_top_p_after_a_bias_sees_the_biased_token_first() -> None:
    order = ("top_k", "logit_bias", *(s for s in STAGES if s not in ("top_k", "logit_bias")))
    found = stages(changed(top_k=4, top_p=0.5, logit_bias={3: 50.0}, order=order))
    assert [(s.name, s.kept) for s in found][:3] == [("top_k", 4), ("logit_bias", 4), ("top_p", 1)]


def test_mirostat_does_the_truncating_itself() -> None:
    names = [stage.name for stage in stages(changed(mirostat_tau=3.0, top_k=2))]
    assert names == ["temperature", "mirostat"]


def test_what_was_said_before_counts_for_the_penalties_of_a_branch() -> None:
    chain = SamplerChain(3, said=[0])
    logits = np.array([2.0, 1.9, 0.0], dtype=np.float32)
    assert chain.sample(logits, changed(greedy=True, repeat_penalty=1.5)) == 1
    chain.close()
