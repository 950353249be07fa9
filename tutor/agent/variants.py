"""The variants of the model that can speak: the base alone, or with one of the adapters at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tutor.engine.adapters import shipped_adapter
from tutor.engine.errors import AdapterError
from tutor.engine.prepare import NAME
from tutor.settings import NONE, SHIPPED

if TYPE_CHECKING:
    from tutor.engine.engine import Engine
    from tutor.home import Home


def adapters(home: Home) -> dict[str, Path]:
    """Every adapter by its name, the shipped one first; the user's own of a name counts."""
    shipped = shipped_adapter()
    own = sorted(home.adapters.glob("*.gguf"))
    return {path.stem: path for path in ([shipped] if shipped else []) + own}


def use_variant(engine: Engine, home: Home, name: str, scale: float = 1.0) -> None:
    """Swaps in the adapter of a name or path, NONE or SHIPPED. Raises AdapterError."""
    if name == SHIPPED:
        try:
            engine.use_adapter(shipped_adapter(), scale)
        except AdapterError:
            if engine.info.name == NAME:
                raise
            # It was made for the embedded model alone.
            engine.use_adapter(None)
        return
    if name == NONE:
        engine.use_adapter(None)
        return
    known = adapters(home)
    path = known.get(name) or Path(name).expanduser()
    if name not in known and not path.is_file():
        raise AdapterError(
            f"there is no adapter {name!r}: choose one of {', '.join([*known, NONE])}, or a file"
        )
    engine.use_adapter(path, scale)
