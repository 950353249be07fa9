"""The program ended by SIGKILL at random moments: what was kept is whole, and it starts again.

TUTOR_KILLS says how often in all: 5 by default, so that CI stays short; by hand it is run with 100.
"""

from __future__ import annotations

import filecmp
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from index.course import load_course
from index.encoder import Encoder, prepared_encoder
from index.retriever import Retriever
from tests.pseudo_terminal import App, environ, wait_until
from tutor.home import Home
from tutor.lora.dataset import Encoded
from tutor.lora.train import Recipe, train
from tutor.sessions.store import Store, StoredMessage
from tutor.settings import Settings, load, save, set_value

KILLS = int(os.environ.get("TUTOR_KILLS", "5"))
QUESTION = "Why does a high temperature make answers stranger?"
# An answer that does not end by itself, so that there is something to interrupt.
RAMBLING = {
    "TUTOR_ADAPTER": "none",
    "TUTOR_TEMPERATURE": "5",
    "TUTOR_TOP_K": "0",
    "TUTOR_TOP_P": "1",
    "TUTOR_MIN_P": "0",
    "TUTOR_MAX_TOKENS": "1500",
}


def seeds(case: int) -> list[int]:
    """This case's share of the kills."""
    return list(range(case, KILLS, 5))


def tutor(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tutor", *arguments],
        env=environ(home),
        capture_output=True,
        text=True,
        check=False,
    )


def running(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The program at work, whose words nobody reads."""
    return subprocess.Popen(
        [sys.executable, "-m", "tutor", *arguments],
        env=environ(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill_within(seconds: float, process: subprocess.Popen[bytes], draw: random.Random) -> None:
    """Kills it after a random time, if it is not done before."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(draw.uniform(0, seconds))
    process.kill()
    process.wait()


@pytest.fixture
def home(tmp_path: Path, cache: Path, retriever: Retriever) -> Path:
    """A home of its own with the session's prepared cache."""
    (tmp_path / "cache").symlink_to(cache, target_is_directory=True)
    return tmp_path


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., App]]:
    """Starts the app in `home`; what still runs at the end is killed."""
    started: list[App] = []

    def begin(**environment: str) -> App:
        started.append(App(home, environment))
        return started[-1]

    yield begin
    for app in started:
        app.close()


def ends_well(app: App) -> None:
    """The app loads its model and leaves when it is told to."""
    app.wait_for("tok/s")
    app.type("\x11")
    wait_until(lambda: app.process.poll() is not None, "the app's end")
    assert app.process.returncode == 0


def messages(home: Path) -> list[StoredMessage]:
    """All messages of the first conversation, from a store that must be whole."""
    with closing(Store(Home(home, home / "data", home).database)) as store:
        assert store.notice == ""
        return store.messages(1) if store.conversations() else []


def database(home: Path) -> Path:
    return home / "data" / "conversations.sqlite3"


@pytest.mark.parametrize("seed", seeds(0))
def test_killed_while_answering_only_the_newest_words_are_lost(
    home: Path, start: Callable[..., App], seed: int
) -> None:
    draw = random.Random(seed)
    app = start(**RAMBLING, TUTOR_SEED=str(seed))
    app.wait_for("tok/s")
    app.type(QUESTION + "\r")
    wait_until(database(home).exists, "a store")
    with closing(Store(database(home))) as store:

        def kept() -> str:
            return "".join(m.text for m in store.messages(1) if m.role == "assistant")

        wait_until(lambda: len(store.messages(1)) == 2, "an answer that streams")
        # The evidence is kept at once, the words each second: some kills come before either.
        for _ in range(draw.randrange(3)):
            before = kept()
            wait_until(lambda before=before: kept() != before, "more of the answer in the store")
        end = time.monotonic() + draw.uniform(0, 1.5)
        while time.monotonic() < end:
            seen = kept()
        seen = kept()
    app.kill()

    question, answer = messages(home)
    assert (question.text, question.state) == (QUESTION, "done")
    assert answer.state in ("streaming", "done")
    assert answer.text.startswith(seen) or answer.answer
    ends_well(start())
    assert messages(home) == [question, answer]


@pytest.mark.parametrize("seed", seeds(1))
def test_killed_while_saving_each_file_is_the_old_or_the_new_one(
    home: Path, start: Callable[..., App], seed: int
) -> None:
    draw = random.Random(seed)
    saved = 1000
    settings = home / "config" / "settings.json"
    save(set_value(Settings(), "max_tokens", saved), settings)
    with closing(Store(database(home))) as store:
        conversation = store.begin(f"title {saved}")
        for n in range(20):
            store.add(conversation, "user", f"question {n} " + "x" * 200)
        before = store.messages(conversation)
        app = start()
        app.wait_for("question 19")
        killer = threading.Timer(draw.uniform(0, 3), app.process.kill)
        killer.start()

        def acknowledged(condition: Callable[[], bool]) -> bool:
            wait_until(lambda: condition() or app.process.poll() is not None, "a saved value")
            return condition()

        for n in itertools.count(saved + 1):
            app.type(f"/rename title {n}\r")
            renamed = acknowledged(
                lambda n=n: store.conversation(conversation).title.endswith(f"{n}")
            )
            app.type(f"/set max_tokens {n}\r")
            if not acknowledged(lambda n=n: load(settings).sampling.max_tokens == n) or not renamed:
                break
            saved = n
        killer.join()

    assert load(settings).sampling.max_tokens in (saved, saved + 1)
    with closing(Store(database(home))) as store:
        assert store.notice == ""
        assert store.messages(conversation) == before
        title = store.conversation(conversation).title
        assert title in (f"title {saved}", f"title {saved + 1}")
    ends_well(start())


