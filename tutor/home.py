"""Where the tutor's files live, in one place.

`TUTOR_HOME` puts everything under one folder; otherwise the platform's own places are used.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs


class HomeError(Exception):
    """A folder that cannot be used; the message says which one and what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """The three folders: what may be rebuilt, what must not be lost, what the user set."""

    cache: Path
    data: Path
    config: Path

    @property
    def settings_file(self) -> Path:
        return self.config / "settings.json"

    @property
    def database(self) -> Path:
        return self.data / "conversations.sqlite3"

    @property
    def adapters(self) -> Path:
        """Where the user's own LoRA adapters lie; made when the first one is."""
        return self.data / "adapters"

    @classmethod
    def locate(cls) -> Home:
        """The folders of this user; nothing is created."""
        if base := os.environ.get("TUTOR_HOME"):
            root = Path(base).expanduser().absolute()
            return cls(root / "cache", root / "data", root / "config")
        dirs = platformdirs.PlatformDirs("slm-tutor", appauthor=False)
        return cls(dirs.user_cache_path, dirs.user_data_path, dirs.user_config_path)

    def create(self) -> Home:
        """Creates the folders, readable by their owner only. Raises HomeError where it cannot."""
        for folder in (self.cache, self.data, self.config):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise HomeError(
                    f"cannot create {folder} ({error.strerror}): "
                    "set TUTOR_HOME to a folder that you can write to"
                ) from error
            if not os.access(folder, os.W_OK):
                raise HomeError(
                    f"cannot write to {folder}: set TUTOR_HOME to a folder that you can write to"
                )
        return self
