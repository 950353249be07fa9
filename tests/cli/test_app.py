from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.pseudo_terminal import App, wait_until
from tests.tui.driver import QUESTION
from tutor.cli.app import PATIENCE, keep_changes
from tutor.home import Home
from tutor.sessions.store import Store, StoredMessage
from tutor.settings import Settings, SettingsError, from_environment, load, save, set_value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


def test_a_variable_does_not_become_a_setting_of_the_file(file: Path) -> None:
    started = from_environment(load(file), {"TUTOR_MODEL": "/x.gguf", "TUTOR_TOP_K": "7"})
    keep_changes(file, started, set_value(started, "temperature", 1.2))
    assert load(file) == set_value(Settings(), "temperature", 1.2)


def test_what_was_written_meanwhile_stays(file: Path) -> None:
    started = load(file)
    save(set_value(Settings(), "seed", 7), file)
    keep_changes(file, started, set_value(started, "adapter", "none"))
    assert load(file) == set_value(set_value(Settings(), "seed", 7), "adapter", "none")


def test_a_knob_of_words_is_kept_as_others_are(file: Path) -> None:
    keep_changes(file, Settings(), set_value(Settings(), "banned", "token,model"))
    assert load(file).sampling.banned == ("token", "model")


def test_a_file_that_was_damaged_meanwhile_is_told_and_left_alone(file: Path) -> None:
    file.write_text("{")
    with pytest.raises(SettingsError, match=r"settings\.json"):
        keep_changes(file, Settings(), set_value(Settings(), "seed", 7))
    assert file.read_text() == "{"


def test_without_a_terminal_the_app_names_the_command_that_needs_none(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tutor"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    (told,) = done.stderr.splitlines()
    assert done.returncode == 2 and "tutor ask" in told and done.stdout == ""
    assert not Home.locate().data.exists()


@pytest.fixture
def start(home: Path) -> Iterator[Callable[[], App]]:
    """Starts the app, whose answers do not end by themselves; what still runs is killed."""
    started: list[App] = []
    rambling = {"ADAPTER": "none", "TEMPERATURE": "5", "TOP_K": "0", "TOP_P": "1", "MIN_P": "0"}
    values = {f"TUTOR_{name}": value for name, value in rambling.items()}

    def begin() -> App:
        started.append(App(home, values | {"TUTOR_MAX_TOKENS": "1500"}))
        return started[-1]

    yield begin
    for app in started:
        app.close()


def stored() -> list[StoredMessage]:
    """All messages of the only conversation, from a store that must be whole."""
    with closing(Store(Home.locate().database)) as store:
        assert store.notice == ""
        return store.messages(1)


def finished() -> list[StoredMessage]:
    return [m for m in stored() if m.role == "assistant" and m.state == "done"]


def let_answer(app: App) -> None:
    """Asks; returns as soon as an answer grows."""
    app.wait_for("tok/s")
    app.type(QUESTION + "\r")
    wait_until(lambda: any("flattens" in m.text for m in stored()), "an answer in the store")


def ends(app: App) -> int:
    """The status with which the app ends soon."""
    seconds = 2 * PATIENCE
    wait_until(lambda: app.process.poll() is not None, "the app's end", seconds)
    assert app.process.returncode is not None
    return app.process.returncode


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_ends_the_app_and_leaves_store_and_terminal_as_its_key_does(
    start: Callable[[], App], name: str
) -> None:
    app = start()
    before = app.attributes
    let_answer(app)
    assert app.attributes != before
    number = getattr(signal, name)
    os.kill(app.process.pid, number)
    assert ends(app) == 128 + number
    assert app.attributes == before
    # The screen of before, a cursor, no mouse, no bracketed paste.
    for on, off in (("?1049h", "?1049l"), ("?25l", "?25h"), ("?1003h", "?1003l")):
        wait_until(
            lambda on=on, off=off: app.drawn.rfind(off.encode()) > app.drawn.rfind(on.encode()),
            off,
            seconds=5,
        )
    assert b"Traceback" not in app.drawn
    question, answer = stored()
    assert question.text == QUESTION and "flattens" in answer.text


def test_a_terminal_that_is_closed_ends_the_app_and_leaves_the_store_whole(
    start: Callable[[], App],
) -> None:
    app = start()
    let_answer(app)
    app.hang_up()
    assert ends(app) == 128 + signal.SIGHUP
    question, answer = stored()
    assert question.text == QUESTION and "flattens" in answer.text


def test_a_terminal_that_has_gone_untold_ends_the_app_all_the_same(home: Path) -> None:
    with closing(App(home, {}, untold=True)) as app:
        let_answer(app)
        app.hang_up()
        assert ends(app) == 128 + signal.SIGHUP
    question, answer = stored()
    assert question.text == QUESTION and "flattens" in answer.text


@pytest.mark.parametrize(
    "environment",
    [
        {"TERM": "vt100"},
        {"TERM": "dumb"},
        {"TERM": ""},
        {"NO_COLOR": "1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["vt100", "dumb", "no name", "no colour", "not UTF-8"],
)
def test_the_app_answers_in_a_terminal_of_any_kind(home: Path, environment: dict[str, str]) -> None:
    app = App(home, environment | {"TUTOR_MAX_TOKENS": "8"})
    try:
        app.wait_for("tok/s")
        app.type(QUESTION + "\r")
        app.wait_for("flattens")
        app.type("\x11")
        assert ends(app) == 0
    finally:
        app.close()
    assert b"Traceback" not in app.drawn


def test_a_book_that_is_pasted_into_the_terminal_is_refused_and_stays_in_the_input(
    home: Path,
) -> None:
    app = App(home, {"TUTOR_MAX_TOKENS": "8"})
    try:
        app.wait_for("tok/s")
        app.type("\x1b[200~" + "What is a token? " * 3000 + "\x1b[201~\r")
        app.wait_for("the question has 50,999 characters")
        app.type("\x15" + QUESTION + "\r")
        app.wait_for("flattens")
        app.type("\x11")
        assert ends(app) == 0
    finally:
        app.close()


def test_two_apps_in_one_conversation_store_each_answer_whole(home: Path) -> None:
    apps = [App(home, {"TUTOR_MAX_TOKENS": "20"})]
    try:
        apps[0].wait_for("tok/s")
        apps[0].type(QUESTION + "\r")
        apps[0].wait_for("own words (")
        apps.append(App(home, {"TUTOR_MAX_TOKENS": "20"}))
        apps[1].wait_for("tok/s")
        asked = ["What is a token?", "What is a prompt?"]
        for app, question in zip(apps, asked, strict=True):
            app.type(question + "\r")
        wait_until(lambda: len(finished()) == 3, "three answers")
        for app in apps:
            app.type("\x11")
            assert ends(app) == 0
    finally:
        for app in apps:
            app.close()
    questions = [m.text for m in stored() if m.role == "user"]
    told = [json.loads(m.answer)["question"] for m in finished()]
    assert sorted(questions) == sorted(told) == sorted([QUESTION, *asked])