@pytest.mark.parametrize("seed", seeds(2))
def test_killed_while_indexing_the_next_build_makes_it_whole(
    tmp_path: Path, cache: Path, retriever: Retriever, seed: int
) -> None:
    draw = random.Random(seed)
    own = tmp_path / "cache"
    own.mkdir()
    (own / "encoder").symlink_to(cache / "encoder", target_is_directory=True)
    shutil.copytree(cache / "index", own / "index")
    forget = (
        "import sys; from pathlib import Path; from index.store import VectorStore;"
        "from index.export import encoder_name;"
        "store = VectorStore(Path(sys.argv[1]), encoder_name());"
        "store.remove(sorted(store.digests())[::12]);"
        "store.close()"
    )
    # Chroma keeps what it opened for as long as the process lives: this one is not to open it.
    subprocess.run([sys.executable, "-c", forget, str(own / "index" / "chroma")], check=True)
    assert tutor(tmp_path, "index", "status").returncode == 1
    lock = own / "index.lock"
    lock.unlink(missing_ok=True)
    builder = running(tmp_path, "index", "build")
    wait_until(lambda: lock.exists() or builder.poll() is not None, "the index's lock")
    kill_within(5, builder, draw)

    done = tutor(tmp_path, "index", "build")
    assert done.returncode == 0, done.stderr
    status = json.loads(tutor(tmp_path, "index", "status", "--json").stdout)
    assert status["state"] == "ready"
    assert status["vectors"] == sum(
        2 + len(p.sentences) + len(p.questions) for p in load_course().passages
    )


@pytest.mark.parametrize("seed", seeds(3))
def test_killed_while_preparing_the_model_the_next_start_makes_the_same_file(
    tmp_path: Path, model_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    models = tmp_path / "cache" / "models"
    preparing = running(tmp_path, "models", "prepare")
    wait_until(lambda: any(models.glob("*.part")), "a draft of the model")
    kill_within(4, preparing, draw)

    done = tutor(tmp_path, "models", "prepare", "--json")
    assert done.returncode == 0, done.stderr
    made = Path(json.loads(done.stdout)["path"])
    assert filecmp.cmp(made, model_path, shallow=False)
    assert not list(models.glob("*.part"))


@pytest.mark.parametrize("seed", seeds(3)[:1])
def test_killed_while_making_the_encoder_the_next_build_makes_it_whole(
    tmp_path: Path, encoder: Encoder, seed: int
) -> None:
    draw = random.Random(seed)
    folder = tmp_path / "cache" / "encoder"
    building = running(tmp_path, "index", "build")
    wait_until(lambda: any(folder.glob("*.part")), "a draft of the encoder")
    kill_within(2, building, draw)

    made = prepared_encoder(tmp_path / "cache")
    assert made.name == encoder.name and not list(folder.glob("*.part"))
    texts = ["What is a token?", "attention"]
    np.testing.assert_allclose(made.encode(texts), encoder.encode(texts), atol=1e-6)


STEPS = Recipe(rank=4, epochs=30, batch=2, learning_rate=3e-3)
EXAMPLES = [Encoded(tuple(range(100, 120)), (n, n + 1, 2)) for n in (200, 300)]
TRAINING = """
import sys
from pathlib import Path
import tutor.lora.train
from tests.test_kill import EXAMPLES, STEPS
tutor.lora.train._CHECKPOINT_EVERY = 1
model, cache, to = map(Path, sys.argv[1:])
tutor.lora.train.train(model, cache, EXAMPLES, to, STEPS)
"""


@pytest.mark.parametrize("seed", seeds(4))
def test_killed_while_training_it_goes_on_to_the_same_losses(
    tmp_path: Path, cache: Path, model_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    to, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-c", TRAINING, str(model_path), str(cache), str(to)]
    unharmed = [step.loss for step in train(model_path, cache, EXAMPLES, whole, STEPS)]
    training = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = to / "checkpoint.pt"
    wait_until(lambda: state.exists() or training.poll() is not None, "a checkpoint")
    kill_within(4, training, draw)

    if not (to / "losses.json").exists():
        assert state.exists()
        subprocess.run(command, check=True, capture_output=True)
    steps = json.loads((to / "losses.json").read_text())
    assert [step["step"] for step in steps] == list(range(1, 31))
    assert [step["loss"] for step in steps] == pytest.approx(unharmed, abs=0.01)
    assert (to / "adapter_model.safetensors").exists() and not state.exists()
