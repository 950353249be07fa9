"""What a demonstration showed: the guess judged, the figures, the sentences, where it comes from."""

from __future__ import annotations

from textual import events
from textual.containers import VerticalScroll
from textual.widgets import Static

from tutor.demos.demo import Shown
from tutor.demos.figures import Figure
from tutor.drawing import draw
from tutor.text import plain
from tutor.tui.welcome import Example


class FigureView(Static):
    """A figure, drawn anew when its room gets wider or narrower."""

    def __init__(self, figure: Figure) -> None:
        super().__init__("", classes="figure", markup=False)
        self._figure = figure
        self._width = 0

    def on_resize(self, event: events.Resize) -> None:
        width = self.content_size.width
        # What is drawn changes the height, which is a resize too.
        if width and width != self._width:
            self._width = width
            self.update(draw(self._figure, width, colour=not self.app.no_color))


class Result(VerticalScroll):
    """Empty until the demonstration has run: a guess comes first."""

    def __init__(self) -> None:
        super().__init__(
            Static("Predict first: what happens then is drawn here.", classes="hint"),
            id="demo-result",
        )

    async def show(self, shown: Shown, guess: int | None) -> None:
        """Draws a finished demonstration in place of the last one."""
        async with self.batch():
            await self.remove_children()
            await self.mount_all(
                [
                    self._verdict(shown, guess),
                    *(FigureView(figure) for figure in shown.figures),
                    Static(plain(shown.seen), classes="seen", markup=False),
                    Static(
                        plain("\n".join(shown.provenance.lines)), classes="provenance", markup=False
                    ),
                    Static("Ask the tutor about it:", classes="hint"),
                    *(Example(question) for question in shown.ask),
                ]
            )
        self.scroll_home(animate=False)

    def _verdict(self, shown: Shown, guess: int | None) -> Static:
        choices = [plain(choice) for choice in shown.prediction.choices]
        right = choices[shown.right]
        if guess is None:
            return Static(f"It was: {right}", classes="verdict", markup=False)
        if guess == shown.right:
            return Static(f"✓ As you said: {right}", classes="verdict -right", markup=False)
        told = f"✗ You said: {choices[guess]}\n  It was: {right}"
        return Static(told, classes="verdict -wrong", markup=False)
