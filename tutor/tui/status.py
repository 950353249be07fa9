"""The line of figures below the conversation: speed, tokens, how full the context is."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from tutor.engine.events import Adapter
from tutor.tui.messages import Figures
from tutor.tui.prompt_view import COLOURS

_GAUGE = 10
_NARROW, _WIDE = 100, 150


class StatusLine(Static):
    """What goes on, then the figures of the newest answer, live while it streams."""

    def __init__(self) -> None:
        super().__init__("", id="status", markup=False)
        self._text = ""
        self._model = ""
        self._adapter: Adapter | None = None
        self._figures: Figures | None = None

    def say(self, text: str) -> None:
        """A sentence instead of figures."""
        self._text, self._figures = text, None
        self.refresh()

    def ready(self, model: str, n_ctx: int, adapter: Adapter | None) -> None:
        """The model is loaded; its context is empty."""
        self._model = model
        self._adapter = adapter
        self.show(Figures(0, 0, 0, 0.0, n_ctx))

    def speaks(self, adapter: Adapter | None) -> None:
        """The adapter that acts on the next answer."""
        self._adapter = adapter
        self.refresh()

    def show(self, figures: Figures) -> None:
        self._figures = figures
        self.refresh()

    def render(self) -> Text:
        if self._figures is None:
            return Text(self._text, no_wrap=True, overflow="ellipsis")
        f = self._figures
        used = f.prompt_tokens + f.completion_tokens
        text = Text("context ", no_wrap=True, overflow="ellipsis")
        text.append_text(self._gauge(f))
        text.append(f" {used}/{f.n_ctx}")
        if self.size.width >= _WIDE:
            for part, count in f.parts.items():
                text.append(f" {part} {count}", COLOURS[part])
        cached = f" ({f.cached_tokens} cached)" if f.prompt_tokens else ""
        text.append(f" · {f.prompt_tokens}{cached} + {f.completion_tokens} tokens")
        text.append(f" · {f.tokens_per_second:.0f} tok/s")
        if self.size.width >= _NARROW:
            text.append(f" · {self._model}")
            if self._adapter:
                text.append(f" + {self._adapter.name} x{self._adapter.scale:g}")
        return text

    def _gauge(self, f: Figures) -> Text:
        """The context as cells: a colour a part of the prompt, the answer, what is free."""
        gauge = Text()
        filled = 0
        reached = 0
        parts = [(COLOURS[part], count) for part, count in f.parts.items()]
        for colour, count in (*parts, ("", f.completion_tokens)):
            reached += count
            cells = min(round(_GAUGE * reached / f.n_ctx), _GAUGE) if f.n_ctx else 0
            gauge.append("▓" * (cells - filled), colour)
            filled = max(cells, filled)
        gauge.append("░" * (_GAUGE - filled))
        return gauge
