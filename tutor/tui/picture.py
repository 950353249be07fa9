"""The distribution of the next token as bars, and in a sentence what a turned knob did to it."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from tutor.engine.events import Step
from tutor.engine.settings import Sampling, changes
from tutor.text import visible
from tutor.tui.steady import Steady

ROWS = 6
_BAR = 10
_LABEL = 11

TokenText = Callable[[int], str]


class Picture(Steady):
    """What could be said next: a bar a candidate, what it is drawn with, who cut it."""

    def __init__(self) -> None:
        super().__init__("", id="picture", markup=False)

    def show(self, step: Step, text: TokenText, *, drawn: bool) -> None:
        """Draws a step; `drawn` says that its token has already been taken."""
        title = "this token" if drawn else "next token"
        found = Text(f"─ {title} ".ljust(33, "─"), style="dim")
        for candidate in step.candidates[:ROWS]:
            label = visible(text(candidate.id))[:_LABEL]
            row = f"\n{label:<{_LABEL}} "
            if candidate.cut_by:
                found.append(
                    f"{row}{'':<{_BAR}} {candidate.p_full:>4.0%} {candidate.cut_by}", "dim"
                )
            else:
                bar = "█" * round(_BAR * candidate.p_final) or "▏"
                style = "bold" if drawn and candidate.id == step.chosen else ""
                found.append(f"{row}{bar:<{_BAR}} {candidate.p_final:>4.0%}", style)
        found.append(f"\nentropy {step.entropy:.1f} → {step.entropy_final:.1f} bits")
        self.update(found)


def effect(before: Sampling, after: Sampling, was: Step | None, now: Step | None) -> str:
    """What a change of the settings does, in a sentence; with steps, in its real numbers."""
    changed = changes(before, after)
    if not changed:
        return ""
    name, (old, new) = next(iter(changed.items()))
    told = f"{name} {_short(old)} → {_short(new)}" if len(changed) == 1 else "new settings"
    if was is None or now is None:
        description = Sampling.model_fields[name].description
        return f"{told}. {description}" if len(changed) == 1 else f"{told}."
    kept, keeps = was.kept[-1][1], now.kept[-1][1]
    sentence = (
        f"{told}: {kept:,} → {keeps:,} tokens can be drawn, "
        f"entropy {was.entropy_final:.1f} → {now.entropy_final:.1f} bits"
    )
    if (kept, round(was.entropy_final, 1)) == (keeps, round(now.entropy_final, 1)):
        sentence = f"{told}: nothing changes for this token"
    return f"{sentence}."


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
