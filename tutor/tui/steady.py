"""Text that changes often, without having the screen laid out anew each time."""

from __future__ import annotations

from typing import cast

from textual.css.styles import RulesMap
from textual.visual import VisualType
from textual.widgets import Static


class Steady(Static):
    """A Static that wants another layout only where its new text needs more or fewer lines.

    To lay a conversation out with each of twenty fragments a second takes a quarter of a core from
    the model and holds up the keys. What is hidden is not drawn at all until it is shown.
    """

    _waiting: VisualType | None = None

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        if not all(node.display for node in self.ancestors_with_self):
            self._waiting = content
            return
        self._waiting = None
        super().update(content, layout=False)
        # Not `content_size`, which asks the compositor to place everything anew after a scroll.
        width, height = self.outer_size - self.gutter.totals
        rules = cast(RulesMap, self.styles)
        if layout and (not width or self.visual.get_height(rules, width) != height):
            self.refresh(layout=True)

    def on_show(self) -> None:
        if self._waiting is not None:
            self.update(self._waiting)
