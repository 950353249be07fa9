"""The app as a person meets it: from its start to its first answer, from a key to the screen."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tutor.bench.terminal import Terminal
from tutor.bench.turns import QUESTIONS
from tutor.home import Home
from tutor.sessions.store import Store

QUIT, _CLEAR, _ESCAPE = "\x11", "\x15", "\x1b"
"""Ctrl+Q, Ctrl+U and Escape, as a terminal sends them."""
PROMPT = "sk, or /help"
"""What the empty input says."""
ASKED = QUESTIONS.index("What is a token?")
QUESTION, ANSWERED = QUESTIONS[ASKED], "piece"
"""A word of the answer that stands neither in the question nor in the welcome."""
SPEAKING, SAID = "own words, unchecked", "own words ("
"""What stands above the model's words while it speaks, and afterwards."""
TYPING = 0.12
"""Seconds from key to key, as somebody types who types fast: 100 words a minute."""
PASTING = 0.3
"""Seconds from a paste to Enter, of somebody who is quick."""
LONG = (
    *QUESTIONS,
    "How does attention work in a transformer?",
    "Tell me everything about attention",
    "Tell me all you know about sampling",
)
"""Questions whose answers are among the longest: 48 to 107 tokens with the adapter."""
REQUESTS = (
    "train yourself on a sentence and show me the loss falling",
    "run the project loop demo",
    "are you deterministic? show it by running the same question several times",
)
"""Demonstrations that take longer than it takes to type."""
MESSAGES = 2_000
_KEYS = "ĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮİĴĶĹ"
"""Letters that nothing else on the screen shows: typed, they take about as long as an answer."""


def starts(home: Home, bare_ms: Callable[[], float], repeats: int = 3) -> dict[str, float]:
    """From a cold process to an input that can be used, to the first word of an answer and to the
    model's own first word; each start in turn with one of `bare_ms`, which says one token."""
    rows = []
    for _ in range(repeats):
        with _app(home) as terminal:
            usable = terminal.until(PROMPT)
            terminal.send(f"{QUESTION}\r")
            answered = usable + terminal.until(ANSWERED)
            spoken = answered + terminal.until(SPEAKING)
        bare = bare_ms()
        rows.append((usable, answered, spoken, bare, answered / bare, spoken / bare))
    names = (
        "app_usable_ms",
        "app_first_answer_ms",
        "app_first_own_word_ms",
        "bare_first_token_ms",
        "first_answer_to_bare",
        "first_own_word_to_bare",
    )
    return dict(zip(names, map(statistics.median, zip(*rows, strict=True)), strict=True))


def first_words(home: Home) -> dict[str, float]:
    """From Enter to the model's first word on the screen, of questions typed key by key and of pasted
    ones. Meanwhile the tutor reads ahead."""

    def typed(terminal: Terminal, question: str) -> None:
        for key in question:
            terminal.send(key)
            terminal.watch(TYPING)

    def pasted(terminal: Terminal, question: str) -> None:
        terminal.send(f"\x1b[200~{question}\x1b[201~")
        terminal.watch(PASTING)

    return {
        "app_typed_first_word_ms": _first_word(home, typed),
        "app_pasted_first_word_ms": _first_word(home, pasted),
    }


def _first_word(home: Home, put: Callable[[Terminal, str], None]) -> float:
    waits = []
    with _app(home) as terminal:
        terminal.until(PROMPT)
        for question in ("What is a prompt?", *QUESTIONS):
            put(terminal, question)
            terminal.send("\r")
            waits.append(terminal.until(SPEAKING))
            terminal.until(SAID)
            terminal.watch(1.0)
    return statistics.median(waits[1:])


def key_to_screen(home: Home) -> dict[str, float]:
    """Keys typed while an answer streams, and while a demonstration runs, in a conversation of 2,000
    messages."""
    import numpy as np

    with _app(home, MESSAGES) as terminal:
        terminal.until(PROMPT)
        terminal.send("What is a prompt?\r")
        terminal.until(SAID)
        answering = np.percentile(_key_waits(terminal, LONG, 1.0), (50, 99))
        showing = np.percentile(_key_waits(terminal, REQUESTS, 4.0), (50, 99))
    return {
        "key_to_screen_p50_ms": float(answering[0]),
        "key_to_screen_p99_ms": float(answering[1]),
        "demo_key_to_screen_p50_ms": float(showing[0]),
        "demo_key_to_screen_p99_ms": float(showing[1]),
    }


def _key_waits(terminal: Terminal, asked: Sequence[str], pause: float) -> list[float]:
    """Milliseconds from key to screen of keys typed from Enter to about the end of what was asked;
    what ran before is stopped and given `pause` seconds."""
    waits = []
    for text in asked:
        terminal.send(_ESCAPE)
        terminal.watch(pause)
        terminal.send(f"{text}\r")
        for letter in _KEYS:
            terminal.watch(0.05)
            terminal.send(letter)
            waits.append(terminal.until(letter))
        terminal.send(_CLEAR)
    return waits


@contextmanager
def _app(home: Home, messages: int = 0) -> Iterator[Terminal]:
    """The app in a home of its own, that shares the cache alone: the user's conversations are none
    of a measurement's business."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cache").symlink_to(home.cache, target_is_directory=True)
        if messages:
            _fill(Path(folder), messages)
        terminal = Terminal(
            [sys.executable, "-m", "tutor"], {"TUTOR_HOME": folder, "TERM": "xterm-256color"}
        )
        try:
            yield terminal
        finally:
            terminal.close(QUIT)


def _fill(folder: Path, messages: int) -> None:
    home = Home(folder / "cache", folder / "data", folder / "config").create()
    store = Store(home.database)
    conversation = store.begin("A long conversation")
    for n in range(messages // 2):
        store.add(conversation, "user", f"Question {n}: what does a model do with a long text?")
        store.add(conversation, "assistant", f"Answer {n}. It reads it token by token. " * 4)
    store.close()
