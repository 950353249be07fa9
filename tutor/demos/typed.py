"""A demonstration's input as a learner types it: one line, or a field at a time.

`layer=3 The sky is` gives the field `layer`, and the rest to the demonstration's free text. All
values stay text here; `Demo.parse` makes of them what they are.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from tutor.demos.demo import Demo, DemoError

_STRING = r'"(?:[^"\\]|\\.)*"(?!\S)'
_NAMED = re.compile(rf"(?<!\S)(?P<name>[a-z_]+)=(?P<value>{_STRING}|\S*)", re.DOTALL)
# A tuple's items stand apart as in the sentence that tells what the field takes.
_BETWEEN = (", ", " | ")
_LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length")


def values_of(found: Demo[Any], line: str) -> dict[str, str]:
    """The fields that a line gives. Raises DemoError for free text where none is taken."""
    fields = found.input.model_fields
    values = {}
    rest, end = "", 0
    for match in _NAMED.finditer(line):
        if match["name"] in fields:
            values[match["name"]] = _unquoted(match["value"])
            rest += line[end : match.start()]
            end = match.end()
    if rest := (rest + line[end:]).strip():
        if found.text is None:
            names = ", ".join(fields) or "no input"
            raise DemoError(f"{found.name} takes no text: give {names}, as NAME=VALUE")
        values[found.text] = rest
    return values


def line_of(found: Demo[Any], values: dict[str, str]) -> str:
    """The line that gives these values; `values_of` reads them back."""
    named = [f"{name}={_quoted(value)}" for name, value in values.items() if name != found.text]
    text = values.get(found.text or "", "")
    if text and values_of(found, text) != {found.text: text}:
        # It would be taken for something else, or lose the spaces around it.
        text = f"{found.text}={json.dumps(text, ensure_ascii=False)}"
    return " ".join(filter(None, (*named, text)))


def _quoted(value: str) -> str:
    bare = value and not re.search(r'[\s"]', value)
    return value if bare else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    if re.fullmatch(_STRING, value, re.DOTALL):
        with suppress(ValueError):
            return str(json.loads(value, strict=False))
    return value


def usual(found: Demo[Any]) -> dict[str, str]:
    """Every field's default as it would be typed; empty where there is none."""
    return {
        name: _typed(found, name, field.get_default())
        for name, field in found.input.model_fields.items()
    }


def _typed(found: Demo[Any], name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        for between in _BETWEEN:
            typed = between.join(map(str, value))
            with suppress(DemoError):
                if getattr(found.parse({name: typed}), name) == value:
                    return typed
    return str(value).lower() if isinstance(value, bool) else str(value)


def choices(field: FieldInfo) -> tuple[str, ...]:
    """All that a field can be, where that is a few words; else nothing."""
    if field.annotation is bool:
        return ("true", "false")
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def takes(field: FieldInfo) -> str:
    """What a field takes, its range first: `0 to 5 · 0 is greedy.`"""
    told = field.description or ""
    bounds = _bounds(field)
    return " · ".join(part for part in (bounds if bounds not in told else "", told) if part)


def _bounds(field: FieldInfo) -> str:
    limits = {
        name: getattr(part, name)
        for part in field.metadata
        for name in _LIMITS
        if hasattr(part, name)
    }
    if "max_length" in limits:
        unit = "items" if isinstance(field.get_default(), tuple) else "characters"
        least = f"{limits['min_length']} to" if limits.get("min_length") else "at most"
        return f"{least} {limits['max_length']:,} {unit}"
    low = f"over {_number(limits['gt'])}" if "gt" in limits else _number(limits.get("ge"))
    high = f"under {_number(limits['lt'])}" if "lt" in limits else _number(limits.get("le"))
    if low and high:
        return f"{low} to {high}"
    return f"{low} or more" if low else f"at most {high}" if high else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:g}"
