from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpus import load_lessons
from index.build import build, cached_vectors, indexed_vectors, status
from index.course import Course
from index.encoder import prepared_encoder
from index.passages import Passage, passage_from, passages_of
from index.retriever import Retriever
from index.store import VectorStore


@pytest.fixture
def home(tmp_path: Path, cache: Path, retriever: Retriever) -> Path:
    """A cache of its own in which only the encoder is there already."""
    (tmp_path / "encoder").symlink_to(cache / "encoder")
    return tmp_path


@pytest.fixture
def passages() -> list[Passage]:
    return passages_of(load_lessons()[:2])


def edited() -> list[Passage]:
    lessons = load_lessons()[:2]
    first, *rest = lessons[0].sections
    changed = replace(lessons[0], sections=(replace(first, text="A model is a function."), *rest))
    return passages_of([changed, lessons[1]])


def test_a_second_build_does_nothing(home: Path, passages: list[Passage]) -> None:
    assert build(passages, home).added == len(passages)
    report = build(passages, home)
    assert (report.added, report.unchanged) == (0, len(passages))


def test_an_edited_section_is_indexed_alone(home: Path, passages: list[Passage]) -> None:
    build(passages, home)
    assert status(home, edited()).state == "stale"
    report = build(edited(), home)
    assert (report.added, report.removed, report.unchanged) == (1, 1, len(passages) - 1)
    assert status(home, edited()).state == "ready"


def test_where_most_sections_changed_the_index_is_made_anew(
    home: Path, passages: list[Passage]
) -> None:
    build(passages, home)
    before = {path.name for path in (home / "index" / "chroma").iterdir() if path.is_dir()}
    changed = [replace(p, text=f"{p.text} More.") for p in passages]
    assert build(changed, home).added == len(passages)
    after = {path.name for path in (home / "index" / "chroma").iterdir() if path.is_dir()}
    assert not before & after
    found = status(home, changed)
    assert (found.state, found.passages) == ("ready", len(passages))
    assert found.vectors == sum(len(p.texts) for p in changed)


def test_a_removed_section_leaves_no_vector_behind(home: Path, passages: list[Passage]) -> None:
    build(passages, home)
    build(passages[1:], home)
    found = status(home, passages[1:])
    assert (found.state, found.passages) == ("ready", len(passages) - 1)
    assert found.vectors == sum(len(p.texts) for p in passages[1:])


def test_an_edited_lesson_is_searched_with_its_new_text(
    home: Path, passages: list[Passage]
) -> None:
    Retriever.open(home, Course(tuple(passages)))
    hits = (
        Retriever.open(home, Course(tuple(edited())))
        .search("What is a model, in one sentence?", 1)
        .hits
    )
    assert hits[0].passage.text == "A model is a function."


def test_a_damaged_index_is_told_and_rebuilt(home: Path, passages: list[Passage]) -> None:
    build(passages, home)
    script = (
        "import sys; from pathlib import Path; from index.build import build, status;"
        "from corpus import load_lessons; from index.passages import passages_of;"
        "L = passages_of(load_lessons()[:2]); H = Path(sys.argv[1]);"
        "print(status(H, L).state); build(L, H); print(status(H, L).state)"
    )
    (home / "index" / "chroma" / "chroma.sqlite3").write_bytes(b"garbage" * 1000)
    # A process of its own: Chroma keeps an open handle on the whole file in this one.
    done = subprocess.run(
        [sys.executable, "-c", script, str(home)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["damaged", "ready"]


def test_two_processes_may_build_at_once(home: Path, passages: list[Passage]) -> None:
    script = (
        "import sys; from pathlib import Path; from index.build import build;"
        "from corpus import load_lessons; from index.passages import passages_of;"
        "build(passages_of(load_lessons()[:2]), Path(sys.argv[1]))"
    )
    both = [subprocess.Popen([sys.executable, "-c", script, str(home)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert status(home, passages).state == "ready"


def test_passages_made_at_run_time_leave_the_index_as_it_is(
    home: Path, passages: list[Passage]
) -> None:
    build(passages, home)
    own = passage_from(0, "Itself", "How many layers do you have?", "I have 30 layers.")
    retriever = Retriever.open(home, Course(tuple(passages)), own=[own])
    assert retriever.search("how many layers do you have", 1).hits[0].passage == own
    assert status(home, passages).state == "ready"


def test_a_missing_index_is_said_to_be_missing(home: Path, passages: list[Passage]) -> None:
    assert status(home, passages).state == "missing"


def test_an_index_of_another_encoder_is_told_to_be_stale_and_made_again(
    home: Path, passages: list[Passage]
) -> None:
    (home / "index").mkdir()
    VectorStore(home / "index" / "chroma", "another encoder").close()
    assert status(home, passages).state == "stale"
    assert build(passages, home).added == len(passages)
    assert status(home, passages).state == "ready"


def test_vectors_are_kept_and_not_asked_for_again(
    home: Path, passages: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = prepared_encoder(home)
    first = indexed_vectors(passages, home, encoder), cached_vectors(["x"], "any", home, encoder)
    monkeypatch.setattr("index.build._update", None)
    monkeypatch.setattr("index.build.ShippedEncoder", None)
    again = indexed_vectors(passages, home, encoder), cached_vectors(["x"], "any", home, encoder)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_kept_vectors_that_are_cut_off_are_made_again(home: Path, passages: list[Passage]) -> None:
    encoder = prepared_encoder(home)
    first = indexed_vectors(passages, home, encoder).copy()
    (file,) = (home / "index").glob("vectors-*.npy")
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[: size // 2])
    np.testing.assert_array_equal(indexed_vectors(passages, home, encoder), first)
    assert file.stat().st_size == size
