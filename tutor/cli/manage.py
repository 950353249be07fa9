"""`tutor sessions`, `index`, `models`, `config`: looking after what the tutor keeps."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tutor.cli.decoding import chat_model
from tutor.cli.main import UseError
from tutor.cli.output import print_json, progress_bars, say
from tutor.home import Home
from tutor.sessions.export import conversation_json, conversation_markdown
from tutor.sessions.store import Store
from tutor.settings import from_environment, load, save, set_value
from tutor.text import plain


def _store() -> closing[Store]:
    return closing(Store(Home.locate().create().database))


def list_sessions(arguments: argparse.Namespace) -> None:
    """Conversations, newest first."""
    with _store() as store:
        found = store.conversations(arguments.search)
    if arguments.json:
        print_json({"sessions": [asdict(conversation) for conversation in found]})
        return
    for conversation in found:
        print(
            f"{conversation.id:>4}  {conversation.messages:>3} messages  {plain(conversation.title)}"
        )
    if not found:
        print("no conversation yet" if not arguments.search else "none contains that")


def export_session(arguments: argparse.Namespace) -> None:
    """A conversation as Markdown, or as JSON with `--json`."""
    with _store() as store:
        _require(store, arguments.id)
        if arguments.json:
            print_json(conversation_json(store, arguments.id))
        else:
            print(plain(conversation_markdown(store, arguments.id)), end="")


def delete_session(arguments: argparse.Namespace) -> None:
    """Deletes a conversation for good."""
    with _store() as store:
        _require(store, arguments.id)
        store.delete(arguments.id)
    if arguments.json:
        print_json({"deleted": arguments.id})
    else:
        print(f"conversation {arguments.id} deleted")


def _require(store: Store, id: int) -> None:
    if all(conversation.id != id for conversation in store.conversations()):
        raise UseError(f"there is no conversation {id}: see `tutor sessions list`")


def build_index(arguments: argparse.Namespace) -> None:
    """Indexes lessons that are new or changed."""
    from index.build import build
    from index.course import load_course

    with progress_bars() as report:
        cache = Home.locate().create().cache
        made = build(load_course(cache).passages, cache, lambda done: report("indexing", done))
    if arguments.json:
        print_json(asdict(made))
    else:
        print(
            f"{made.added} passages indexed, {made.unchanged} unchanged, {made.removed} removed "
            f"in {made.seconds:.1f} s"
        )


def adapt_encoder(arguments: argparse.Namespace) -> None:
    """Trains the encoder's adapter on bank and requests; index/adapter holds the one in use."""
    from corpus.gold import load_gold
    from corpus.intents import QUESTION, load_requests
    from index.adapt import adapt
    from index.course import load_course

    requests = [r for r in load_requests("train") if r.intent != QUESTION]
    with progress_bars() as report:
        adapt(
            load_course().passages,
            load_gold("train"),
            requests,
            Path(arguments.folder),
            progress=report,
        )
    if arguments.json:
        print_json({"path": arguments.folder})
    else:
        print(arguments.folder)


def ship_vectors(arguments: argparse.Namespace) -> None:
    """Computes the vectors of the course's texts and leaves them where they are shipped from."""
    from index.encoder import prepared_encoder
    from index.shipped import FILE, course_texts, ship

    texts = course_texts()
    with progress_bars() as report:
        encoder = prepared_encoder(Home.locate().create().cache)
        ship(texts, encoder, lambda done: report("computing the vectors", done))
    if arguments.json:
        print_json({"path": str(FILE), "vectors": len(texts)})
    else:
        print(f"{len(texts)} vectors in {FILE}")


def index_status(arguments: argparse.Namespace) -> int:
    """Whether the index is ready; status 1 where it is not."""
    from index.build import status
    from index.course import load_course

    found = status(Home.locate().create().cache, load_course().passages)
    if arguments.json:
        print_json(asdict(found) | {"path": str(found.path)})
    else:
        print(f"{found.state}: {found.passages} passages, {found.vectors} vectors, {found.path}")
    return 0 if found.state == "ready" else 1


def list_models(arguments: argparse.Namespace) -> None:
    """The embedded model and the one in use."""
    from tutor.engine.prepare import embedded_model_path

    named = from_environment(load(Home.locate().settings_file)).model
    embedded = embedded_model_path()
    in_use = Path(named).expanduser() if named else embedded
    models = [
        _model(path) | {"in_use": path == in_use} for path in dict.fromkeys((embedded, in_use))
    ]
    if arguments.json:
        print_json({"models": models})
        return
    for model in models:
        mark = "*" if model["in_use"] else " "
        about = model.get("error") or f"{model['parameters']:,} parameters  {model['path']}"
        say(f"{mark} {model['name']}  {about}")


def _model(path: Path) -> dict[str, Any]:
    """What the list says of a model; of one that cannot be read, why."""
    from tutor.engine.errors import ModelFileError
    from tutor.engine.gguf import read_model_info

    try:
        info = read_model_info(path)
    except ModelFileError as error:
        return {"name": path.stem, "path": str(path), "error": str(error)}
    return {
        "name": info.name,
        "path": str(path),
        "parameters": info.parameters,
        "quantization": info.quantization,
        "license": info.license,
    }


def prepare_model(arguments: argparse.Namespace) -> None:
    """Prepares the embedded model, if that was not done yet."""
    from tutor.engine.prepare import prepared_model

    with progress_bars() as report:
        cache = Home.locate().create().cache
        path = prepared_model(cache, lambda done: report("preparing the model", done))
    if arguments.json:
        print_json({"path": str(path), "bytes": path.stat().st_size})
    else:
        print(f"ready: {path}")


def use_model(arguments: argparse.Namespace) -> None:
    """Makes a GGUF file the model from now on. Raises UseError for one that cannot be."""
    home = Home.locate().create()
    path = "" if arguments.path == "embedded" else str(chat_model(arguments.path))
    save(set_value(load(home.settings_file), "model", path), home.settings_file)
    if arguments.json:
        print_json({"model": path or "embedded"})
    else:
        say(f"the tutor now speaks with {path or 'the embedded model'}")


def show_config(arguments: argparse.Namespace) -> None:
    """Every setting as it counts now, and where files live."""
    home = Home.locate()
    settings = from_environment(load(home.settings_file))
    flat = settings.sampling.model_dump() | settings.model_dump(exclude={"sampling"})
    paths = {
        "settings": str(home.settings_file),
        "conversations": str(home.database),
        "cache": str(home.cache),
    }
    if arguments.json:
        print_json({"settings": flat, "paths": paths})
        return
    for name, value in (flat | paths).items():
        say(f"{name:<15} {value}")


def set_config(arguments: argparse.Namespace) -> None:
    """Changes one setting for good. Raises SettingsError and changes nothing otherwise."""
    home = Home.locate().create()
    settings = set_value(load(home.settings_file), arguments.name, arguments.value)
    save(settings, home.settings_file)
    if arguments.json:
        print_json({"name": arguments.name, "value": arguments.value})
    else:
        say(f"{arguments.name} = {arguments.value}")
