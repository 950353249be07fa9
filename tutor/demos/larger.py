"""What larger models would need and how fast they could be here, calculated: nothing of them runs.

Weights are parameters times bits. Writing a token reads all weights and the whole KV cache once, so
memory bandwidth bounds it. Reading a prompt costs a calculation a parameter and token.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """A size of model, with the layers, KV heads and head width of a published one."""

    name: str
    parameters: int
    layers: int
    kv_heads: int
    head: int
    like: str

    @property
    def kv_bytes(self) -> int:
        """Of one token, in 16 bits: keys and values."""
        return 2 * self.layers * self.kv_heads * self.head * 2


SIZES = (
    Size("1B", 1_000_000_000, 16, 8, 64, "Llama 3.2 1B"),
    Size("7B", 7_000_000_000, 32, 8, 128, "Mistral 7B"),
    Size("70B", 70_000_000_000, 80, 8, 128, "Llama 3.1 70B"),
)


@dataclass(frozen=True, slots=True)
class Larger:
    """A larger model on a machine; both speeds are tokens a second if it fits."""

    name: str
    like: str
    parameters: int
    weight_bytes: float
    kv_bytes_per_token: int
    kv_bytes: int
    needs_bytes: float
    has_bytes: int
    fits: bool
    prompt_tokens_per_second: float
    answer_tokens_per_second_at_most: float


def larger_models(
    bits: int, context: int, free: int, bandwidth: float, pace: float
) -> tuple[Larger, ...]:
    """All SIZES with `bits` a weight and `context` tokens, in `free` bytes of memory.

    `bandwidth` is in bytes a second, `pace` is the tokens a second of a prompt times parameters.
    """
    return tuple(_larger(size, bits, context, free, bandwidth, pace) for size in SIZES)


def _larger(
    size: Size, bits: int, context: int, free: int, bandwidth: float, pace: float
) -> Larger:
    weights, cache = size.parameters * bits / 8, size.kv_bytes * context
    needs = weights + cache
    return Larger(
        name=size.name,
        like=size.like,
        parameters=size.parameters,
        weight_bytes=weights,
        kv_bytes_per_token=size.kv_bytes,
        kv_bytes=cache,
        needs_bytes=needs,
        has_bytes=free,
        fits=needs <= free,
        prompt_tokens_per_second=pace / size.parameters,
        answer_tokens_per_second_at_most=bandwidth / needs,
    )
