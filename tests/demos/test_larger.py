"""The calculated models against the numbers of lesson 8, written by hand."""

from __future__ import annotations

import pytest

from tutor.demos.larger import Larger, larger_models

GB = 1_000_000_000


def model(name: str, bits: int = 4, context: int = 0, free: int = 10 * GB) -> Larger:
    found = larger_models(bits, context, free, bandwidth=20 * GB, pace=100 * 7e9)
    return next(size for size in found if size.name == name)


@pytest.mark.parametrize(
    ("name", "bits", "gigabytes"),
    [
        ("1B", 16, 2), ("1B", 8, 1), ("1B", 4, 0.5),
        ("7B", 16, 14), ("7B", 8, 7), ("7B", 4, 3.5),
        ("70B", 16, 140), ("70B", 8, 70), ("70B", 4, 35),
    ],
)  # fmt: skip
def test_the_weights_need_what_the_lesson_says(name: str, bits: int, gigabytes: float) -> None:
    assert model(name, bits).weight_bytes == gigabytes * GB


@pytest.mark.parametrize(("name", "a_token"), [("1B", 32_768), ("7B", 131_072), ("70B", 327_680)])
def test_the_cache_grows_by_the_bytes_of_the_published_shape(name: str, a_token: int) -> None:
    assert model(name, context=1000).kv_bytes == 1000 * a_token
    assert model(name, 4, 1000).needs_bytes == model(name).weight_bytes + 1000 * a_token


def test_the_writing_speed_is_bandwidth_by_what_is_read_for_a_token() -> None:
    assert model("7B", 4).answer_tokens_per_second_at_most == pytest.approx(20 / 3.5)
    cached = model("7B", 4, context=10_000)
    assert cached.answer_tokens_per_second_at_most == pytest.approx(20 / (3.5 + 1.31072))


def test_a_model_fits_up_to_the_last_free_byte() -> None:
    assert model("1B", 8, free=GB).fits
    assert not model("1B", 8, free=GB - 1).fits
    assert not model("1B", 8, context=1, free=GB).fits


def test_a_prompt_is_read_slower_by_as_much_as_there_are_more_parameters() -> None:
    assert model("7B").prompt_tokens_per_second == pytest.approx(100)
    assert model("70B").prompt_tokens_per_second == pytest.approx(10)
