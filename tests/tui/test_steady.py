from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.screen import Screen
from textual.strip import Strip

from tutor.tui.steady import Steady


class Page(App[None]):
    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Steady("some words", markup=False)


@pytest.fixture
def layouts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """One entry for each time that a screen is laid out."""
    counted: list[int] = []
    real = Screen._refresh_layout

    def count(screen: Screen[None], *arguments: object, **named: object) -> None:
        counted.append(1)
        real(screen, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Screen, "_refresh_layout", count)
    yield counted


async def test_text_of_as_many_lines_is_drawn_without_a_layout(layouts: list[int]) -> None:
    async with Page().run_test(size=(20, 10)) as pilot:
        await pilot.pause()
        layouts.clear()
        text = pilot.app.query_one(Steady)
        text.update("other words")
        await pilot.pause()
        assert layouts == []
        assert str(text.render()) == "other words"


async def test_text_of_more_or_fewer_lines_gets_its_room(layouts: list[int]) -> None:
    async with Page().run_test(size=(20, 10)) as pilot:
        text = pilot.app.query_one(Steady)
        for words, lines in (("word " * 9, 3), ("word", 1)):
            layouts.clear()
            text.update(words)
            await pilot.pause()
            assert layouts and text.size.height == lines


async def test_what_is_hidden_costs_nothing_and_is_there_when_it_is_shown(
    layouts: list[int],
) -> None:
    async with Page().run_test(size=(20, 10)) as pilot:
        box, text = pilot.app.query_one("#box"), pilot.app.query_one(Steady)
        box.display = False
        await pilot.pause()
        layouts.clear()
        text.update("hidden words that need two lines")
        await pilot.pause()
        assert layouts == []
        box.display = True
        await pilot.pause()
        assert str(text.render()) == "hidden words that need two lines"
        assert text.size.height == 2


async def test_text_that_grows_is_given_some_lines_at_once(layouts: list[int]) -> None:
    async with Page().run_test(size=(20, 12)) as pilot:
        text = pilot.app.query_one(Steady)
        text.lines_at_once = 4
        text.update("word " * 5)
        await pilot.pause()
        assert text.size.height == 4
        layouts.clear()
        text.update("word " * 15)
        await pilot.pause()
        assert layouts == [] and text.size.height == 4
        text.update("word " * 17)
        await pilot.pause()
        assert layouts and text.size.height == 8
        text.lines_at_once = 1
        text.update("word " * 17)
        await pilot.pause()
        assert text.size.height == 5


async def test_nothing_that_it_drew_is_kept_when_it_has_left_the_screen() -> None:
    def lines() -> list[str]:
        return [o.text for o in gc.get_objects() if isinstance(o, Strip) and "zebra" in o.text]

    async with Page().run_test(size=(20, 10)) as pilot:
        text = pilot.app.query_one(Steady)
        text.update("a zebra")
        await pilot.pause()
        assert lines()
        await text.remove()
        del text
        await pilot.pause()
        gc.collect()
        assert not lines()
