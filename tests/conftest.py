"""The real parts, loaded once a session. `TUTOR_TEST_CACHE` keeps the prepared files between runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus import load_lessons
from corpus.intents import load_requests
from index.course import load_course
from index.encoder import Encoder
from index.retriever import Retriever
from tutor.agent.itself import own_passages
from tutor.agent.router import Router
from tutor.agent.tutor import Tutor
from tutor.engine.engine import Engine
from tutor.engine.gguf import read_model_info
from tutor.engine.prepare import prepared_model
from tutor.home import Home
from tutor.sessions.store import Store


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the prepared model, encoder and index are."""
    kept = os.environ.get("TUTOR_TEST_CACHE")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("home") / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def model_path(cache: Path) -> Path:
    return prepared_model(cache)


@pytest.fixture(scope="session")
def engine(model_path: Path) -> Iterator[Engine]:
    with Engine(model_path, n_ctx=2048) as engine:
        yield engine


@pytest.fixture(scope="session")
def retriever(cache: Path, model_path: Path) -> Retriever:
    own = own_passages(read_model_info(model_path))
    return Retriever.open(cache, load_course(cache), own=own)


@pytest.fixture(scope="session")
def encoder(retriever: Retriever) -> Encoder:
    return retriever.encoder


@pytest.fixture(scope="session")
def tutor(
    engine: Engine, retriever: Retriever, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Tutor:
    home = tmp_path_factory.mktemp("tutor")
    router = Router(load_requests("train"), load_course().unanswered, retriever, cache)
    return Tutor(
        load_lessons(), retriever, router, engine, Home(cache, home / "data", home / "config")
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "conversations.sqlite3")
    yield store
    store.close()
