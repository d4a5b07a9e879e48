"""`find` and watch expressions on the laboratory's screen, driven as a person would."""

import pytest

from tests.screens.driving import keys, screen_text, settle, until
from tests.screens.test_laboratory import opened, program
from tests.screens.test_laboratory_finding import typed
from tutor.screens.laboratory import LaboratoryScreen
from tutor.screens.laboratory.sheet import Sheet

pytestmark = pytest.mark.long


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_is_found_opens_and_can_be_undone(size: tuple[int, int]) -> None:
    app = program("failover-replica")
    async with app.run_test(size=size, notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n")
        await settle(pilot)
        place = screen.session.history.place
        await typed(pilot, "find two masters")
        await until(pilot, lambda: isinstance(app.screen, Sheet), "what was found")
        assert "are masters at the same time" in screen_text(app)
        assert "REPLICAOF NO ONE" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert screen.session.history.branch_name == "two masters"
        assert "two masters" in screen_text(app).splitlines()[0]
        await pilot.press("u")
        await settle(pilot)
        assert (screen.session.history.branch_name, screen.session.history.place) == ("main", place)
        screen.session.worked = False


async def test_any_key_stops_it_and_nothing_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutor.screens.laboratory.player.MOMENT_S", 0.0)
    app = program("failover-replica")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n")
        await settle(pilot)
        digest = screen.session.history.digest()
        await pilot.press("colon", *keys("find A> GET nothing = 1"), "enter")
        await until(pilot, lambda: " of 60 s, " in screen_text(app), "the progress")
        assert screen.player.working and "histories" in screen.player.state
        await pilot.press("x")
        await settle(pilot)
        assert not screen.player.working and app.screen is screen
        assert "Nothing has changed" in screen_text(app)
        assert screen.session.history.digest() == digest and not screen.session.worked
        await typed(pilot, "find lost writ")
        await until(pilot, lambda: "did you mean lost write" in screen_text(app), "the nearest name")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_values_are_watched(size: tuple[int, int]) -> None:
    app = program("failover-replica")
    async with app.run_test(size=size, notifications=True) as pilot:
        screen: LaboratoryScreen = await opened(pilot)
        await pilot.press("n", "n")
        await typed(pilot, "watch A> GET k1")
        assert "A> GET k1 one" in screen_text(app)
        await typed(pilot, "watch B role")
        assert "B role slave" in screen_text(app)
        await typed(pilot, "watch B rol")
        await until(pilot, lambda: "mean role?" in screen_text(app), "the nearest field")
        await pilot.press("home")
        await settle(pilot)
        assert "A> GET k1 –" in screen_text(app)
        await typed(pilot, "next change")
        assert "A> GET k1 (nil) ≠ was –" in screen_text(app)
        await pilot.press("right_square_bracket", "right_square_bracket")
        await settle(pilot)
        assert "A> GET k1 one ≠ was (nil)" in screen_text(app)
        await pilot.press("left_square_bracket")
        await settle(pilot)
        assert "B role slave ≠ was –" in screen_text(app)
        await typed(pilot, "unwatch all")
        assert "B role" not in screen_text(app).splitlines()[1]
        screen.session.worked = False


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_branches_step_by_step(size: tuple[int, int]) -> None:
    app = program("failover-replica")
    async with app.run_test(size=size, notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n")
        await settle(pilot)
        for line in ("app> SET k1 one", "wait 2"):
            await typed(pilot, line)
        await pilot.press("escape", "pageup")
        await typed(pilot, "B> REPLICAOF NO ONE")
        await pilot.press("escape")
        place = screen.session.history.place
        await pilot.press("equals_sign", "home")
        await settle(pilot)
        assert "≠" not in screen_text(app)
        parting = screen_text(app)
        await pilot.press("right", "shift+right")
        await settle(pilot)
        assert screen_text(app) != parting
        await pilot.press("left", "shift+left")
        await settle(pilot)
        assert screen_text(app) == parting
        await pilot.press("d", "d", "d")
        await settle(pilot)
        assert "≠" in screen_text(app)
        await pilot.press("end")
        await settle(pilot)
        assert "ends at" in screen_text(app)
        await pilot.press("d")
        await until(pilot, lambda: "After this" in screen_text(app), "that nothing else becomes different")
        await pilot.press("escape")
        assert app.screen is screen and screen.session.history.place == place
        screen.session.worked = False
