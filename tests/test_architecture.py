"""Promises about the whole: who imports whom, what stays out of the start, no network."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Each layer and the layers it may import, besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "corpus": set(),
    "prompts": set(),
    "index": {"corpus"},
    "tutor.engine": set(),
    "tutor.home": set(),
    "tutor.text": set(),
    "tutor.settings": {"tutor.engine"},
    "tutor.sessions": {"tutor.text"},
    "tutor.demos": {"tutor.engine", "tutor.text", "index", "prompts", "corpus"},
    "tutor.drawing": {"tutor.demos"},
    "tutor.agent": {
        "tutor.demos",
        "tutor.engine",
        "tutor.home",
        "tutor.settings",
        "tutor.text",
        "index",
        "prompts",
        "corpus",
    },
    "tutor.lora": {"tutor.agent", "tutor.engine", "tutor.settings", "index", "corpus"},
    "tutor.tui": {
        "tutor.demos",
        "tutor.drawing",
        "tutor.text",
        "tutor.agent",
        "tutor.engine",
        "tutor.sessions",
        "tutor.settings",
        "corpus",
    },
    "tutor.cli": {
        "tutor.bench",
        "tutor.lora",
        "tutor.demos",
        "tutor.drawing",
        "tutor.tui",
        "tutor.agent",
        "tutor.engine",
        "tutor.sessions",
        "tutor.settings",
        "tutor.home",
        "tutor.text",
        "index",
        "corpus",
    },
    "tutor.bench": {
        "tutor.agent",
        "tutor.engine",
        "tutor.sessions",
        "tutor.settings",
        "tutor.home",
        "prompts",
        "corpus",
    },
    "tutor.__main__": {"tutor.cli"},
}


def layer(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] == "tutor":
        return ".".join(parts[:2]) if len(parts) > 1 else None
    return parts[0] if parts[0] in MAY_IMPORT else None


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def sources() -> list[Path]:
    folders = ("corpus", "prompts", "index", "tutor")
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downward_only(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    own = layer(module)
    if own is None:
        return
    for imported in imports_of(path):
        other = layer(imported)
        assert other is None or other == own or other in MAY_IMPORT[own], f"imports {imported}"


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys, json; print('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_help_imports_nothing_heavy() -> None:
    loaded = loaded_by("from tutor.cli import main; main(['--help'])")
    assert not loaded & {"torch", "transformers", "chromadb", "llama_cpp", "textual", "numpy"}


def test_the_app_imports_neither_torch_nor_transformers() -> None:
    loaded = loaded_by("import tutor.tui.app, tutor.agent.tutor")
    assert not loaded & {"torch", "transformers", "sentence_transformers"}


def test_the_first_frame_waits_for_no_model_and_no_index() -> None:
    loaded = loaded_by("import tutor.tui.app")
    assert not loaded & {
        "pygments",
        "numpy",
        "llama_cpp",
        "bm25s",
        "scipy",
        "rapidfuzz",
        "chromadb",
        "onnxruntime",
    }


def test_a_question_opens_no_network_connection(cache: Path, model_path: Path) -> None:
    """Runs a whole turn in a process in which every non-local socket call raises."""
    code = f"""
import sys
def guard(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        sys.stderr.write(f"network: {{event}} {{args[1:]}}\\n"); raise SystemExit(9)
sys.addaudithook(guard)
from pathlib import Path
from tutor.cli.main import main
import os
from tutor.home import Home
from tutor.settings import Settings
from tutor.agent.opening import open_tutor
tutor = open_tutor(Home(Path({str(cache)!r}), Path({str(cache)!r}), Path({str(cache)!r})), Settings())
events = list(tutor.ask("What is a token?"))
tutor.close()
assert events
print("answered")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip().endswith("answered"), done.stderr
