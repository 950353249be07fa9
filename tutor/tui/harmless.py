"""The last stop of every line that is drawn: nothing in it that a terminal would obey."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

# Control characters (C0, DEL, C1) and what turns the direction of writing. All of them are no cells
# wide, so that taking them out moves nothing; a lone surrogate is one and cannot be written at all.
_TAKEN = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *(0x61C, 0x200E, 0x200F),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
)
_HARMLESS = dict.fromkeys(_TAKEN) | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


class Harmless(LineFilter):
    """Whoever wrote it, the learner, a lesson, the model or a file's name: it is only text."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment
            if segment.control or segment.text.isprintable()
            else Segment(segment.text.translate(_HARMLESS), segment.style)
            for segment in segments
        ]
