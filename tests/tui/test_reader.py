"""A lesson is read, whatever stands in it."""

from __future__ import annotations

import pytest

from corpus.lessons import parse_lesson
from tests.tui.driver import wait_until
from tests.tui.test_injection import Shown, click_all
from tutor.engine.errors import EngineError
from tutor.sessions.store import Store
from tutor.settings import Settings
from tutor.tui.reader import Reader

LINKS = (
    "[a](../../../../etc/passwd)",
    "[b](file:///etc/passwd)",
    "[c](https://x.invalid)",
    "[d](/etc/passwd)",
    "![e](../../secret.png)",
    """[f](<');app.quit('>)""",
)
COMMANDS = ("\x1b[2J", "\x1b]0;owned\x07", "\x9b2J", "&#27;[2J", "[@click=app.quit]x[/]")


@pytest.fixture
def app(store: Store) -> Shown:
    """An app whose only lesson is hostile, and whose model cannot be loaded."""

    def fails(settings: object, progress: object) -> object:
        raise EngineError("no model in this test")

    text = "\n\n".join((*LINKS, *COMMANDS, "at the end"))
    app = Shown(store, fails, Settings())
    front = 'number: 1\ntitle: "Hostile \\e[2J"\nsummary: x\n'
    app.lessons = [parse_lesson(f"---\n{front}---\n## A section \x1b[2J\n\n{text}\n", "1.md")]
    return app


async def test_a_lesson_commands_the_terminal_to_nothing_and_its_links_lead_nowhere(
    app: Shown,
) -> None:
    async with app.run_test(headless=False, size=(120, 60)) as pilot:
        app.action_command("lesson", "1")
        await wait_until(pilot, lambda: isinstance(app.screen, Reader))
        await wait_until(pilot, lambda: "at the end" in app.screen_text)
        assert not app.obeyed
        assert len(app.links()) >= 4
        await click_all(pilot, app.links())
        assert app.opened == [] and isinstance(app.screen, Reader) and not app._exit
