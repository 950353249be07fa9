"""Does what a request asks for: demonstrations, settings, screens to open. No lesson is searched.

What it did is told as text; what only the caller can do (change the settings, open a screen) is
handed back as data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from rapidfuzz import fuzz, process

import prompts
from corpus.gold import load_gold
from index.scope import in_scope
from tutor.agent.again import plainer, quizzed, shorter
from tutor.agent.outline import outlined
from tutor.agent.router import Route
from tutor.agent.telling import markdown
from tutor.agent.turn import Exchange, Performed, Screen
from tutor.demos.demo import DemoCancelled, DemoError, Run
from tutor.demos.registry import NAMES, demo
from tutor.demos.workbench import Workbench
from tutor.engine.adapters import shipped_adapter
from tutor.engine.cancel import Cancel
from tutor.engine.settings import PRESETS, Sampling, changes
from tutor.settings import NONE, SHIPPED, Settings, SettingsError, set_value

Perform = Callable[["Asked"], Performed]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with what is needed to do it."""

    text: str
    payload: str | None
    bench: Workbench
    sampling: Sampling
    history: Sequence[Exchange]
    cancel: Cancel = field(default_factory=Cancel)
    """Set by the learner who stops it, also while it waits for its turn."""


def perform(route: Route, asked: Asked) -> Performed:
    """Does it. What cannot be done is told in the text, in one line that says what to write."""
    if route.intent in NAMES:
        return _demonstrate(route.intent, asked)
    return _PERFORM[route.intent](asked)


def performable(intent: str) -> bool:
    """Whether the request can be done; others are answered as questions."""
    return intent in NAMES or intent in _PERFORM


def _demonstrate(name: str, asked: Asked) -> Performed:
    found = demo(name)
    values: dict[str, Any] = {}
    if found.text and asked.payload:
        values[found.text] = asked.payload
    try:
        shown = found.run_alone(asked.bench, found.parse(values), Run(cancel=asked.cancel))
    except DemoError as error:
        return Performed(f"That cannot be shown: {error}", name)
    except DemoCancelled:
        return Performed("Stopped.", name)
    return Performed(markdown(shown), name, shown)


def _tell_settings(asked: Asked) -> Performed:
    rows = [
        f"| {name} | {value} | {'' if value == field.default else f'default {field.default}'} |"
        for name, field in Sampling.model_fields.items()
        if name not in ("logit_bias", "banned", "order")
        for value in [getattr(asked.sampling, name)]
    ]
    order = " → ".join(asked.sampling.order)
    table = "\n".join(["| knob | now | |", "|-|-|-|", *rows])
    return Performed(f"The decoding settings as they count now:\n\n{table}\n\nOrder: {order}.")


def _set(asked: Asked) -> Performed:
    name, number = _knob(asked.text), _NUMBER.search(asked.text)
    if name is None or number is None:
        return Performed(
            "Which knob, and to which value? For example: set temperature to 1.2. "
            f"The knobs are {', '.join(_KNOBS)}."
        )
    try:
        value = number.group().replace(",", ".")
        changed = set_value(Settings(sampling=asked.sampling), name, value)
    except SettingsError as error:
        return Performed(f"Nothing was changed: {error}.")
    return _changed(asked, changed.sampling)


def _changed(asked: Asked, sampling: Sampling) -> Performed:
    told = ", ".join(
        f"{name} {old} → {new}" for name, (old, new) in changes(asked.sampling, sampling).items()
    )
    text = f"Done: {told}, from the next token on." if told else "It is set like that already."
    return Performed(text, sampling=sampling)


def _take(asked: Asked, wanted: Sampling) -> Performed:
    kept = {"seed": asked.sampling.seed, "max_tokens": asked.sampling.max_tokens}
    return _changed(asked, wanted.model_copy(update=kept))


def _capabilities(asked: Asked) -> Performed:
    text = prompts.render(
        "capabilities",
        model=asked.bench.engine.info.name,
        lessons=asked.bench.lessons,
        demos=NAMES,
    )
    return Performed(text)


