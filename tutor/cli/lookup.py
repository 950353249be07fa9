"""`tutor search`, `tutor lessons`, `tutor tokens`: reading, without a conversation."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from corpus import Lesson, load_lessons
from tutor.cli.decoding import kept_settings
from tutor.cli.main import UseError
from tutor.cli.output import (
    batch_id,
    known_lesson,
    print_json,
    progress_bars,
    read_batch,
    read_text,
    say,
)
from tutor.home import Home
from tutor.text import plain

if TYPE_CHECKING:
    from index.retriever import Found, Hit


def run_search(arguments: argparse.Namespace) -> int:
    """The best passages for a query, or for each of a batch."""
    home = Home.locate().create()
    known_lesson(arguments.lesson)
    if arguments.batch:
        queries = list(_queries(arguments))
    else:
        queries = [({}, read_text(arguments.query, "a query"))]
        if not queries[0][1].strip():
            raise UseError("the query is empty: type a few words")

    from index.course import load_course
    from index.errors import RetrievalError
    from index.retriever import Retriever
    from index.settings import Retrieval

    with progress_bars() as report:
        retriever = Retriever.open(
            home.cache,
            load_course(home.cache),
            lambda done: report("reading the lessons", done),
            Retrieval(mode=arguments.mode),
        )
    failed = False
    for id, query in queries:
        try:
            found = retriever.search(query, arguments.k, lesson=arguments.lesson)
        except RetrievalError as error:
            if not arguments.batch:
                raise
            failed = True
            print_json(id | {"query": query, "error": str(error)})
            continue
        if arguments.json or arguments.batch:
            print_json(id | {"query": query} | _found_json(found, explain=arguments.explain))
        else:
            _print_found(found, explain=arguments.explain)
    return 1 if failed else 0


def _queries(arguments: argparse.Namespace) -> Iterator[tuple[dict[str, str | int], str]]:
    """The batch: what is given back with a query, and the query. Raises UseError by line."""
    for n, (where, value) in enumerate(read_batch(arguments.batch, arguments.query), start=1):
        query = value.get("query", value.get("question"))
        if not isinstance(query, str):
            raise UseError(f'{where}: give "query": TEXT or "question": TEXT')
        yield {"id": batch_id(where, value, n)}, query


def _found_json(found: Found, *, explain: bool) -> dict[str, object]:
    from index.scope import in_scope

    results = [
        {
            "rank": hit.rank,
            "lesson": hit.passage.lesson,
            "section": hit.passage.section,
            "passage_id": hit.passage.passage_id,
            "score": hit.score,
            "text": hit.passage.text,
        }
        | (_explanation(hit) if explain else {})
        for hit in found.hits
    ]
    return {"results": results} | ({"scope": asdict(in_scope(found))} if explain else {})


def _print_found(found: Found, *, explain: bool) -> None:
    from index.scope import in_scope

    for hit in found.hits:
        print(f"{hit.rank}. {hit.score:.2f}  lesson {hit.passage.lesson}: {hit.passage.section}")
        if explain:
            print(
                f"     meaning: rank {hit.dense_rank}, {hit.dense:.3f}, closest (cosine "
                f"{hit.cosine:.3f}): {plain(hit.closest)}\n"
                f"     words:   rank {hit.bm25_rank}, BM25 {hit.bm25:.2f}, matched: "
                f"{', '.join(hit.matched) or 'none'}"
            )
    if explain:
        decision = in_scope(found)
        verdict = "answered" if decision.answerable else "refused"
        say(f"would be {verdict}: {decision.reason}")


def _explanation(hit: Hit) -> dict[str, object]:
    return {
        "dense_rank": hit.dense_rank,
        "dense": hit.dense,
        "bm25_rank": hit.bm25_rank,
        "bm25": hit.bm25,
        "fused": hit.score,
        "closest": hit.closest,
        "cosine": hit.cosine,
        "matched": list(hit.matched),
    }


def run_lessons(arguments: argparse.Namespace) -> int:
    """The list of lessons, or the whole text of one."""
    one = known_lesson(arguments.number)
    if one is None:
        lessons = load_lessons()
        if arguments.json:
            print_json([_lesson_json(lesson, text=False) for lesson in lessons])
        else:
            for lesson in lessons:
                say(f"{lesson.number:>2}  {lesson.title}\n    {lesson.summary}")
    elif arguments.json:
        print_json(_lesson_json(one, text=True))
    else:
        say(f"# {one.number}. {one.title}\n\n{one.summary}")
        for section in one.sections:
            say(f"\n## {section.heading}\n\n{section.text}")
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
    settings = kept_settings(home)

    from tutor.agent.opening import model_path
    from tutor.engine.engine import Engine

    with progress_bars() as report:
        path = model_path(home, settings, report)
    with Engine(path, n_ctx=512, n_threads=settings.threads or None) as engine:
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
