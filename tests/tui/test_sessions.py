"""The list of conversations, also over a store that fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from tests.tui.driver import told, wait_until
from tutor.engine.errors import EngineError
from tutor.sessions.store import Store
from tutor.settings import Settings
from tutor.tui.app import TutorApp
from tutor.tui.conversation import Turn
from tutor.tui.sessions import SessionList


@pytest.fixture
def app(store: Store) -> TutorApp:
    """An app of two conversations whose model cannot be loaded: the list needs none."""

    def fails(settings: object, progress: object) -> object:
        raise EngineError("no model in this test")

    for title in ("older", "newer"):
        store.begin(title)
    return TutorApp(store, fails, Settings())  # type: ignore[arg-type]


def listed(app: TutorApp) -> list[str]:
    return [str(option.prompt) for option in app.screen.query_one(OptionList).options]


async def test_a_conversation_is_resumed(app: TutorApp, store: Store) -> None:
    older = store.conversations()[-1].id
    store.add(older, "user", "What is a token?")
    store.add(older, "assistant", "A piece of text.")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await wait_until(pilot, lambda: isinstance(app.screen, SessionList))
        app.screen.query_one(OptionList).highlighted = listed(app).index(
            next(line for line in listed(app) if "older" in line)
        )
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.chat.conversation == older and bool(app.query(Turn)))


async def test_a_conversation_is_exported_by_key(
    app: TutorApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await wait_until(pilot, lambda: isinstance(app.screen, SessionList))
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: bool(list(tmp_path.glob("conversation-*.md"))))


@pytest.mark.parametrize("keys", [["ctrl+t"], ["delete", "delete"]], ids=["renaming", "deleting"])
async def test_what_the_store_refuses_is_told_and_the_list_stays(
    app: TutorApp, store: Store, keys: list[str]
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await wait_until(pilot, lambda: isinstance(app.screen, SessionList))
        app.screen.query_one(Input).value = "er"
        await pilot.pause()
        before = listed(app)
        store.close()
        await pilot.press("down", *keys)
        await wait_until(pilot, lambda: told(app, "closed database"))
        assert isinstance(app.screen, SessionList) and listed(app) == before
        assert len(before) == 2


async def test_a_list_that_cannot_be_read_is_told(app: TutorApp, store: Store) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        store.close()
        await pilot.press("f9")
        await wait_until(pilot, lambda: told(app, "closed database"))
        assert isinstance(app.screen, SessionList) and listed(app) == []


async def test_a_search_that_cannot_be_done_is_told_and_the_list_stays(
    app: TutorApp, store: Store
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await wait_until(pilot, lambda: isinstance(app.screen, SessionList))
        store.close()
        app.screen.query_one(Input).value = "older"
        await wait_until(pilot, lambda: told(app, "closed database"))
        assert len(listed(app)) == 2
