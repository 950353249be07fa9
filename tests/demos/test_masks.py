"""Vectors against the models called directly: transformers, and sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.encoder import model_folder
from tests.demos.conftest import assert_refused
from tutor.demos.demo import DemoError, Run, Shown
from tutor.demos.figures import Columns, Heatmap
from tutor.demos.masks import Masks
from tutor.demos.workbench import Workbench
from tutor.engine.weights import torch_model

DEMO = Masks()
OLD = "The bank was closed because of the flood"
NEW = "The bank was closed because of the holiday"


def shown(bench: Workbench, **values: Any) -> Shown:
    return DEMO.run(bench, DEMO.parse({"text": OLD, "word": "holiday"} | values), Run())


@pytest.fixture(scope="module")
def found(bench: Workbench) -> Shown:
    return shown(bench)


def distances(old: Any, new: Any) -> list[float]:
    return (np.linalg.norm(new - old, axis=1) / np.linalg.norm(old, axis=1)).tolist()


def moved(family: dict[str, Any]) -> list[float]:
    return [position["moved"] for position in family["positions"]]


def test_the_decoder_moves_as_transformers_says(
    bench: Workbench, found: Shown, model_path: Path, cache: Path
) -> None:
    import torch

    body = torch_model(model_path, cache).model
    with torch.no_grad():
        old, new = (
            body(torch.tensor([bench.engine.tokenize(text)])).last_hidden_state[0].numpy()
            for text in (OLD, NEW)
        )
    assert moved(found.result["decoder"]) == pytest.approx(distances(old, new), abs=1e-4)


def test_the_encoder_moves_as_sentence_transformers_says(found: Shown) -> None:
    from sentence_transformers import SentenceTransformer

    original = SentenceTransformer(str(model_folder()), device="cpu", local_files_only=True)
    old, new = (
        original.encode(text, output_value="token_embeddings").numpy() for text in (OLD, NEW)
    )
    assert moved(found.result["encoder"]) == pytest.approx(distances(old, new), abs=1e-4)


def test_nothing_before_the_word_changes_in_the_decoder(found: Shown) -> None:
    *before, at = found.result["decoder"]["changed"]
    assert not any(before)
    assert at


def test_everything_changes_in_the_encoder(found: Shown) -> None:
    assert all(found.result["encoder"]["changed"])


def test_the_decoders_mask_is_a_triangle_and_the_encoders_is_full(found: Shown) -> None:
    n, m = (len(found.result[family]["tokens"]) for family in ("decoder", "encoder"))
    assert found.result["decoder"]["mask"] == np.tri(n, dtype=int).tolist()
    assert found.result["encoder"]["mask"] == np.ones((m, m), dtype=int).tolist()
    assert found.result["decoder"]["allowed_pairs"] == n * (n + 1) // 2
    assert found.result["encoder"]["allowed_pairs"] == m * m


def test_both_masks_are_drawn_without_the_forbidden_cells(found: Shown) -> None:
    decoder, encoder = (figure for figure in found.figures if isinstance(figure, Heatmap))
    assert decoder.values[0][1:] == (None,) * (len(decoder.columns) - 1)
    assert all(cell == 1.0 for row in encoder.values for cell in row)


def test_the_right_choice_is_only_the_encoder(found: Shown) -> None:
    assert "only in the encoder" in found.prediction.choices[found.right]


@pytest.mark.parametrize("word", ["a", "antidisestablishmentarianism", "🙂", "Überschwemmung"])
def test_a_word_of_other_length_leaves_the_decoders_beginning_alone(
    bench: Workbench, word: str
) -> None:
    result = shown(bench, word=word).result
    before = [p for p in result["decoder"]["positions"] if p["place"] == "before"]
    assert len(before) == 7
    assert max(p["moved"] for p in before) < result["changed_from"]
    assert all(result["encoder"]["changed"])


def test_punctuation_stays_behind_the_new_word_and_changes_with_it(bench: Workbench) -> None:
    result = shown(bench, text=f"{OLD}!").result
    assert result["sentences"] == [f"{OLD}!", f"{NEW}!"]
    last = result["decoder"]["positions"][-1]
    assert (last["token"], last["place"]) == ("!", "after")
    assert last["moved"] > result["changed_from"]


def test_the_encoder_asked_to_write_says_why_not(bench: Workbench) -> None:
    with pytest.raises(DemoError, match=r"cannot write.*words to its right.*choose decoder"):
        shown(bench, write="encoder")


def test_the_decoder_writes_what_llama_cpp_finds_likeliest(bench: Workbench) -> None:
    from tutor.engine.settings import Sampling

    run = shown(bench, write="decoder")
    # What an earlier answer said counts for the penalty, so none is applied.
    plain = Sampling(greedy=True, repeat_penalty=1.0)
    first = bench.engine.next(bench.engine.tokenize(NEW), plain).step.chosen
    assert run.result["written"].startswith(bench.engine.token_text(first))
    assert isinstance(run.figures[-1], Columns)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"word": "flood"}, "ends with 'flood' already"),
        ({"word": "Flood"}, "no capitals"),
        ({"word": "two words"}, "give one word, not 2"),
        ({"word": " "}, "give one word, not 0"),
        ({"text": "flood"}, "at least 2 words, this has 1"),
        ({"text": "?!"}, "at least 2 words, this has 0"),
        ({"text": "a " * 41}, "at most 40 tokens fit here, this has 4"),
        ({"write": "both"}, "'nobody', 'decoder' or 'encoder'"),
    ],
)
def test_input_out_of_range_is_refused_with_the_range(
    bench: Workbench, values: dict[str, Any], message: str
) -> None:
    assert_refused(lambda: shown(bench, **values), message)
