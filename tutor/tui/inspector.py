"""The inspector: an answer token by token, the alternatives, and going on from another one."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tutor.agent.trace import Trace
from tutor.engine.events import Candidate
from tutor.sessions.store import StoredMessage
from tutor.text import visible
from tutor.tui.branches import BranchTree
from tutor.tui.chat import Chat
from tutor.tui.conversation import Turn
from tutor.tui.keys import Keys
from tutor.tui.prompt_view import PromptView
from tutor.tui.strip import (
    LEGEND,
    TokenStrip,
    entropy_change,
    setting_changes,
    surprise_bits,
    token_text,
)

_BAR = 16
_REFRESH_SECONDS = 0.1


class Inspector(ModalScreen[None]):
    """Looks into one answer, also while it is being written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f4", "dismiss", "back"),
        Binding("left", "move(-1)", "token", priority=True),
        Binding("right", "move(1)", "token", priority=True),
        Binding("home", "move(-100000)", "first", show=False, priority=True),
        Binding("end", "move(100000)", "last", show=False, priority=True),
        Binding("enter", "branch", "go on from this one", show=True),
        Binding("s", "step", "step"),
        Binding("b", "branches", "branches"),
        Binding("i", "ids", "ids"),
        Binding("p", "prompt", "prompt"),
    ]

    def __init__(self, chat: Chat, turn: Turn) -> None:
        super().__init__()
        self._chat = chat
        self._turn = turn
        self._trace: Trace | None = None
        self._cursor = 0
        self._ids = False
        self._stepping = False
        self._drawn: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical(id="inspector"):
            with VerticalScroll(id="strip-box"):
                yield TokenStrip()
            yield Static("", id="token", markup=False)
            yield OptionList(id="candidates", markup=False)
            yield Static(LEGEND, classes="hint", markup=False)
        yield Keys()

    def on_mount(self) -> None:
        self.query_one(Vertical).border_title = "Inside this answer"
        self.query_one(OptionList).focus()
        self._refresh()
        self.set_interval(_REFRESH_SECONDS, self._refresh)

    def _refresh(self) -> None:
        """Draws what has changed; a running answer grows under the cursor."""
        state = (self._turn.message, len(self._turn.events), self._cursor, self._ids)
        if state == self._drawn and not self._chat.answering:
            return
        if state[:2] != self._drawn[:2] or self._trace is None:
            self._trace = self._chat.trace(self._turn)
        self._drawn = state
        trace = self._trace
        if trace is None or not trace.events:
            self.query_one("#token", Static).update(
                "this turn has no trace: the model said nothing in it, or traces were not kept yet"
            )
            return
        self._cursor = min(self._cursor, len(trace.events) - 1)
        self.query_one(TokenStrip).show(trace, self._cursor, self._ids)
        self.query_one("#token", Static).update(self._told(trace))
        self._show_candidates(trace)

    def _told(self, trace: Trace) -> str:
        event = trace.events[self._cursor]
        parts = [
            f"token {self._cursor + 1} of {len(trace.events)}",
            f"{token_text(trace, event)!r}",
            f"id {event.id}",
            f"surprise {surprise_bits(event):.1f} bits",
            entropy_change(event),
        ]
        if event.step:
            parts.append("kept " + " ".join(f"{name} {kept:,}" for name, kept in event.step.kept))
        if changes := setting_changes(trace.events, self._cursor):
            parts.append(f"changed here: {changes}")
        branches = self._chat.branches(self._turn)
        if len(branches) > 1:
            at = [b.id for b in branches].index(self._turn.message or 0) + 1
            parts.append(f"branch {at} of {len(branches)}")
        return " · ".join(parts)

    def _show_candidates(self, trace: Trace) -> None:
        options = self.query_one(OptionList)
        event = trace.events[self._cursor]
        candidates = event.step.candidates if event.step else ()
        rows = [_row(trace, candidate, candidate.id == event.id) for candidate in candidates]
        header = Text(f"{'candidate':<18}{'logit':>7}{'p (all)':>9}{'after':>8}", style="bold")
        if [str(o.prompt) for o in options.options] == [str(header), *map(str, rows)]:
            return
        options.clear_options()
        options.add_option(Option(header, disabled=True))
        for candidate, row in zip(candidates, rows, strict=True):
            options.add_option(Option(row, id=str(candidate.id)))
        chosen = [c.id for c in candidates].index(event.id) if candidates else None
        options.highlighted = None if chosen is None else chosen + 1

    def action_move(self, by: int) -> None:
        if self._trace is None:
            return
        last = len(self._trace.events) - 1
        if by == 1 and self._cursor == last and self._stepping:
            self.action_step()
        self._cursor = max(0, min(self._cursor + by, last))
        self._refresh()

    def on_token_strip_chosen(self, event: TokenStrip.Chosen) -> None:
        self._cursor = event.index
        self._refresh()

    async def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option.id is None or self._trace is None:
            return
        pick = int(event.option.id)
        if pick == self._trace.events[self._cursor].id:
            self.notify("this token was drawn: choose another with the arrow keys, then Enter")
            return
        await self._chat.branch(self._turn, self._cursor, pick, 1 if self._stepping else None)

    def action_branch(self) -> None:
        self.query_one(OptionList).action_select()

    def action_step(self) -> None:
        """Step mode: every further token is asked for, by s or by Right at the end."""
        self._stepping = True
        self.run_worker(self._step(), group="command")

    async def _step(self) -> None:
        await self._chat.step(self._turn)
        self._cursor = 10**6

    def action_branches(self) -> None:
        """Shows the answers of this turn as a tree, and the one that is chosen in it."""
        branches = self._chat.branches(self._turn)
        if len(branches) < 2:
            self.notify("no branch yet: choose a candidate and press Enter")
            return

        async def chosen(branch: StoredMessage | None) -> None:
            if branch is None or branch.id == self._turn.message:
                return
            await self._chat.show_branch(self._turn, branch)
            self._trace = None
            self._cursor = branch.fork or 0
            self._refresh()

        self.app.push_screen(BranchTree(branches, self._turn.message), chosen)

    def action_ids(self) -> None:
        self._ids = not self._ids
        self._refresh()

    def action_prompt(self) -> None:
        if self._trace is not None:
            self.app.push_screen(PromptView(self._trace))


def _row(trace: Trace, candidate: Candidate, drawn: bool) -> Text:
    bar = "█" * round(_BAR * candidate.p_full) or "▏"
    after = f"{candidate.p_final:>8.3f}" if candidate.cut_by is None else f"{'—':>8}"
    note = "drawn" if drawn else f"cut by {candidate.cut_by}" if candidate.cut_by else "kept"
    text = visible(trace.text(candidate.id))[:17]
    row = f"{text:<18}{candidate.logit:>7.2f}{candidate.p_full:>9.3f}{after} {bar:<{_BAR}} {note}"
    return Text(row, style="bold" if drawn else "dim" if candidate.cut_by else "")
