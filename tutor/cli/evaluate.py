"""`tutor eval`: the gold questions asked, judged, and told by lesson and kind; two settings compared."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from corpus.gold import GoldQuestion, load_gold
from tutor.cli.main import UseError
from tutor.cli.output import print_json, progress_bars
from tutor.home import Home
from tutor.settings import from_environment, load, set_value

if TYPE_CHECKING:
    from index.evaluate import Outcome
    from index.settings import Retrieval
    from tutor.agent.evaluate import Judged


def run_eval(arguments: argparse.Namespace) -> int:
    """Judges retrieval, evidence, refusal; the answers too, unless --retrieval-only or --compare."""
    questions = load_gold(arguments.split)
    if arguments.limit:
        # Every n-th, so that a slice has all lessons and kinds.
        questions = questions[:: max(len(questions) // arguments.limit, 1)][: arguments.limit]
    settings = _retrieval(arguments.set)

    from index.course import load_course
    from index.evaluate import evaluate
    from index.retriever import Retriever

    home = Home.locate().create()
    with progress_bars() as report:
        retriever = Retriever.open(
            home.cache,
            load_course(home.cache),
            lambda done: report("reading the lessons", done),
            settings,
        )
        outcomes = evaluate(retriever, questions, lambda done: report("searching", done))
        other = None
        if arguments.compare:
            changed = retriever.with_settings(_retrieval([*arguments.set, *arguments.compare]))
            other = evaluate(changed, questions, lambda done: report("searching again", done))
        judged: list[Judged] = []
        if not arguments.retrieval_only and other is None:
            judged = _answers(home, settings, questions, arguments, report)
    result = _report(outcomes, judged)
    result["split"] = arguments.split
    result["settings"] = settings.model_dump()
    if other is not None:
        result["compared"] = _comparison(outcomes, other, arguments.compare)
    if arguments.json:
        print_json(result)
    else:
        _print(result)
    return 0


def _retrieval(changes: Sequence[str]) -> Retrieval:
    from index.settings import Retrieval

    values: dict[str, str] = {}
    for change in changes:
        name, found, value = change.partition("=")
        if not found or name not in Retrieval.model_fields:
            raise UseError(
                f"{change!r} is no NAME=VALUE of the search: choose one of "
                f"{', '.join(Retrieval.model_fields)}"
            )
        values[name] = value
    try:
        return Retrieval.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UseError(f"{first['loc'][0]}: {first['msg'].lower()}") from error


def _answers(
    home: Home,
    search: Retrieval,
    questions: Sequence[GoldQuestion],
    arguments: argparse.Namespace,
    report: Callable[[str, float], None],
) -> list[Judged]:
    from tutor.agent.evaluate import answers
    from tutor.agent.opening import open_tutor
    from tutor.engine.settings import Sampling

    settings = from_environment(load(home.settings_file))
    if arguments.adapter:
        settings = set_value(settings, "adapter", arguments.adapter)
    tutor = open_tutor(home, settings, report)
    tutor.retriever = tutor.retriever.with_settings(search)
    # Greedy, so that the same questions are judged the same twice.
    sampling = Sampling(greedy=True)
    try:
        return list(
            answers(
                tutor,
                questions,
                sampling,
                not arguments.no_rag,
                lambda done: report("answering", done),
            )
        )
    finally:
        tutor.close()


def _report(outcomes: Sequence[Outcome], judged: Sequence[Judged]) -> dict[str, Any]:
    from index.evaluate import estimate, refusal

    asked = [o for o in outcomes if o.question.answerable]
    single = [o for o in asked if not o.question.history]
    follow_ups = [o for o in asked if o.question.history]
    precision, recall = refusal(outcomes)
    result: dict[str, Any] = {
        "retrieval": _retrieval_scores(single),
        "follow_ups": _retrieval_scores(follow_ups),
        "evidence": {"all_facts_in_3": _mean(o.evidence for o in asked), "n": len(asked)},
        "refusal": {
            "precision": precision,
            "recall": recall,
            "false_refusals": _mean(o.refused for o in asked),
            "n": len(outcomes),
        },
        "by_lesson": _grouped(asked, lambda o: str(o.question.lesson)),
        "by_kind": _grouped(asked, lambda o: o.question.kind),
    }
    hits = estimate([o.hit_at_1 for o in single])
    result["retrieval"]["hit_at_1_interval"] = [hits.low, hits.high]
    if judged:
        result["answers"] = _answer_scores([j for j in judged if j.question.answerable])
        by_lesson = defaultdict(list)
        for j in judged:
            if j.question.answerable:
                by_lesson[str(j.question.lesson)].append(j)
        for lesson, some in by_lesson.items():
            result["by_lesson"][lesson]["answers"] = _answer_scores(some)
    return result


def _retrieval_scores(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "hit_at_1": _mean(o.hit_at_1 for o in outcomes),
        "hit_at_3": _mean(o.hit_at_3 for o in outcomes),
        "mrr": _mean(o.rr for o in outcomes),
        "n": len(outcomes),
    }


def _answer_scores(judged: Sequence[Judged]) -> dict[str, Any]:
    shares = [j.answer.supported for j in judged if j.answer.supported is not None]
    return {
        "fact_recall": _mean(j.fact_recall for j in judged),
        "correct": _mean(j.correct for j in judged),
        "model_correct": _mean(j.model_correct for j in judged),
        "supported": _mean(shares),
        "n": len(judged),
    }


def _grouped(outcomes: Sequence[Outcome], key: Callable[[Outcome], str]) -> dict[str, Any]:
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[key(outcome)].append(outcome)
    return {
        name: _retrieval_scores(some)
        | {"evidence": _mean(o.evidence for o in some), "refused": _mean(o.refused for o in some)}
        for name, some in groups.items()
    }


def _comparison(
    before: Sequence[Outcome], after: Sequence[Outcome], changes: Sequence[str]
) -> dict[str, Any]:
    from index.evaluate import paired_p

    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a.question.answerable]
    found: dict[str, Any] = {"changes": list(changes), "n": len(pairs)}
    for name in ("hit_at_1", "hit_at_3", "rr", "evidence"):
        one = [float(getattr(a, name)) for a, _ in pairs]
        two = [float(getattr(b, name)) for _, b in pairs]
        found[name] = {"before": _mean(one), "after": _mean(two), "p": paired_p(one, two)}
    return found


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0


def _print(result: dict[str, Any]) -> None:
    low, high = result["retrieval"]["hit_at_1_interval"]
    for name in ("retrieval", "follow_ups"):
        part = result[name]
        print(
            f"{name.replace('_', '-'):<12} hit@1 {part['hit_at_1']:.3f}  hit@3 {part['hit_at_3']:.3f}"
            f"  MRR {part['mrr']:.3f}  n {part['n']}"
        )
    print(f"{'':<12} hit@1, 95% interval: {low:.3f} to {high:.3f}")
    evidence, refusal = result["evidence"], result["refusal"]
    print(f"{'evidence':<12} all facts in 3 sentences {evidence['all_facts_in_3']:.3f}")
    print(
        f"{'refusal':<12} precision {refusal['precision']:.3f}  recall {refusal['recall']:.3f}"
        f"  answerable refused {refusal['false_refusals']:.3f}"
    )
    if answers := result.get("answers"):
        print(
            f"{'answers':<12} correct {answers['correct']:.3f}  fact recall "
            f"{answers['fact_recall']:.3f}  model's own words correct "
            f"{answers['model_correct']:.3f}  supported {answers['supported']:.3f}"
        )
    for title in ("by_lesson", "by_kind"):
        print(f"\n{title.replace('_', ' '):<14} hit@1  hit@3    MRR  evidence  refused    n")
        for name, part in result[title].items():
            print(
                f"{name:<14} {part['hit_at_1']:.3f}  {part['hit_at_3']:.3f}  {part['mrr']:.3f}"
                f"     {part['evidence']:.3f}    {part['refused']:.3f}  {part['n']:>3}"
            )
    if compared := result.get("compared"):
        print(f"\ncompared with {', '.join(compared['changes'])} (paired, n {compared['n']})")
        for name in ("hit_at_1", "hit_at_3", "rr", "evidence"):
            part = compared[name]
            print(f"{name:<12} {part['before']:.3f} -> {part['after']:.3f}  p {part['p']:.3f}")
