"""Messages to token ids by the model's own chat template, with no way in for control tokens.

The template is rendered with a placeholder for each message's content. The text around the
placeholders is ours and may hold control tokens; the contents are tokenized as plain text, so
`<|im_end|>` typed by a user, or standing in a lesson, stays seven ordinary characters and more.
Where a template knows no system message, its words stand before the first question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tutor.engine.errors import EngineError, ModelFileError
from tutor.engine.events import Framing, Message, Segment

# Private-use characters cannot come from a template, and contents never pass through it.
_PLACEHOLDER = re.compile("\ue000(\\d+)\ue001")


@lru_cache(maxsize=4)
def _compiled(template: str):  # type: ignore[no-untyped-def]
    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = raise_exception
    return environment.from_string(template)


def render_chat(
    messages: Sequence[Message],
    template: str,
    tokenize: Callable[[str, bool], list[int]],
    framing: Framing,
) -> list[Segment]:
    """The conversation as segments of token ids, up to where the assistant speaks.

    `tokenize(text, special)` cuts text into ids. Raises ModelFileError for a template that does
    not render, EngineError where it drops a message.
    """
    segments: list[Segment] = []
    for n, part in enumerate(_rendered(tuple(m.role for m in messages), template, framing)):
        if n % 2:
            content = tokenize(messages[int(part)].content, False)
            segments.append(Segment(int(part), tuple(content)))
        elif part:
            segments.append(Segment(None, tuple(tokenize(part, True))))
    first_id = next((id for segment in segments for id in segment.ids), None)
    if framing.first not in (None, first_id):
        segments.insert(0, Segment(None, (framing.first,)))
    return segments


@lru_cache(maxsize=64)
def _rendered(roles: tuple[str, ...], template: str, framing: Framing) -> tuple[str, ...]:
    """The template's own text between messages of these roles: with placeholders for their contents
    it is the same at every question."""
    stand_ins = [{"role": role, "content": f"\ue000{n}\ue001"} for n, role in enumerate(roles)]
    try:
        return _parts(stand_ins, template, framing)
    except EngineError:
        if roles[:2] != ("system", "user"):
            raise
    system, first, *others = stand_ins
    first = {"role": "user", "content": f"{system['content']}\n\n{first['content']}"}
    return _parts([first, *others], template, framing)


def _parts(stand_ins: list[dict[str, str]], template: str, framing: Framing) -> tuple[str, ...]:
    """The rendered template: its own text and, at every odd place, the number of a message."""
    try:
        text = _compiled(template).render(
            messages=stand_ins,
            add_generation_prompt=True,
            bos_token=framing.bos,
            eos_token=framing.eos,
        )
    # A template is a program from elsewhere: it may fail in every way that Python knows.
    except Exception as error:
        raise ModelFileError(f"the model's chat template cannot be used: {error}") from error
    parts = _PLACEHOLDER.split(text)
    wanted = _PLACEHOLDER.findall("".join(message["content"] for message in stand_ins))
    if sorted(parts[1::2]) != sorted(wanted):
        raise EngineError("the model's chat template leaves out or doubles a message")
    return tuple(parts)
