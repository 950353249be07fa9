"""Every word that the tutor says to the model, as templates in text files, and their renderer."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import StrictUndefined, Template

TEMPLATES = Path(__file__).parent / "templates"


@cache
def _template(name: str) -> Template:
    source = (TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")
    return Template(source, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def render(name: str, **values: object) -> str:
    """The template `name` with its values filled in, without outer white space.

    Raises jinja2.UndefinedError where a value is missing. Values are inserted as they are: what
    they may not do (control tokens) is the engine's business when it tokenizes.
    """
    return _template(name).render(**values).strip()
