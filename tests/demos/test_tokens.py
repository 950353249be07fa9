from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.demos.conftest import assert_refused
from tutor.demos.demo import Run, Shown
from tutor.demos.tokens import Tokens, merge_steps, stored_merges
from tutor.demos.workbench import Workbench


def shown(bench: Workbench, text: str) -> Shown:
    demo = Tokens()
    return demo.run(bench, demo.parse({"text": text}), Run())


def merges_by_hand(path: Path) -> list[str]:
    """The array of the GGUF metadata, string by string, as docs/gguf.md lays it out."""
    data = path.read_bytes()
    key = b"tokenizer.ggml.merges"
    at = data.index(key) + len(key)
    array, string, count = struct.unpack_from("<IIQ", data, at)
    assert (array, string) == (9, 8)
    at += 16
    found = []
    for _ in range(count):
        (length,) = struct.unpack_from("<Q", data, at)
        found.append(data[at + 8 : at + 8 + length].decode())
        at += 8 + length
    return found


def test_the_merges_are_those_of_the_file(bench: Workbench, model_path: Path) -> None:
    by_hand = merges_by_hand(model_path)
    assert len(by_hand) == 48_900
    assert stored_merges(bench, Run()) == {m: n for n, m in enumerate(by_hand, start=1)}


def test_the_merges_of_the_lesson_build_low() -> None:
    # Lesson 4: "l o" first, then "lo w": "low", "low e r" and "s low".
    first, steps = merge_steps("lower", {"l o": 1, "lo w": 2})
    assert first == (b"l", b"o", b"w", b"e", b"r")
    assert [(s.rank, s.pair, s.pieces) for s in steps] == [
        (1, (b"l", b"o"), (b"lo", b"w", b"e", b"r")),
        (2, (b"lo", b"w"), (b"low", b"e", b"r")),
    ]


def test_the_merge_learned_first_comes_first_and_not_the_leftmost() -> None:
    _, steps = merge_steps("abc", {"b c": 1, "a b": 2})
    assert [s.pieces for s in steps] == [(b"a", b"bc")]


def test_a_merge_never_crosses_two_words() -> None:
    _, steps = merge_steps("a b", {"a Ġ": 1, "Ġ b": 2})
    assert [s.pieces for s in steps] == [(b"a", b" b")]


def test_merging_ends_at_the_real_tokens(bench: Workbench) -> None:
    ranks = stored_merges(bench, Run())
    text = " ".join(section.text for lesson in bench.lessons for section in lesson.sections)
    draw = random.Random(0)
    for _ in range(500):
        start = draw.randrange(len(text) - 24)
        piece = text[start : start + draw.randint(1, 24)]
        first, steps = merge_steps(piece, ranks)
        last = steps[-1].pieces if steps else first
        assert last == tuple(token.bytes for token in bench.engine.tokens(piece)), piece


def test_each_step_joins_one_pair_of_the_pieces_before(bench: Workbench) -> None:
    text = "tokenization 🦄 2024"
    pieces = [bytes([byte]) for byte in text.encode()]
    for merge in shown(bench, text).result["merges"]:
        left, right = map(bytes, merge["pair"])
        after = [bytes(piece) for piece in merge["pieces"]]
        at = next(n for n, (x, y) in enumerate(zip(pieces, after, strict=False)) if x != y)
        assert (pieces[at], pieces[at + 1]) == (left, right)
        pieces[at : at + 2] = [left + right]
        assert pieces == after


def test_a_text_cut_by_another_rule_shows_no_merges(bench: Workbench) -> None:
    # The superscript counts as a letter in our rule and as a number in the model's.
    ranks = stored_merges(bench, Run())
    first, steps = merge_steps(" ²", ranks)
    real = tuple(token.bytes for token in bench.engine.tokens(" ²"))
    assert (steps[-1].pieces if steps else first) != real
    assert shown(bench, " ²").result["merges"] == []


def test_a_long_text_shows_no_merges(bench: Workbench) -> None:
    assert shown(bench, "a" * 24).result["merges"]
    assert shown(bench, "a" * 25).result["merges"] == []


def test_an_emoji_is_shown_in_bytes(bench: Workbench) -> None:
    found = shown(bench, "🦄")
    assert bytes(b for t in found.result["tokens"] for b in t["bytes"]) == "🦄".encode()
    assert found.result["count"] == 3
    assert not any("\ufffd" in chip.text for chip in found.figures[0].chips)  # type: ignore[union-attr]


def test_the_ids_are_those_of_the_lesson(bench: Workbench) -> None:
    assert [t["id"] for t in shown(bench, " cat").result["tokens"]] == [2644]
    assert [t["id"] for t in shown(bench, "cat").result["tokens"]] == [9786]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "text: .* at least 1 character"),
        ("   ", "text: give at least one character"),
        ("word " * 10_000, "text: .* at most 2000 characters"),
    ],
)
def test_wrong_text_is_told(bench: Workbench, text: str, says: Any) -> None:
    assert_refused(lambda: shown(bench, text), says)
