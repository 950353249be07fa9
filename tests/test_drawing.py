from __future__ import annotations

from rich.console import Console
from rich.text import Text

from tutor.demos.figures import Heatmap
from tutor.drawing import draw


def test_a_cell_that_does_not_exist_is_not_painted() -> None:
    figure = Heatmap("t", ("a", "b"), ("x", "y", "z"), ((1.0, None, None), (1.0, 1.0, None)))
    console = Console(force_terminal=True, color_system="truecolor", width=40)
    with console.capture() as capture:
        console.print(draw(figure, 40))
    row = Text.from_ansi(capture.get()).split("\n")[1]
    both, lower, none = row.plain[2:4], row.plain[4:6], row.plain[6:].strip()
    assert (both, lower, none) == ("▀▀", "▄▄", "")
    painted = {span.start: span.style for span in row.spans}
    assert getattr(painted[4], "bgcolor", None) is None
