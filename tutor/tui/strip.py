"""An answer as tokens: coloured by surprise, readable without colour, with a cursor."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.style import Style
from rich.text import Text
from textual import events
from textual.message import Message

from tutor.agent.trace import Trace
from tutor.engine.events import TokenEvent
from tutor.engine.settings import changes
from tutor.text import visible
from tutor.tui.steady import Steady

_LN2 = math.log(2.0)
# Bits up to which a token counts as this surprising. The colours run from blue to orange, which
# colour-blind readers tell apart; bold and underline say the same where there is no colour.
_SCALE = (
    (1.0, Style(color="#5b8dd9")),
    (3.0, Style(color="#9db4d6")),
    (6.0, Style(color="#e0a458", bold=True)),
    (math.inf, Style(color="#e8743b", bold=True, underline=True)),
)
LEGEND = "surprise: under 1 bit · under 3 · bold under 6 · bold and underlined more; ‗ against odds"


def surprise_bits(event: TokenEvent) -> float:
    """How surprising the token was to the model: -log2 of its probability."""
    return -event.logprob / _LN2


def against_the_odds(event: TokenEvent) -> bool:
    """Whether another candidate was likelier after the chain."""
    if event.step is None:
        return False
    final = {c.id: c.p_final for c in event.step.candidates}
    return final.get(event.id, 0.0) < max(final.values(), default=0.0)


def token_text(trace: Trace, event: TokenEvent) -> str:
    """The token with its spaces shown; the bytes of a character that is not whole, as hex."""
    if "\ufffd" in event.bytes.decode("utf-8", "replace"):
        return "".join(f"‹{byte:02x}›" for byte in event.bytes)
    return visible(trace.text(event.id))


class TokenStrip(Steady):
    """The tokens in a row; a click or `cursor` chooses one. A bar stands where settings changed."""

    class Chosen(Message):
        """A token was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self) -> None:
        super().__init__("", id="strip", markup=False)

    def show(self, trace: Trace, cursor: int, ids: bool) -> None:
        """Draws the tokens with the one at `cursor` reversed; with `ids` under their numbers."""
        text = Text()
        changed = set(trace.settings_changed_at)
        for n, event in enumerate(trace.events):
            if n in changed:
                text.append("║", Style(color="#d16ba5", bold=True))
            style = next(style for limit, style in _SCALE if surprise_bits(event) < limit)
            shown = token_text(trace, event) + (f"({event.id})" if ids else "")
            shown += "‗" if against_the_odds(event) else ""
            style += Style(reverse=n == cursor, meta={"token": n})
            text.append(shown, style)
            text.append("│", Style(dim=True))
        self.update(text)

    def on_click(self, event: events.Click) -> None:
        token = event.style.meta.get("token")
        if isinstance(token, int):
            self.post_message(self.Chosen(token))


def entropy_change(event: TokenEvent) -> str:
    """The entropy before and after the chain, in bits."""
    if event.step is None:
        return f"entropy {event.entropy:.1f} bits"
    return f"entropy {event.entropy:.1f} → {event.step.entropy_final:.1f} bits"


def setting_changes(events: Sequence[TokenEvent], index: int) -> str:
    """What was turned right before token `index`: `temperature 0.7 → 1.2`."""
    if not 0 < index < len(events):
        return ""
    turned = changes(events[index - 1].settings, events[index].settings)
    return ", ".join(f"{name} {old} → {new}" for name, (old, new) in turned.items())
