from __future__ import annotations

import numpy as np
import pytest

from tutor.engine.sampler import SamplerChain, entropy_bits, log_probabilities
from tutor.engine.settings import Sampling

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


def test_log_probabilities_are_those_of_the_softmax() -> None:
    found = log_probabilities(np.array([2, 1, 0], dtype=np.float32))
    assert np.exp(found) == pytest.approx([0.665, 0.245, 0.090], abs=5e-4)


def test_entropy_of_four_equal_tokens_is_two_bits() -> None:
    assert entropy_bits(log_probabilities(np.zeros(4, dtype=np.float32))) == pytest.approx(2.0)
