"""Settings that persist, and the order in which they count: flag, variable, file, default."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tutor.engine.settings import Sampling

NONE = "none"
"""The adapter that is none: the base model alone."""
SHIPPED = ""
"""The shipped adapter with the model that it was made for, and no adapter with any other."""


class SettingsError(Exception):
    """A setting that cannot be taken; the message names it and its range."""


class Settings(BaseModel):
    """Everything that a user may set and that is kept between starts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sampling: Sampling = Sampling()
    n_ctx: int = Field(4096, ge=512, le=131072, description="Context window in tokens.")
    threads: int = Field(
        0, ge=0, le=512, description="Threads of the engine; 0 is all usable cores."
    )
    model: str = Field("", description="A GGUF chat model's path; empty is the embedded model.")
    adapter: str = Field(
        SHIPPED,
        description="The LoRA adapter that speaks: a name, a file, none; empty is the shipped one.",
    )
    adapter_scale: float = Field(1.0, ge=0, le=1, description="How strongly the adapter acts.")
    theme: str = Field("textual-dark", description="Colours of the app.")


def names() -> list[str]:
    """Every setting's name: the decoding knobs first, then the rest."""
    return [*Sampling.model_fields, *(n for n in Settings.model_fields if n != "sampling")]


def set_value(settings: Settings, name: str, value: object) -> Settings:
    """The settings with one value changed. Raises SettingsError and changes nothing otherwise."""
    name = name.replace("-", "_")
    if name not in names():
        raise SettingsError(f"there is no setting {name!r}: choose one of {', '.join(names())}")
    if name in Sampling.model_fields:
        data: dict[str, Any] = {"sampling": settings.sampling.model_dump() | {name: value}}
    else:
        data = {name: value}
    try:
        return Settings.model_validate(settings.model_dump() | data)
    except ValidationError as error:
        raise SettingsError(f"{name}: {_told(error).lower()}, not {value!r}") from error


def _told(error: ValidationError) -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ")


def from_environment(settings: Settings, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings with every `TUTOR_<NAME>` variable applied."""
    for name in names():
        if (value := environment.get(f"TUTOR_{name.upper()}")) is not None:
            try:
                settings = set_value(settings, name, value)
            except SettingsError as error:
                raise SettingsError(f"TUTOR_{name.upper()}: {error}") from error
    return settings


def load(file: Path) -> Settings:
    """The settings of a file; defaults where there is none. Raises SettingsError if it is damaged."""
    try:
        return Settings.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        what = str(error)
        if isinstance(error, ValidationError):
            where = ".".join(map(str, error.errors()[0]["loc"]))
            what = f"{where}: {_told(error)}" if where else _told(error)
        raise SettingsError(f"{file} cannot be read ({what}): mend it or delete it") from error


def save(settings: Settings, file: Path) -> None:
    """Writes the file whole or not at all. Raises SettingsError where it cannot be written."""
    draft: Path | None = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=file.parent, prefix=file.name, delete=False, encoding="utf-8"
        ) as opened:
            draft = Path(opened.name)
            json.dump(settings.model_dump(), opened, indent=2)
        os.replace(draft, file)
    except OSError as error:
        if draft is not None:
            draft.unlink(missing_ok=True)
        raise SettingsError(f"{file} cannot be written: {error.strerror}") from error
