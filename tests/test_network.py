"""No socket leaves the process: the real command line and the real app, watched as they run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from index.retriever import Retriever
from index.store import VectorStore

QUESTION = "Why does a high temperature make answers stranger?"

# Python imports `sitecustomize` before anything else, in every process that a process starts too.
_WATCH = """
import os, sys

def watch(event, arguments):
    if event not in {
        "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
        "socket.gethostbyname", "socket.gethostbyaddr", "socket.bind",
    }:
        return
    family = getattr(arguments[0], "family", None)
    if getattr(family, "name", "") != "AF_UNIX":
        os.write(told, f"{event} {arguments!r}\\n".encode())

told = os.open(os.environ["TOLD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
sys.addaudithook(watch)
os.write(told, b"watching\\n")
"""

_APP = """
import asyncio
from tests.tui.driver import QUESTION, ask
from tutor.cli.main import main
from tutor.home import Home
from tutor.sessions.store import Store
from tutor.settings import Settings, set_value

async def use():
    from tutor.agent.opening import open_tutor
    from tutor.tui.app import TutorApp

    home = Home.locate().create()
    settings = set_value(Settings(), "max_tokens", 4)
    app = TutorApp(Store(home.database), lambda s, report: open_tutor(home, s, report), settings)
    async with app.run_test(size=(120, 40)) as pilot:
        turn = await ask(pilot, QUESTION)
        print(turn.evidence)

# As the command line does, which opens the app only in a terminal.
assert main(["sessions", "list"]) == 0
asyncio.run(use())
"""


@pytest.fixture
def environment(tmp_path: Path, cache: Path, retriever: Retriever) -> dict[str, str]:
    """A fresh home, a watch on sockets, and nothing set that would keep a library quiet."""
    (tmp_path / "cache").symlink_to(cache, target_is_directory=True)
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(_WATCH)
    loud = ("HF_", "ANONYMIZED_", "DO_NOT_TRACK", "DISABLE_", "TRANSFORMERS_", "ORT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(loud)}
    return kept | {
        "TUTOR_HOME": str(tmp_path),
        "TOLD": str(tmp_path / "told"),
        "PYTHONPATH": f"{tmp_path / 'watch'}{os.pathsep}{Path(__file__).parents[1]}",
    }


def watched(environment: dict[str, str], *arguments: str) -> tuple[str, list[str]]:
    """What a Python process printed, and the network events of it and of its children."""
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = Path(environment["TOLD"]).read_text().splitlines()
    assert "watching" in told
    return done.stdout, [event for event in told if event != "watching"]


def test_the_watch_sees_a_connection_and_a_name_that_is_looked_up(
    environment: dict[str, str],
) -> None:
    code = (
        "import socket, subprocess, sys\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))\n"
        "subprocess.run([sys.executable, '-c', 'import socket; socket.getaddrinfo(None, 9)'])"
    )
    seen = watched(environment, "-c", code)[1]
    assert [event.split()[0] for event in seen] == ["socket.connect", "socket.getaddrinfo"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask", QUESTION, "--max-tokens", "4", "--json"],
        ["search", "kv cache", "--json"],
        ["tokens", "kv cache", "--json"],
        # Chroma itself is opened here; an answer is searched in a snapshot of its vectors.
        ["index", "build", "--json"],
        # The demonstration that imports torch and transformers.
        ["demo", "attention", "--json"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_opens_no_connection(environment: dict[str, str], arguments: list[str]) -> None:
    out, seen = watched(environment, "-m", "tutor", *arguments)
    assert json.loads(out)
    assert seen == []


def test_the_app_opens_no_connection_while_it_answers(environment: dict[str, str]) -> None:
    out, seen = watched(environment, "-c", _APP)
    assert "flattens the distribution" in out
    assert seen == []


@pytest.mark.parametrize("theirs", [{}, {"ORT_DISABLE_TELEMETRY": "0"}], ids=["unset", "on"])
def test_nothing_is_left_in_the_users_home_for_anybody_to_send(
    environment: dict[str, str], tmp_path: Path, theirs: dict[str, str]
) -> None:
    # Native code's sockets are not seen by the watch: onnxruntime keeps what it reports in a file first.
    user = tmp_path / "user"
    user.mkdir()
    own = {"HOME": str(user), "XDG_CACHE_HOME": str(user / "cache")}
    watched(environment | theirs | own, "-m", "tutor", "ask", QUESTION, "--max-tokens", "4")
    assert list(user.rglob("*")) == []


@pytest.mark.skipif(not shutil.which("strace"), reason="strace sees what native code connects to")
def test_native_code_opens_no_connection(environment: dict[str, str], tmp_path: Path) -> None:
    def called(*arguments: str) -> str:
        calls = tmp_path / "calls"
        strace = ["strace", "-f", "-e", "trace=connect,sendto,sendmsg", "-o", str(calls)]
        command = [*strace, sys.executable, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return calls.read_text()

    connects = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    assert "AF_INET" in called("-c", connects)
    assert "AF_INET" not in called("-m", "tutor", "ask", QUESTION, "--max-tokens", "4")


def _answer(arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    ask = [sys.executable, "-m", "tutor", "ask", QUESTION, "--json", "--greedy", "--max-tokens"]
    done = subprocess.run([*arguments, *ask, "8"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _without_network() -> list[str]:
    """The command that runs another one in a network of its own; empty where none can."""
    command = ["unshare", "--net", "--map-root-user"]
    able = (
        shutil.which("unshare")
        and not subprocess.run([*command, "true"], capture_output=True).returncode
    )
    return command if able else []


def test_an_answer_is_the_same_where_there_is_no_network(environment: dict[str, str]) -> None:
    if not (apart := _without_network()):
        pytest.skip("this system lets no process into a network of its own")
    here, there = _answer([], environment), _answer(apart, environment)
    assert there["sources"][0]["lesson"] == 6
    for field in ("answer", "model_text", "sources", "intent"):
        assert here[field] == there[field], field


def test_chromas_telemetry_is_off_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANONYMIZED_TELEMETRY", "True")
    store = VectorStore(tmp_path, "any")
    assert store._client.get_settings().anonymized_telemetry is False
    store.close()


# What a user may have set for other programs.
_ONLINE = {
    "HF_HUB_OFFLINE": "0",
    "TRANSFORMERS_OFFLINE": "0",
    "HF_HUB_DISABLE_TELEMETRY": "0",
    "ANONYMIZED_TELEMETRY": "True",
}


@pytest.mark.parametrize("theirs", [{}, _ONLINE], ids=["nothing set", "set to be online"])
def test_hugging_faces_libraries_know_that_they_are_offline(
    environment: dict[str, str], theirs: dict[str, str]
) -> None:
    code = (
        "from tutor.cli.main import main; main(['sessions', 'list', '--json'])\n"
        "from huggingface_hub import constants\n"
        "print(constants.HF_HUB_DISABLE_TELEMETRY, constants.HF_HUB_OFFLINE)"
    )
    out, seen = watched(environment | theirs, "-c", code)
    assert out.splitlines()[-1] == "True True" and seen == []


def test_a_command_opens_no_connection_where_the_user_lets_others_be_online(
    environment: dict[str, str],
) -> None:
    # The demonstration that imports torch and transformers.
    out, seen = watched(environment | _ONLINE, "-m", "tutor", "demo", "attention", "--json")
    assert json.loads(out)
    assert seen == []
