"""The laboratory driven as a person would."""

from collections.abc import Callable

import pytest
from textual.app import App
from textual.pilot import Pilot

from tests.screens.conftest import screen_text
from tests.screens.fakes import FakeCourse
from tutor.app import TutorApp
from tutor.screens.laboratory import LaboratoryScreen
from tutor.screens.preferences import Preferences
from tutor.screens.scenarios import ScenariosScreen

Snapshot = Callable[[App, str], None]
NAMES = {" ": "space", ">": "greater_than_sign"}


def program(scenario: str | None = None) -> TutorApp:
    return TutorApp(None, FakeCourse(), Preferences(), scenario)


async def opened(pilot: Pilot) -> LaboratoryScreen:
    for _ in range(50):
        await pilot.pause()
        if isinstance(pilot.app.screen, LaboratoryScreen):
            await pilot.pause()
            return pilot.app.screen
    raise AssertionError("the laboratory did not open")


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_a_scenario(size: tuple[int, int], snapshot: Snapshot) -> None:
    app = program("partial-resync")
    name = f"laboratory-{size[0]}x{size[1]}"
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n", "n")
        await pilot.pause()
        snapshot(app, f"{name}-1-cluster")
        await pilot.press("tab")
        await pilot.pause()
        snapshot(app, f"{name}-2-messages")
        at = next(at for at, row in enumerate(screen.rows) if row[4].startswith("why partial"))
        screen.chosen = at
        await pilot.press("tab", "down", "up")
        await pilot.pause()
        snapshot(app, f"{name}-3-why")
        assert "\u2192 +CONTINUE" in screen_text(app)


async def test_back_branch_and_the_prompt() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(160, 48)) as pilot:
        screen = await opened(pilot)
        history = screen.stage.history
        await pilot.press("n")
        end, digest = history.place, history.digest()
        await pilot.press("left", "left", "left")
        assert history.place < end
        await pilot.press("right", "right", "right")
        assert history.place <= end
        history.goto(end)
        assert (history.place, history.digest()) == (end, digest)
        await pilot.press("left", "left")
        await pilot.press("colon", *(NAMES.get(each, each) for each in "A> SET k v"), "enter")
        await pilot.pause()
        assert history.branch_name == "branch 2"
        assert "+OK" in screen_text(app)
        place = history.place
        await pilot.press(*"fly", "enter")
        await pilot.pause()
        assert history.place == place
        await pilot.press("escape", "b")
        assert history.branch_name == "main"
        await pilot.press("k", "enter", "escape")
        assert history.world.hosts["A"].state == "down"
        await pilot.press("space")
        assert screen.playing
        await pilot.press("space", "escape")
        await pilot.pause()
        assert not isinstance(app.screen, LaboratoryScreen)


async def test_from_the_map(snapshot: Snapshot) -> None:
    app = program()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("l")
        await pilot.pause()
        assert isinstance(app.screen, ScenariosScreen)
        snapshot(app, "laboratory-80x24-scenarios")
        await pilot.press("enter")
        await opened(pilot)


async def test_the_first_event_is_before_there_is_anything() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(160, 48)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n", "home")
        await pilot.pause()
        assert screen.stage.history.place == 0
        await pilot.press("left", "tab", "m", "end")
        await pilot.pause()
        assert screen.stage.history.place > 100
