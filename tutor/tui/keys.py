"""The line at the bottom: the keys that do something on this screen; a click presses one."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget

_BETWEEN = Content("  ")


class Keys(Widget):
    """The shown bindings in one line, the list of all commands at its end.

    Textual's Footer makes a widget of every key and makes all anew whenever the focus moves, which
    the first frame and the keys have to wait for.
    """

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[Content] = []
        self._palette: list[Content] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        if not (self.is_attached and screen is self.screen and self.app.app_focus):
            return
        # Of several keys for one action the first is shown.
        by_action: dict[str, Content] = {}
        self._palette = []
        for _, binding, enabled, _ in screen.active_bindings.values():
            told = Content.from_markup(
                "[bold $footer-key-foreground]$key[/] $what" if enabled else "[dim]$key $what[/]",
                key=self.app.get_key_display(binding),
                what=binding.description,
            ).stylize(Style.from_meta({"key": binding.key}))
            if binding.key == self.app.COMMAND_PALETTE_BINDING:
                self._palette = [told]
            elif binding.show:
                by_action.setdefault(binding.action, told)
        self._shown = list(by_action.values())
        self.refresh()

    def render(self) -> Content:
        """As many keys as there is room for; those that come first matter most."""
        for count in range(len(self._shown), -1, -1):
            line = _BETWEEN.join([*self._shown[:count], *self._palette])
            if line.cell_length <= self.content_size.width:
                return line
        return Content()

    def on_click(self, event: events.Click) -> None:
        if key := event.style.meta.get("key"):
            self.app.simulate_key(key)
