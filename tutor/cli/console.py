"""What people are shown in colours and columns: rich, and nothing in it that a terminal obeys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from tutor.text import plain


class PlainConsole(Console):
    """Text is text: no markup, and no control character whoever wrote it."""

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(plain(segment.text), segment.style)

    def on_broken_pipe(self) -> NoReturn:
        """The reader has gone: rich would end with a failure, our `main` ends in order."""
        raise BrokenPipeError
