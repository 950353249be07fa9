from __future__ import annotations

import pytest

from tests.tui.driver import wait_until
from tutor.agent.tutor import Tutor
from tutor.sessions.store import Store
from tutor.settings import Settings
from tutor.tui.app import TutorApp
from tutor.tui.help import Help
from tutor.tui.keys import Keys
from tutor.tui.sessions import SessionList


@pytest.fixture
def app(store: Store, tutor: Tutor) -> TutorApp:
    return TutorApp(store, lambda settings, progress: tutor, Settings())


def line(app: TutorApp) -> str:
    return str(app.screen.query_one(Keys).render())


async def test_a_click_on_a_key_presses_it(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: "f1 help" in line(app))
        await pilot.click(Keys, offset=(2, 0))
        await wait_until(pilot, lambda: isinstance(app.screen, Help))


@pytest.mark.parametrize("width", [40, 80, 200])
async def test_the_keys_that_fit_are_shown_and_the_palette_always(
    app: TutorApp, width: int
) -> None:
    async with app.run_test(size=(width, 24)) as pilot:
        await wait_until(pilot, lambda: "f1 help" in line(app))
        assert line(app).endswith("palette") and len(line(app)) <= width - 2
        assert ("f9 sessions" in line(app)) == (width == 200)


async def test_another_screen_shows_its_own_keys(app: TutorApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await wait_until(pilot, lambda: isinstance(app.screen, SessionList))
        await wait_until(pilot, lambda: "esc" in line(app))
        assert "f1 help" not in line(app)
