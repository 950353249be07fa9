"""The part of the app that turns settings: what a change does to the next token, and who speaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual import work
from textual.app import App

from tutor.engine.errors import AdapterError, EngineError
from tutor.engine.settings import Sampling
from tutor.settings import NONE, SHIPPED, Settings, SettingsError
from tutor.tui.chat import Chat
from tutor.tui.decoding import DecodingPanel, Knob, Preset
from tutor.tui.messages import Did, Opened, Previewed, Swapped
from tutor.tui.picture import ROWS, Picture, effect
from tutor.tui.status import StatusLine
from tutor.tui.tuning import Tuning


class TunableApp(App[None]):
    """An app with settings, and with a chat that speaks under them."""

    tuning: Tuning
    chat: Chat

    @property
    def settings(self) -> Settings:
        """All settings as they count now."""
        return self.tuning.settings

    @property
    def sampling(self) -> Sampling:
        """The decoding settings; read at every token."""
        return self.settings.sampling

    def complain(self, text: str) -> None:
        self.notify(text, severity="warning", markup=False)

    def tune(self, change: Callable[[], None]) -> None:
        """Makes a change of the settings, and shows what it does to the next token."""
        before = self.settings
        try:
            change()
        except SettingsError as error:
            self.complain(str(error))
        theme = self.settings.theme
        if theme != before.theme and theme in self.available_themes:
            self.theme = theme
        if not self.is_running:  # kept all the same
            return
        told = effect(before.sampling, self.sampling, None, None)
        self.query_one(DecodingPanel).show(self.settings, told)
        if _variant(before) != _variant(self.settings):
            self._swap(before)
        if told and not self.chat.answering:
            self.preview(before.sampling)

    @work(thread=True, exclusive=True, group="preview", exit_on_error=False)
    def preview(self, before: Sampling) -> None:
        """The next token under the settings before the last change, and under those of now."""
        tutor, now = self.chat.tutor, self.sampling
        if tutor is None:
            return
        try:
            found = [tutor.engine.preview(sampling, ROWS) for sampling in (before, now)]
        except EngineError:  # closed in the meantime
            return
        if found[0] and found[1]:
            told = effect(before, now, found[0].step, found[1].step)
            self.post_message(Previewed(found[1].step, told))

    def on_previewed(self, event: Previewed) -> None:
        if self.is_running and self.chat.tutor and not self.chat.answering:
            text = self.chat.tutor.engine.token_text
            self.query_one(Picture).show(event.step, text, drawn=False)
            self.query_one(DecodingPanel).show(self.settings, event.effect)

    async def on_opened(self, event: Opened) -> None:
        """From now on the tutor speaks, as the settings are now: they may have been turned since."""
        if not self.is_running:
            return
        self.chat.tutor = tutor = event.tutor
        self.query_one(StatusLine).ready(tutor.info.name, tutor.n_ctx, tutor.engine.adapter)
        if event.fault:
            self.complain(event.fault)
            if self.settings.adapter == event.asked:
                self.tuning.fall_back("adapter", event.settings.adapter)
                self.query_one(DecodingPanel).show(self.settings)
        if _variant(self.settings) != _variant(event.settings):
            self._swap(event.settings)
        await self.chat.ask_waiting()

    @work(thread=True, group="swap", exit_on_error=False)
    def _swap(self, before: Settings) -> None:
        """Lets the variant of the newest settings speak, from the next answer on."""
        if (tutor := self.chat.tutor) is None:
            return
        try:
            # A demonstration or a comparison would put back what spoke before it.
            with tutor.bench.turn:
                tutor.use(self.settings.adapter, self.settings.adapter_scale)
        except AdapterError as error:
            self.post_message(Swapped(None, str(error), before))
        except EngineError:  # closed in the meantime
            pass
        else:
            self.post_message(Swapped(tutor.engine.adapter))

    def on_swapped(self, event: Swapped) -> None:
        if not self.is_running:
            return
        if event.fault and event.before:
            self.complain(event.fault)
            kept = event.before
            self.tuning.set("adapter", kept.adapter)
            self.tuning.set("adapter_scale", kept.adapter_scale)
            self.query_one(DecodingPanel).show(self.settings)
            return
        self.query_one(StatusLine).speaks(event.adapter)
        acting = event.adapter
        self.query_one(DecodingPanel).effect(
            f"from the next answer on the adapter {acting.name} acts at {acting.scale:g}"
            if acting
            else "from the next answer on the base model speaks alone"
        )

    # What is turned

    def set_setting(self, name: str, value: Any) -> None:
        """Changes one setting, or says why not."""
        self.tune(lambda: self.tuning.set(name, value))

    def on_preset_chosen(self, event: Preset.Chosen) -> None:
        self.command_preset(event.name)

    def on_knob_turned(self, event: Knob.Turned) -> None:
        self.set_setting(event.name, event.value)

    def on_did(self, event: Did) -> None:
        """Does what a request in plain words left to the app."""
        performed = event.performed
        if performed.sampling is not None:
            sampling = performed.sampling
            self.tune(lambda: self.tuning.sampling(sampling))
        if performed.undo:
            self.tune(self.tuning.undo)
        if performed.adapter is not None:
            self.set_setting("adapter", performed.adapter)

    def command_set(self, argument: str) -> None:
        name, _, value = argument.partition(" ")
        if name and value.strip():
            self.set_setting(name, value.strip())
        else:
            self.complain("name a setting and a value, for example /set temperature 1.2")

    def command_reset(self, _: str) -> None:
        self.tune(lambda: self.tuning.sampling(Sampling()))

    def command_preset(self, argument: str) -> None:
        self.tune(lambda: self.tuning.preset(argument))

    def command_undo(self, _: str) -> None:
        self.tune(self.tuning.undo)

    def command_adapter(self, argument: str) -> None:
        """Swaps in the adapter of that name or path; without one, swaps in or out."""
        now = self.settings.adapter
        if not argument:
            argument = self._swapped_out if now == NONE else NONE
            if now != NONE:
                self._swapped_out = now
        self.set_setting("adapter", argument)

    _swapped_out = SHIPPED
    """What the key swaps in again."""


def _variant(settings: Settings) -> tuple[str, float]:
    return settings.adapter, settings.adapter_scale
