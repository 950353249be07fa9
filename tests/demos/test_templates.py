from __future__ import annotations

import json
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.demos.conftest import assert_refused, stopping
from tutor.demos import templates
from tutor.demos.demo import DemoCancelled, DemoError, Run, Shown
from tutor.demos.figures import Columns, Table
from tutor.demos.templates import BASE_PACKAGE, Templates
from tutor.demos.workbench import Workbench
from tutor.engine.settings import Sampling

DEMO = Templates()
GREEDY = Sampling(greedy=True, repeat_penalty=1.0)
END = 2
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def chatml(question: str) -> str:
    """The template of SmolLM2's model card, written by hand."""
    return (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
        f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the base model is not installed."""
    monkeypatch.setattr(templates, "find_spec", lambda name: None)


@pytest.fixture(scope="module")
def fruits(bench: Workbench) -> Shown:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "find_spec", lambda name: None)
        return show(bench, text="Name three fruits.", tokens=24)


def show(bench: Workbench, **values: Any) -> Shown:
    return DEMO.run(bench, DEMO.parse(values), Run())


def prompts(bench: Workbench, question: str) -> list[list[int]]:
    cut = bench.engine.tokenize
    text = chatml(question)
    return [cut(text, True), cut(question), cut(f"[INST] {question} [/INST]"), cut(text)]


def test_the_raw_template_is_the_model_cards(bench: Workbench, fruits: Shown) -> None:
    expected = bench.engine.tokenize(chatml("Name three fruits."), special=True)
    assert [token["id"] for token in fruits.result["template"]] == expected


def test_the_marks_of_the_template_are_single_special_tokens(fruits: Shown) -> None:
    special = [t["text"] for t in fruits.result["template"] if t["special"]]
    assert special == ["<|im_start|>", "<|im_end|>"] * 2 + ["<|im_start|>"]
    assert fruits.result["mark_id"] == [END]


def test_every_answer_begins_with_the_likeliest_token_after_its_prompt(
    bench: Workbench, fruits: Shown
) -> None:
    for ids, answer in zip(
        prompts(bench, "Name three fruits."), fruits.result["answers"], strict=True
    ):
        best = int(bench.engine.next(ids, GREEDY, 1).logprobs.argmax())
        assert answer["prompt_tokens"] == len(ids)
        assert answer["text"].startswith(bench.engine.token_text(best))


def test_an_answer_stopped_where_its_end_token_is_the_likeliest(
    bench: Workbench, fruits: Shown
) -> None:
    answers = fruits.result["answers"]
    assert {answer["stopped"] for answer in answers} == {True, False}
    for ids, answer in zip(prompts(bench, "Name three fruits."), answers, strict=True):
        said = bench.engine.tokenize(answer["text"])
        if answer["stopped"]:
            best = int(bench.engine.next([*ids, *said], GREEDY, 1).logprobs.argmax())
            assert best == END
        else:
            assert answer["tokens"] == 24


def test_the_right_choice_is_which_answers_stopped(fruits: Shown) -> None:
    stopped = [answer["stopped"] for answer in fruits.result["answers"]]
    expected = {
        (True, 1): "only the one",
        (True, 4): "all four",
        (False, 0): "none",
    }.get((stopped[0], sum(stopped)), "that one and some" if stopped[0] else "some of the others")
    assert fruits.prediction.choices[fruits.right].startswith(expected)


def test_a_mark_typed_by_a_user_is_plain_tokens(
    bench: Workbench, alone: None, fruits: Shown
) -> None:
    shown = show(bench, text="Hi<|im_end|>there", tokens=8).result
    ids = [token["id"] for token in shown["template"]]
    assert ids.count(END) == 2
    assert shown["marks_in_question"] == ["<|im_end|>"]
    assert [token["id"] for token in fruits.result["template"]].count(END) == 2
    assert END not in shown["typed_ids"]
    assert b"".join(map(bench.engine.token_bytes, shown["typed_ids"])) == b"<|im_end|>"


def test_the_answers_stand_side_by_side(fruits: Shown) -> None:
    (columns,) = (figure for figure in fruits.figures if isinstance(figure, Columns))
    names = [name for name, _ in columns.columns]
    assert names == ["right template", "no template", "wrong: llama-2", "right, typed as text"]


def test_the_alpaca_template_is_plain_text_around_the_question(
    bench: Workbench, alone: None
) -> None:
    shown = show(bench, text="Say hi.", wrong="alpaca", tokens=8).result["answers"][2]
    assert "### Instruction:\nSay hi.\n\n### Response:\n" in shown["prompt"]
    assert shown["prompt_tokens"] == len(bench.engine.tokenize(shown["prompt"]))


def test_a_base_model_that_is_not_installed_is_told(fruits: Shown) -> None:
    assert fruits.result["base"] == "not installed"
    table = fruits.figures[-1]
    assert isinstance(table, Table)
    assert f"not installed: pip install {BASE_PACKAGE}" in table.rows[-1]


@pytest.mark.skipif(
    find_spec(BASE_PACKAGE.replace("-", "_")) is None, reason=f"{BASE_PACKAGE} is not installed"
)
def test_the_base_model_continues_the_bare_question(bench: Workbench) -> None:
    base = show(bench, text="Name three fruits.", tokens=12).result["base"]
    assert base["prompt"] == "Name three fruits."
    assert not base["stopped"]
    assert base["tokens"] == 12


def test_a_broken_base_package_says_how_to_mend_it(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> None:
        raise ImportError("a piece is missing")

    monkeypatch.setattr(templates, "find_spec", lambda name: object())
    monkeypatch.setattr(templates, "import_module", broken)
    with pytest.raises(DemoError, match=f"a piece is missing.*pip install .*{BASE_PACKAGE}"):
        show(replace(bench, cache=tmp_path), tokens=8)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": ""}, "text: .*at least 1 character"),
        ({"text": "x" * 501}, "text: .*at most 500 characters"),
        ({"wrong": "vicuna"}, "wrong: .*'llama-2' or 'alpaca'"),
        ({"tokens": 7}, "tokens: .*greater than or equal to 8"),
        ({"tokens": 161}, "tokens: .*less than or equal to 160"),
    ],
)
def test_a_value_outside_its_range_is_refused_in_one_line(
    values: dict[str, Any], message: str
) -> None:
    assert_refused(lambda: DEMO.parse(values), message)


def test_a_question_of_spaces_is_refused(bench: Workbench) -> None:
    with pytest.raises(DemoError, match="at least one character that is not a space"):
        show(bench, text="  ")


def test_it_stops_when_the_learner_stops_it(bench: Workbench) -> None:
    with pytest.raises(DemoCancelled):
        DEMO.run(bench, DEMO.parse({}), stopping(lambda stage, done: done > 0))


def test_it_is_json(fruits: Shown) -> None:
    assert json.loads(json.dumps(asdict(fruits)))["demo"] == "templates"
