from __future__ import annotations

from pathlib import Path

import numpy as np

from index.encoder import Encoder
from index.shipped import FILE, ShippedEncoder, course_texts, ship

TEXTS = ["What is a token?", "The loss goes down.", "attention " * 400]


def test_shipped_vectors_are_the_encoders_own(encoder: Encoder) -> None:
    texts = course_texts()[::97]
    cosines = (ShippedEncoder(encoder).encode(texts) * encoder.encode(texts)).sum(axis=1)
    assert cosines.min() > 0.999


def test_a_cosine_to_a_shipped_vector_moves_by_less_than_two_thousandths(encoder: Encoder) -> None:
    texts = course_texts()[::97]
    query = encoder.encode_one("why do answers get wilder?")
    moved = ShippedEncoder(encoder).encode(texts) @ query - encoder.encode(texts) @ query
    assert np.abs(moved).max() < 0.002


def test_every_text_of_the_course_is_shipped(encoder: Encoder) -> None:
    known = ShippedEncoder(encoder)
    missing = [text for text in course_texts() if not known.has(text)]
    assert missing == [], "ship them anew: tutor index ship"


def test_what_is_not_shipped_is_computed(encoder: Encoder, tmp_path: Path) -> None:
    ship(TEXTS[:2], encoder, file=tmp_path / "v.npz")
    found = ShippedEncoder(encoder, tmp_path / "v.npz").encode(TEXTS)
    assert np.abs(found - encoder.encode(TEXTS)).max() < 0.002


def test_vectors_of_another_encoder_are_not_used(encoder: Encoder, tmp_path: Path) -> None:
    file = tmp_path / "v.npz"
    ship(TEXTS[:1], encoder, file=file)
    kept = dict(np.load(file))
    np.savez(file, **{**kept, "encoder": np.array("another"), "bytes": -kept["bytes"]})
    assert np.abs(ShippedEncoder(encoder, file).encode(TEXTS) - encoder.encode(TEXTS)).max() < 1e-6


def test_the_file_stays_small() -> None:
    assert FILE.stat().st_size < 15e6
