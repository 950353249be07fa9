"""`tutor search`, `tutor lessons`, `tutor tokens`: reading, without a conversation."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from corpus import Lesson, load_lessons
from tutor.cli.main import UseError
from tutor.cli.output import print_json, progress_bars, read_batch, read_text
from tutor.home import Home
from tutor.text import plain

if TYPE_CHECKING:
    from index.retriever import Hit


def run_search(arguments: argparse.Namespace) -> int:
    """The best passages for a query, or for each of a batch."""
    if arguments.k < 1:
        raise UseError("--k is 1 or more")
    home = Home.locate().create()
    if arguments.batch:
        queries = [str(v.get("query", v.get("question", ""))) for v in read_batch(arguments.batch)]
    else:
        queries = [read_text(arguments.query, "a query")]
    lessons = load_lessons()
    _known_lesson(lessons, arguments.lesson)

    from index.passages import course_passages
    from index.retriever import Retriever
    from index.scope import in_scope
    from index.settings import Retrieval

    with progress_bars() as report:
        retriever = Retriever.open(
            home.cache,
            course_passages(),
            lambda done: report("reading the lessons", done),
            Retrieval(mode=arguments.mode),
        )
    for query in queries:
        found = retriever.search(query, arguments.k, lesson=arguments.lesson)
        if arguments.json or arguments.batch:
            results = [
                {
                    "rank": hit.rank,
                    "lesson": hit.passage.lesson,
                    "section": hit.passage.section,
                    "passage_id": hit.passage.passage_id,
                    "score": hit.score,
                    "text": hit.passage.text,
                }
                | (_explanation(hit) if arguments.explain else {})
                for hit in found.hits
            ]
            scope = {"scope": asdict(in_scope(found))} if arguments.explain else {}
            print_json({"query": query, "results": results} | scope)
        else:
            for hit in found.hits:
                place = f"lesson {hit.passage.lesson}: {hit.passage.section}"
                print(f"{hit.rank}. {hit.score:.2f}  {place}")
                if arguments.explain:
                    print(
                        f"     meaning: rank {hit.dense_rank}, cosine {hit.dense:.3f}, closest: "
                        f"{plain(hit.closest)}\n"
                        f"     words:   rank {hit.bm25_rank}, BM25 {hit.bm25:.2f}, matched: "
                        f"{', '.join(hit.matched) or 'none'}"
                    )
            if arguments.explain:
                decision = in_scope(found)
                verdict = "answered" if decision.answerable else "refused"
                print(f"would be {verdict}: {decision.reason}")
    return 0


def _explanation(hit: Hit) -> dict[str, object]:
    return {
        "dense_rank": hit.dense_rank,
        "dense": hit.dense,
        "bm25_rank": hit.bm25_rank,
        "bm25": hit.bm25,
        "fused": hit.score,
        "closest": hit.closest,
        "matched": list(hit.matched),
    }


def _known_lesson(lessons: list[Lesson], number: int | None) -> Lesson | None:
    found = next((lesson for lesson in lessons if lesson.number == number), None)
    if number is not None and found is None:
        raise UseError(f"there is no lesson {number}: choose 1 to {len(lessons)}")
    return found


def run_lessons(arguments: argparse.Namespace) -> int:
    """The list of lessons, or the whole text of one."""
    lessons = load_lessons()
    one = _known_lesson(lessons, arguments.number)
    if one is None:
        if arguments.json:
            print_json([_lesson_json(lesson, text=False) for lesson in lessons])
        else:
            for lesson in lessons:
                print(f"{lesson.number:>2}  {lesson.title}\n    {lesson.summary}")
    elif arguments.json:
        print_json(_lesson_json(one, text=True))
    else:
        print(f"# {one.number}. {one.title}\n\n{one.summary}")
        for section in one.sections:
            print(f"\n## {section.heading}\n\n{section.text}")
    return 0


def _lesson_json(lesson: Lesson, *, text: bool) -> dict[str, object]:
    sections: list[object] = [
        {"section": s.heading, "passage_id": s.passage_id, "text": s.text} if text else s.heading
        for s in lesson.sections
    ]
    return {
        "number": lesson.number,
        "title": lesson.title,
        "summary": lesson.summary,
        "sections": sections,
    }


def run_tokens(arguments: argparse.Namespace) -> int:
    """A text as the model's own tokens; special tokens typed in it are plain text."""
    text = read_text(arguments.text, "a text")
    if not text:
        raise UseError("the text is empty: give at least one character")
    home = Home.locate().create()

    from tutor.agent.tutor import model_path
    from tutor.engine.engine import Engine
    from tutor.settings import from_environment, load

    with progress_bars() as report:
        path = model_path(home, from_environment(load(home.settings_file)), report)
    with Engine(path, n_ctx=512) as engine:
        tokens = engine.tokens(text)
    if arguments.json:
        listed = [
            {"id": t.id, "text": t.text, "bytes": list(t.bytes), "special": t.special}
            for t in tokens
        ]
        print_json({"tokens": listed, "count": len(listed)})
    else:
        for token in tokens:
            shown = token.text if token.text.strip() else repr(token.text)[1:-1]
            print(f"{token.id:>6}  {plain(shown).replace(' ', '·')}")
        print(f"{len(tokens)} tokens")
    return 0
