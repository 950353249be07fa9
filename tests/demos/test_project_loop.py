"""Hits against a search done by hand, intervals and p against scipy."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any, get_args

import numpy as np
import pytest
from scipy import stats

from corpus.gold import load_gold
from index.settings import Retrieval
from tests.demos.conftest import assert_refused
from tutor.demos.demo import DemoCancelled, DemoError, Run, Shown
from tutor.demos.figures import Bars, Table
from tutor.demos.project_loop import FEWEST, Knob, ProjectLoop, compare
from tutor.demos.workbench import Workbench
from tutor.engine.cancel import Cancel

DEMO = ProjectLoop()
# A search that has little to go by but the bank's questions: without them it gets clearly worse.
LEANING = Retrieval(mode="dense", whole=False, sentences=False)
DEV = {question.id: question for question in load_gold("dev")}
ANSWERABLE = [question for question in DEV.values() if question.answerable]


def show(bench: Workbench, run: Run | None = None, **values: Any) -> Shown:
    return DEMO.run(bench, DEMO.parse(values), run or Run())


def leaning(bench: Workbench, **changed: Any) -> Workbench:
    settings = LEANING.model_copy(update=changed)
    return replace(bench, retriever=bench.retriever.with_settings(settings))


@pytest.fixture(scope="module")
def worse(bench: Workbench) -> Shown:
    return show(leaning(bench), questions=30, knob="questions")


@pytest.fixture(scope="module")
def small(bench: Workbench) -> Shown:
    return show(leaning(bench), lesson=7, questions=12, knob="questions")


@pytest.fixture(scope="module")
def unweighted(bench: Workbench) -> Shown:
    return show(bench, questions=30, knob="bm25_weight")


def test_the_first_passage_without_bm25_is_the_one_of_the_highest_cosine(
    bench: Workbench, unweighted: Shown
) -> None:
    passages = len(bench.retriever.passages)
    single = [row for row in unweighted.result["questions"] if not DEV[row["id"]].history]
    assert len(single) > 20
    for row in single:
        hits = bench.retriever.search(row["question"], passages).hits
        assert row["before"]["first"] == hits[0].passage.passage_id
        assert row["after"]["first"] == max(hits, key=lambda hit: hit.dense).passage.passage_id


def test_a_hit_is_a_first_passage_that_holds_the_answer(unweighted: Shown) -> None:
    for row in unweighted.result["questions"]:
        for run in ("before", "after"):
            assert row[run]["hit"] == (row[run]["first"] in DEV[row["id"]].relevant)
            assert row[run]["hit"] == (row[run]["rank"] == 1)


def test_the_shares_are_counted_over_all_questions(unweighted: Shown) -> None:
    rows = unweighted.result["questions"]
    for run in ("before", "after"):
        hits = sum(row[run]["first"] in DEV[row["id"]].relevant for row in rows)
        assert unweighted.result["hit_at_1"][run]["mean"] == pytest.approx(hits / 30)


def test_won_and_lost_are_the_questions_that_changed(worse: Shown) -> None:
    pairs = [(row["before"]["hit"], row["after"]["hit"]) for row in worse.result["questions"]]
    assert worse.result["won"] == pairs.count((False, True))
    assert worse.result["lost"] == pairs.count((True, False))


def test_examples_of_what_was_lost_name_the_right_and_the_wrong_section(
    bench: Workbench, worse: Shown
) -> None:
    told = {f"{p.lesson}: {p.section}": p.passage_id for p in bench.retriever.passages}
    asked = [DEV[row["id"]] for row in worse.result["questions"]]
    lost = next(f for f in worse.figures if isinstance(f, Table) and f.title.startswith("lost"))
    assert len(lost.rows) == 4
    for question, right, wrong in lost.rows:
        (gold,) = (q for q in asked if " / ".join((*q.history, q.question))[:40] == question[:40])
        assert told[right] in gold.relevant
        assert told[wrong] not in gold.relevant


def test_the_interval_is_scipys_paired_bootstrap() -> None:
    draw = np.random.default_rng(2)
    before, after = (draw.integers(2, size=80).astype(float).tolist() for _ in range(2))
    found = compare(before, after).difference
    expected = stats.bootstrap(
        (np.subtract(after, before),), np.mean, method="percentile", rng=7
    ).confidence_interval
    assert found.mean == pytest.approx(np.mean(after) - np.mean(before))
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.03)


@pytest.mark.parametrize(("won", "lost"), [(1, 9), (6, 7), (0, 5), (12, 3)])
def test_p_is_that_of_the_sign_test(won: int, lost: int) -> None:
    before = [0.0] * won + [1.0] * lost + [1.0] * 30
    after = [1.0] * won + [0.0] * lost + [1.0] * 30
    found = compare(before, after)
    # Of differences that are all 1 or -1, flipping signs is tossing coins.
    assert found.p == pytest.approx(stats.binomtest(won, won + lost).pvalue, abs=0.02)
    assert (found.won, found.lost) == (won, lost)


@pytest.mark.parametrize(
    ("won", "lost", "same", "claim"),
    [
        (0, 12, 28, "worse"),
        (12, 0, 28, "better"),
        (0, 12, 18, "worse"),
        (0, 12, 17, "nothing"),
        (6, 7, 27, "nothing"),
        (0, 0, 40, "nothing"),
        # The interval is clear of 0, but five coins fall alike once in 16 times.
        (0, 5, 55, "nothing"),
    ],
)
def test_a_claim_takes_enough_questions_and_both_tests(
    won: int, lost: int, same: int, claim: str
) -> None:
    before = [0.0] * won + [1.0] * lost + [1.0] * same
    after = [1.0] * won + [0.0] * lost + [1.0] * same
    assert compare(before, after).claim == claim


def test_a_search_that_lost_its_best_arm_is_called_worse(worse: Shown) -> None:
    assert worse.prediction.choices[worse.right] == "the search got worse"
    assert "the search got worse by more than chance" in worse.seen


def test_a_search_that_gained_an_arm_is_called_better(bench: Workbench) -> None:
    shown = show(leaning(bench, questions=False), questions=30, knob="questions", value="true")
    assert shown.prediction.choices[shown.right] == "the search got better"
    assert shown.result["knob"] == {"name": "questions", "before": False, "after": True}


def test_under_thirty_questions_nothing_is_claimed(small: Shown) -> None:
    assert small.result["n"] == 12 < FEWEST
    # Not for want of a difference.
    assert small.result["lost"] > small.result["won"]
    assert small.prediction.choices[small.right].startswith("nothing")
    assert "With 12 questions, under 30, nothing can be claimed" in small.seen


def test_only_dev_questions_with_an_answer_are_asked(worse: Shown, small: Shown) -> None:
    asked = [DEV[row["id"]] for s in (worse, small) for row in s.result["questions"]]
    assert all(question.split == "dev" and question.answerable for question in asked)
    assert len(worse.result["questions"]) == len({row["id"] for row in worse.result["questions"]})


def test_a_slice_is_spread_over_all_lessons(worse: Shown) -> None:
    assert {DEV[row["id"]].lesson for row in worse.result["questions"]} == set(range(1, 14))


def test_a_slice_of_a_lesson_is_of_that_lesson(small: Shown) -> None:
    assert {DEV[row["id"]].lesson for row in small.result["questions"]} == {7}


def test_more_questions_than_there_are_means_all(bench: Workbench) -> None:
    shown = show(bench, lesson=9, questions=500, knob="spelling")
    all_of_it = [q.id for q in DEV.values() if q.lesson == 9]
    assert [row["id"] for row in shown.result["questions"]] == all_of_it


def test_the_running_search_is_left_as_it_was(bench: Workbench, unweighted: Shown) -> None:
    assert bench.retriever.settings == Retrieval()
    assert unweighted.result["knob"]["after"] == 0


def test_both_runs_stand_as_bars_with_their_intervals(unweighted: Shown) -> None:
    bars = unweighted.figures[0]
    assert isinstance(bars, Bars)
    weight = Retrieval().bm25_weight
    assert [bar.label for bar in bars.bars] == [f"bm25_weight = {weight}", "bm25_weight = 0.0"]
    for bar, run in zip(bars.bars, ("before", "after"), strict=True):
        told = unweighted.result["hit_at_1"][run]
        assert bar.value == told["mean"]
        assert bar.note == f"95%: {told['low']:.2f} to {told['high']:.2f}"


@pytest.mark.parametrize("knob", get_args(Knob))
def test_every_knob_is_a_setting_of_the_search_and_is_turned_without_a_value(knob: str) -> None:
    value = DEMO.parse({"knob": knob}).value
    turned = Retrieval.model_validate({knob: value})
    assert getattr(turned, knob) != getattr(Retrieval(), knob)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"questions": 0}, f"questions: the slice is empty: give 1 to {len(ANSWERABLE)}, not 0"),
        ({"questions": 0, "lesson": 3}, "questions: the slice is empty: give 1 to .., not 0"),
        ({"questions": -1}, "questions: .*greater than or equal to 0"),
        ({"questions": 1001}, "questions: .*less than or equal to 1000"),
        ({"lesson": 14}, "lesson: give 1 to 13, or 0 for all, not 14"),
        ({"lesson": -1}, "lesson: .*greater than or equal to 0"),
        ({"knob": "lesson_prior"}, "knob: .*'questions'"),
        ({"knob": "bm25_weight", "value": "-1"}, "value: bm25_weight takes 0 to 10 .*, not '-1'"),
        ({"knob": "mode", "value": "x"}, "value: mode takes hybrid or dense or bm25, not 'x'"),
        ({"knob": "heading", "value": "7"}, "value: heading takes true or false, not '7'"),
        ({"knob": "mode", "value": "hybrid"}, "value: mode is hybrid already: give another"),
    ],
)
def test_a_value_outside_its_range_is_refused_in_one_line(
    bench: Workbench, values: dict[str, Any], message: str
) -> None:
    assert_refused(lambda: show(bench, **values), message)


def test_a_lesson_without_dev_questions_is_an_empty_slice(bench: Workbench) -> None:
    lessons = [*bench.lessons, replace(bench.lessons[-1], number=14)]
    with pytest.raises(DemoError, match="the slice is empty: lesson 14 has no questions"):
        show(replace(bench, lessons=lessons), lesson=14)


def test_it_stops_when_the_learner_stops_it(bench: Workbench) -> None:
    stopped = Cancel()
    told: list[str] = []

    def stop_soon(stage: str, done: float) -> None:
        told.append(stage)
        if len(told) == 3:
            stopped.set()

    with pytest.raises(DemoCancelled):
        show(bench, Run(stop_soon, stopped))
    assert len(told) == 3


def test_it_is_json(worse: Shown) -> None:
    assert json.loads(json.dumps(asdict(worse), allow_nan=False))["demo"] == "project-loop"
