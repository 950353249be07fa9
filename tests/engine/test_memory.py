from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tutor.engine.cancel import Cancel
from tutor.engine.memory import Memory, common_prefix
from tutor.engine.model import Aborted, Model


@pytest.fixture(scope="module")
def model(model_path: Path) -> Iterator[Model]:
    model = Model(model_path, 1024, 2, Cancel())
    yield model
    model.close()


def test_only_what_a_prompt_does_not_share_with_memory_is_read(
    model: Model, memory: Memory
) -> None:
    ids = model.tokenize("The cat sat on the mat and looked at the moon.")
    known, fresh = memory.read_prompt(ids)
    assert known == 0
    other = [*ids[:5], *model.tokenize(" a dog")]
    assert memory.read_prompt(other)[0] == 5
    assert memory.ids == other
    assert memory.read_prompt(ids)[1] == pytest.approx(fresh, abs=0.1)


def test_of_the_prompt_that_was_read_last_nothing_is_read_again(
    model: Model, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = model.tokenize("The cat sat")
    _, logits = memory.read_prompt(ids)
    expected = logits.copy()
    memory.read(model.tokenize(" on the mat"))
    monkeypatch.setattr(model, "decode", lambda ids: pytest.fail(f"{ids} were read again"))
    known, again = memory.read_prompt(ids)
    assert known == len(ids) and np.array_equal(again, expected)
    assert memory.ids == ids


def test_of_a_prompt_that_was_forgotten_in_part_the_last_token_is_read_again(
    model: Model, memory: Memory
) -> None:
    ids = model.tokenize("The cat sat")
    _, logits = memory.read_prompt(ids)
    memory.forget(len(ids) - 1)
    memory.read(model.tokenize(" ran away"))
    known, again = memory.read_prompt(ids)
    assert known == len(ids) - 1
    assert again == pytest.approx(logits, abs=0.3)


def test_what_stands_in_memory_but_was_no_prompt_has_its_last_token_read_again(
    model: Model, memory: Memory
) -> None:
    ids = model.tokenize("The cat sat on the mat")
    memory.read_prompt(ids)
    assert memory.read_prompt(ids[:-2])[0] == len(ids) - 3


def test_every_token_read_in_rows_has_its_logits(model: Model, memory: Memory) -> None:
    ids = model.tokenize("The cat sat on the mat")
    memory.read_rows(ids)
    rows = [int(model.logits(n).argmax()) for n in range(len(ids))]
    one_by_one = []
    memory.forget(0)
    for id in ids:
        memory.read([id])
        one_by_one.append(int(model.logits().argmax()))
    assert rows == one_by_one


def test_an_abort_leaves_what_was_in_memory_before(model: Model, memory: Memory) -> None:
    known = model.tokenize("The cat sat")
    memory.read(known)
    model.cancel.set()
    try:
        with pytest.raises(Aborted):
            memory.read(model.tokenize("word " * 400))
    finally:
        model.cancel.clear()
    assert memory.ids == known
    assert memory.read_prompt([*known, *model.tokenize(" down")])[0] == len(known)


def test_the_common_prefix_ends_where_two_sequences_part() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([1, 2], [1, 2, 3]) == 2
    assert common_prefix([], [1]) == 0
