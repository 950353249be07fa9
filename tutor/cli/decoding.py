"""The decoding flags that several commands share, and the settings they give."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tutor.home import Home
    from tutor.settings import Settings

FLAGS = (
    "temperature",
    "top-k",
    "top-p",
    "min-p",
    "typical-p",
    "repeat-penalty",
    "presence-penalty",
    "frequency-penalty",
    "seed",
    "max-tokens",
    "banned",
    "order",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag a decoding setting; ranges are checked where the settings are made."""
    group = parser.add_argument_group("decoding")
    for name in FLAGS:
        group.add_argument(f"--{name}", metavar=name[0].upper())
    group.add_argument("--greedy", action="store_true", help="always the most probable token")


def settings_of(arguments: argparse.Namespace, home: Home) -> Settings:
    """Flag over variable over file over default. Raises SettingsError."""
    from tutor.settings import from_environment, load, set_value

    settings = from_environment(load(home.settings_file))
    for flag in ("model", "adapter", *FLAGS):
        name = flag.replace("-", "_")
        if (value := getattr(arguments, name, None)) is not None:
            settings = set_value(settings, name, value)
    return set_value(settings, "greedy", True) if arguments.greedy else settings
