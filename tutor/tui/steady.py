"""Text that changes often, without having the screen laid out anew each time."""

from __future__ import annotations

from typing import cast

from textual.css.styles import RulesMap
from textual.geometry import Size
from textual.reactive import Reactive
from textual.visual import VisualType
from textual.widgets import Static


class Steady(Static):
    """A Static that wants another layout only where its new text needs more or fewer lines.

    To lay a conversation out with each of twenty fragments a second takes a quarter of a core from
    the model and holds up the keys. What is hidden is not drawn at all until it is shown.
    """

    virtual_size = Reactive(Size(0, 0))
    """Textual's own asks for another layout because a layout has changed it."""
    lines_at_once = 1
    """Its height is a multiple of so many lines: text that grows is given room before it needs it."""
    _waiting: VisualType | None = None

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._rounded(super().get_content_height(container, viewport, width))

    def _rounded(self, height: int) -> int:
        return -(-height // self.lines_at_once) * self.lines_at_once

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        if not all(node.display for node in self.ancestors_with_self):
            self._waiting = content
            return
        self._waiting = None
        super().update(content, layout=False)
        # Not `content_size`, which asks the compositor to place everything anew after a scroll.
        width, height = self.outer_size - self.gutter.totals
        rules = cast(RulesMap, self.styles)
        if layout and (not width or self._rounded(self.visual.get_height(rules, width)) != height):
            self.refresh(layout=True)

    def on_unmount(self) -> None:
        # Textual keeps a thousand widgets' lines, drawn ones and what was cut from them, though
        # nobody shows them any more: to look through them held up the keys for 0.4 s now and then.
        self.refresh()

    def on_show(self) -> None:
        if self._waiting is not None:
            self.update(self._waiting)
