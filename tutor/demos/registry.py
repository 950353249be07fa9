"""All demonstrations by name. A module is imported when its demonstration is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tutor.demos.demo import Demo, DemoError

_WHERE = {
    "model-file": "model_file:ModelFile",
    "determinism": "determinism:Determinism",
    "loss": "loss:Loss",
    "descent": "descent:Descent",
    "training": "training:Training",
    "network": "network:Network",
    "tokens": "tokens:Tokens",
    "neighbours": "neighbours:Neighbours",
    "context-window": "context_window:ContextWindow",
    "attention": "attention:Attention",
    "next-token": "next_token:NextToken",
    "samplers": "samplers:Samplers",
    "four-ways": "four_ways:FourWays",
    "scale": "scale:Scale",
    "project-loop": "project_loop:ProjectLoop",
    "templates": "templates:Templates",
    "picking": "picking:Picking",
    "ngrams": "ngrams:Ngrams",
    "masks": "masks:Masks",
}
"""`module:class` in tutor.demos, in the order of the lessons."""

NAMES = tuple(_WHERE)


def demo(name: str) -> Demo[Any]:
    """The demonstration of that name. Raises DemoError listing the names."""
    if name not in _WHERE:
        raise DemoError(f"there is no demonstration {name!r}: choose one of {', '.join(NAMES)}")
    module, _, made = _WHERE[name].partition(":")
    found: Demo[Any] = getattr(import_module(f"tutor.demos.{module}"), made)()
    return found
