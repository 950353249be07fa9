from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from numpy.typing import NDArray

from tests.demos.conftest import assert_refused
from tutor.demos.demo import Run, Shown
from tutor.demos.neighbours import Neighbours, embedding_table, plane
from tutor.demos.workbench import Workbench

Table = NDArray[np.float64]


def shown(bench: Workbench, **values: Any) -> Shown:
    demo = Neighbours()
    return demo.run(bench, demo.parse(values), Run())


@pytest.fixture(scope="module")
def table(model_path: Path) -> Table:
    """The table undone by hand: the upper half of a float32 each (BF16), or blocks of a float16
    scale and 32 signed bytes (Q8_0)."""
    tensor = next(t for t in GGUFReader(model_path).tensors if t.name == "token_embd.weight")
    data = model_path.read_bytes()[tensor.data_offset : tensor.data_offset + tensor.n_bytes]
    if tensor.tensor_type == GGMLQuantizationType.BF16:
        upper = np.frombuffer(data, "<u2").astype("<u4") << 16
        return upper.view("<f4").astype(np.float64).reshape(49_152, 576)
    blocks = np.frombuffer(data, dtype=[("scale", "<f2"), ("weights", "i1", 32)])
    return (blocks["scale"].astype(np.float64)[:, None] * blocks["weights"]).reshape(49_152, 576)


def cosine(table: Table, a: int, b: int) -> float:
    return float(table[a] @ table[b] / np.linalg.norm(table[a]) / np.linalg.norm(table[b]))


def test_the_table_is_that_of_the_file(bench: Workbench, table: Table) -> None:
    ours = embedding_table(bench, Run())
    assert ours.shape == (49_152, 576)
    np.testing.assert_allclose(ours, table, rtol=1e-3, atol=1e-6)


def test_the_cosines_of_the_lesson_are_those_of_the_table(bench: Workbench, table: Table) -> None:
    cat, dog, bank = (bench.engine.tokenize(word)[0] for word in (" cat", " dog", " bank"))
    assert round(cosine(table, cat, dog), 2) == 0.58
    assert round(cosine(table, cat, bank), 2) == 0.12
    near = {n["id"]: n["cosine"] for n in shown(bench).result["tokens"][0]["neighbours"]}
    assert near[dog] == pytest.approx(cosine(table, cat, dog), abs=1e-4)


@pytest.mark.parametrize("word", ["cat", "Paris", "because"])
def test_no_token_lies_nearer_than_the_neighbours(
    bench: Workbench, table: Table, word: str
) -> None:
    token = shown(bench, text=word, count=5).result["tokens"][0]
    row = table[token["id"]]
    cosines = table @ row / np.maximum(np.linalg.norm(table, axis=1), 1e-9) / np.linalg.norm(row)
    cosines[token["id"]] = -2
    best = np.argsort(-cosines)[:5]
    assert [n["id"] for n in token["neighbours"]] == best.tolist()
    assert [n["cosine"] for n in token["neighbours"]] == pytest.approx(cosines[best], abs=1e-4)


def test_a_word_is_looked_up_with_the_space_before_it_or_without(bench: Workbench) -> None:
    assert shown(bench, text="cat").result["tokens"][0]["id"] == 2644
    assert shown(bench, text="cat", space=False).result["tokens"][0]["id"] == 9786


def test_a_word_of_several_tokens_shows_neighbours_of_each(bench: Workbench) -> None:
    tokens = shown(bench, text="tokenization").result["tokens"]
    assert [t["id"] for t in tokens] == bench.engine.tokenize(" tokenization")


def test_an_emoji_shows_its_bytes(bench: Workbench) -> None:
    texts = [t["text"] for t in shown(bench, text="🦄").result["tokens"]]
    assert "".join(texts).replace("›‹", " ").strip("‹›") == " 🦄".encode().hex(" ")


@pytest.mark.parametrize(("word", "choice"), [("cat", 0), ("walk", 1), ("seven", 2)])
def test_the_right_choice_is_what_the_nearest_token_is(
    bench: Workbench, word: str, choice: int
) -> None:
    found = shown(bench, text=word)
    nearest = found.result["tokens"][0]["neighbours"][0]["text"].strip("·").lower()
    assert found.right == choice, nearest
    assert (nearest == word) == (choice == 0)
    assert nearest.startswith(word) == (choice < 2)


def test_the_explained_variance_is_that_of_the_covariance(bench: Workbench, table: Table) -> None:
    found = shown(bench).result["token_map"]
    rows = table[found["points"]]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    values = np.sort(np.linalg.eigvalsh(np.cov(rows.T)))[::-1]
    assert found["explained_variance"] == pytest.approx(values[:2] / values.sum(), abs=1e-3)


def test_the_map_of_points_in_a_plane_keeps_their_distances() -> None:
    flat = np.random.default_rng(0).normal(size=(6, 2))
    turned = flat @ np.linalg.qr(np.random.default_rng(1).normal(size=(9, 2)))[0].T
    places, kept = plane(turned)
    assert sum(kept) == pytest.approx(1)
    apart = [np.linalg.norm(a - b) for a in flat for b in flat]
    assert [np.linalg.norm(a - b) for a in places for b in places] == pytest.approx(apart)


def test_the_cosines_of_texts_are_the_encoders(bench: Workbench) -> None:
    texts = ["I lost my keys.", "Where are my keys?", "It rains."]
    found = shown(bench, texts=texts).result["text_cosines"]
    vectors = [bench.retriever.encoder.encode_one(text) for text in texts]
    by_hand = [
        [float(sum(x * y for x, y in zip(a, b, strict=True))) for b in vectors] for a in vectors
    ]
    assert np.array(found) == pytest.approx(np.array(by_hand), abs=1e-4)


def test_texts_on_a_command_line_are_split_at_bars() -> None:
    assert Neighbours().parse({"texts": "one | two"}).texts == ("one", "two")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"text": ""}, "text: .* at least 1 character"),
        ({"text": "   "}, "text: give at least one character"),
        ({"text": "antidisestablishmentarianism"}, "is 5 tokens .* at most 3"),
        ({"text": "word " * 10_000}, "text: .* at most 40 characters"),
        ({"count": 0}, "count: .* greater than or equal to 1"),
        ({"count": 21}, "count: .* less than or equal to 20"),
        ({"texts": "one"}, "texts: .* at least 2 items"),
        ({"texts": "1|2|3|4|5|6|7"}, "texts: .* at most 6 items"),
        ({"texts": "one|  "}, "texts.1: .* at least 1 character"),
        ({"texts": ["one", "x" * 251]}, "texts.1: .* at most 250 characters"),
    ],
)
def test_wrong_input_is_told_with_its_range(
    bench: Workbench, values: dict[str, Any], says: str
) -> None:
    assert_refused(lambda: shown(bench, **values), says)
