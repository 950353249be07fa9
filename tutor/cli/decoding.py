"""The flags that several commands share: decoding and who speaks; and the settings they give."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tutor.home import Home
    from tutor.settings import Settings

FLAGS = {
    "temperature": ("T", "below 1 likely tokens gain, above 1 unlikely ones do"),
    "top_k": ("K", "keep only this many most probable tokens; 0 keeps all"),
    "top_p": ("P", "keep the fewest tokens whose probabilities reach this sum"),
    "min_p": ("P", "drop tokens below this share of the best one's probability"),
    "typical_p": ("P", "keep the tokens that surprise about as much as expected"),
    "repeat_penalty": ("R", "above 1 makes tokens that were just said less likely"),
    "presence_penalty": ("X", "taken once from the logit of every token just said"),
    "frequency_penalty": ("X", "taken from the logit for every time a token was just said"),
    "seed": ("S", "where the random numbers start: same seed, same draw"),
    "max_tokens": ("N", "the longest answer, in tokens"),
    "top_n_sigma": ("X", "keep logits this many deviations from the best; 0 is off"),
    "dry_multiplier": ("X", "punish going on with a repeated passage (DRY); 0 is off"),
    "xtc_probability": ("P", "how often the likeliest tokens are left out (XTC)"),
    "xtc_threshold": ("P", "which tokens count as likeliest for XTC"),
    "mirostat_tau": ("X", "hold the surprise at this many nats (mirostat 2); 0 is off"),
    "logit_bias": ("ID=BIAS,...", "added to the logits of tokens, by id"),
    "banned": ("WORD,...", "words that must not be said"),
    "order": ("STAGE,...", "the stages in the order in which they run"),
}
"""The knobs with what they take and do, as `Sampling` says it; importing it would cost the start-up."""
_OTHERS = ("model", "adapter", "adapter_scale")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag a decoding setting; ranges are checked where the settings are made."""
    group = parser.add_argument_group("decoding")
    for name, (metavar, help) in FLAGS.items():
        group.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=help)
    group.add_argument("--greedy", action="store_true", help="always the most probable token")


def add_variant(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for who speaks."""
    parser.add_argument("--adapter", metavar="NAME|none", help="the variant that speaks, or a file")
    parser.add_argument("--adapter-scale", metavar="X", help="how strongly it acts, 0 to 1")
    parser.add_argument("--model", metavar="PATH", help="another GGUF chat model")


def settings_of(arguments: argparse.Namespace, home: Home) -> Settings:
    """Flag over variable over file over default, for whichever flags the command has.

    Raises SettingsError, and UseError for a model that cannot speak.
    """
    from tutor.settings import from_environment, load, set_value

    settings = from_environment(load(home.settings_file))
    for name in (*_OTHERS, *FLAGS):
        if (value := getattr(arguments, name, None)) is not None:
            settings = set_value(settings, name, value)
    if getattr(arguments, "greedy", False):
        settings = set_value(settings, "greedy", True)
    if settings.model:
        chat_model(settings.model)
    return settings


def kept_settings(home: Home) -> Settings:
    """The settings of a command without flags for them. Raises as `settings_of` does."""
    return settings_of(argparse.Namespace(), home)


def chat_model(name: str) -> Path:
    """The file of a model that a user names. Raises UseError for one that cannot speak."""
    from tutor.cli.main import UseError
    from tutor.engine.errors import ModelFileError
    from tutor.engine.gguf import model_info, read_header, require_chat

    path = Path(name).expanduser().absolute()
    try:
        header = read_header(path)
        if header.metadata.get("general.type") == "adapter":
            raise UseError(f"{path} is an adapter, no model: tutor config set adapter {path}")
        require_chat(model_info(path, header))
    except ModelFileError as error:
        raise UseError(str(error)) from error
    return path
