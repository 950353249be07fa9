"""What `tutor lora` refuses before it loads anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutor.cli import main


@pytest.mark.parametrize(
    "arguments",
    [
        *(["train", "--name", name] for name in ("../x", "", "none", "..", "a b", ".hidden")),
        ["export", "somewhere", "--name", "../x"],
        ["export", "some where"],
    ],
)
def test_a_name_that_is_no_files_name_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lora", *arguments]) == 2
    assert "--name takes" in capsys.readouterr().err


def test_the_base_model_is_not_compared_with_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lora", "compare", "--adapter", "none"]) == 2
    assert "base model" in capsys.readouterr().err


def test_a_recipe_out_of_range_is_told_by_its_flag(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lora", "train", "--learning-rate", "-1"]) == 2
    assert "--learning-rate" in capsys.readouterr().err