def _quiz(asked: Asked) -> Performed:
    found = asked.bench.retriever.search(asked.text, 1)
    about = found.hits[0].passage.passage_id if in_scope(found).answerable else None
    return quizzed(asked.text, asked.history, load_gold("train"), asked.sampling.seed, about)


def _open(screen: Screen, told: str, empty: str) -> Perform:
    def performed(asked: Asked) -> Performed:
        return Performed(told, screen=screen) if asked.history else Performed(empty)

    return performed


def _swap(asked: Asked) -> Performed:
    acting = asked.bench.engine.adapter
    wanted = NONE if acting else SHIPPED
    if _OFF.search(asked.text):
        wanted = NONE
    elif _ON.search(asked.text):
        wanted = SHIPPED
    if wanted == SHIPPED and not (acting or shipped_adapter()):
        return Performed("There is no adapter at hand: train one with `tutor lora train`.")
    told = "the base model alone" if wanted == NONE else "the tuned variant"
    return Performed(f"From the next answer on {told} speaks (F8 swaps).", adapter=wanted)


_OFF = re.compile(
    r"\b(?:off|out|disable|deactivate|without|remove|unload|drop|untuned|base|plain|original)\b"
    r"(?!.*\band\b)",
    re.IGNORECASE,
)
_ON = re.compile(
    r"\b(?:on|in|enable|activate|tuned|fine-?tuned|load)\b(?!.*\band\b)", re.IGNORECASE
)
_KNOBS = [name for name, field in Sampling.model_fields.items() if field.annotation in (int, float)]
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+(?:[.,]\d+)?|\.\d+)")
_LIKE_A_KNOB = 85
"""Of 100: "temprature" is meant as a knob's name, "penalty" is not."""
_SHORTEST = 4
"""Letters of a name's beginning that stand for it, as in "temp"."""


def _knob(text: str) -> str | None:
    """The knob that a text names; "top-k", "topk" and "top k" are one, and so are typos of it."""
    words = re.findall(r"[a-z]+", _NUMBER.sub(" ", text.lower()))
    said = [*words, *(a + b for a, b in pairwise(words))]
    names = {name.replace("_", ""): name for name in _KNOBS}
    for short, name in names.items():
        if any(len(run) >= _SHORTEST and short.startswith(run) for run in said):
            return name
    found = [
        process.extractOne(run, list(names), scorer=fuzz.ratio) for run in said if len(run) > 1
    ]
    best = max(found, key=lambda match: match[1], default=None)
    return names[best[0]] if best and best[1] >= _LIKE_A_KNOB else None


_NOTHING_YET = "There is no answer yet to look into: ask something first."
_PERFORM: dict[str, Perform] = {
    "settings": _tell_settings,
    "set": _set,
    "deterministic": lambda asked: _changed(
        asked, asked.sampling.model_copy(update={"greedy": True})
    ),
    "wild": lambda asked: _take(asked, PRESETS["wild"]),
    "precise": lambda asked: _take(asked, PRESETS["precise"]),
    "reset": lambda asked: _changed(asked, Sampling()),
    "undo": lambda asked: Performed("Taking back the last change of a setting.", undo=True),
    "prompt": _open("prompt", "Here is the exact prompt of the last answer (F7).", _NOTHING_YET),
    "inspect": _open("inspect", "Here is the last answer from inside (F4).", _NOTHING_YET),
    "compare": lambda asked: Performed(
        "Side by side (F5): choose what shall differ.",
        screen="compare",
        about=asked.payload or "",
    ),
    "swap": _swap,
    "hello": lambda asked: Performed(prompts.render("hello")),
    "thanks": lambda asked: Performed(prompts.render("thanks")),
    "capabilities": _capabilities,
    "outline": lambda asked: outlined(asked.text, asked.bench.lessons),
    "shorter": lambda asked: shorter(asked.history),
    "simpler": lambda asked: plainer(asked.history, asked.bench.retriever.passages),
    "quiz": _quiz,
}
