"""The line of figures below the conversation: speed, tokens, how full the context is."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from tutor.tui.messages import Figures

_GAUGE = 10
_NARROW = 100


class StatusLine(Static):
    """What goes on, then the figures of the newest answer, live while it streams."""

    def __init__(self) -> None:
        super().__init__("", id="status", markup=False)
        self._text = ""
        self._model = ""
        self._figures: Figures | None = None

    def say(self, text: str) -> None:
        """A sentence instead of figures."""
        self._text, self._figures = text, None
        self.refresh()

    def ready(self, model: str, n_ctx: int) -> None:
        """The model is loaded; its context is empty."""
        self._model = model
        self.show(Figures(0, 0, 0, 0.0, n_ctx))

    def show(self, figures: Figures) -> None:
        self._figures = figures
        self.refresh()

    def render(self) -> Text:
        if self._figures is None:
            return Text(self._text, no_wrap=True, overflow="ellipsis")
        f = self._figures
        used = f.prompt_tokens + f.completion_tokens
        full = min(round(_GAUGE * used / f.n_ctx), _GAUGE) if f.n_ctx else 0
        gauge = f"context {'▓' * full}{'░' * (_GAUGE - full)} {used}/{f.n_ctx}"
        cached = f" ({f.cached_tokens} cached)" if f.prompt_tokens else ""
        tokens = f"{f.prompt_tokens}{cached} + {f.completion_tokens} tokens"
        parts = [gauge, tokens, f"{f.tokens_per_second:.0f} tok/s"]
        if self.size.width >= _NARROW:
            parts.append(self._model)
        return Text(" · ".join(parts), no_wrap=True, overflow="ellipsis")
