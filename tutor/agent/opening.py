"""Opens the tutor: native code loads model and encoder, while ours reads what they answer from.

What native code needs is imported first, and the rest only while it is at work: of a start on two
cores, imports are the longest part.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tutor.engine.prepare import prepared_model
from tutor.home import Home
from tutor.settings import Settings

if TYPE_CHECKING:
    from index.encoder import Encoder
    from tutor.agent.tutor import Tutor
    from tutor.engine.engine import Engine

Progress = Callable[[str, float], None]


def open_tutor(home: Home, settings: Settings, progress: Progress | None = None) -> Tutor:
    """Prepares what is missing and loads everything; `progress` gets a stage and 0 to 1.

    Raises ModelFileError, EngineError, RetrievalError or AdapterError, and leaves nothing open.
    """
    report = progress or (lambda stage, done: None)

    def reading(done: float) -> None:
        report("reading the lessons", done)

    # One thread beside ours: a third would take the core of either, where there are two.
    with ThreadPoolExecutor(1) as native:
        from index.encoder import prepared_encoder
        from index.export import is_exported

        def prepared() -> Future[Encoder]:
            return native.submit(prepared_encoder, home.cache, lambda done: reading(done / 2))

        encoder = prepared() if is_exported(home.cache / "encoder") else None
        # Which file it is asks llama.cpp, whose import takes a while.
        path = model_path(home, settings, report)
        report("loading the model", 0.0)

        from tutor.engine.engine import Engine

        loading = native.submit(Engine, path, settings.n_ctx, settings.threads or None)
        try:
            if encoder is None:
                # What is wrong with the model is told before the encoder is made for a minute.
                loading.result()
                encoder = prepared()

            from corpus import load_lessons
            from corpus.intents import load_requests
            from index.course import load_course
            from index.retriever import Retriever
            from tutor.agent.itself import own_passages
            from tutor.agent.router import Router
            from tutor.agent.tutor import Tutor
            from tutor.engine.gguf import read_model_info

            speaking = native.submit(lambda: _speaking(loading.result(), home, settings))
            course = load_course(home.cache)
            own = own_passages(read_model_info(path))
            requests = load_requests("train")
            retriever = Retriever.open(
                home.cache, course, reading, own=own, encoder=encoder.result()
            )
            # Takes a minute when it is first done: it is fitted to phrases of requests.
            report("learning the requests", 0.0)
            router = Router(requests, course.unanswered, retriever, home.cache)
            tutor = Tutor(load_lessons(), retriever, router, speaking.result(), home)
        except BaseException:
            if not loading.exception():
                loading.result().close()
            raise
    report("ready", 1.0)
    return tutor


def model_path(home: Home, settings: Settings, report: Progress) -> Path:
    """The GGUF file to load: the user's, or the embedded model, prepared on first use."""
    if settings.model:
        return Path(settings.model).expanduser()
    return prepared_model(home.cache, lambda done: report("preparing the model", done))


def _speaking(engine: Engine, home: Home, settings: Settings) -> Engine:
    """The same engine with the adapter that shall act, and what every prompt begins with read ahead."""
    from tutor.agent.compose import stable_prefix
    from tutor.agent.variants import use_variant

    use_variant(engine, home, settings.adapter, settings.adapter_scale)
    engine.begin_with(stable_prefix(engine), home.cache / "prefixes")
    return engine
