"""The map, the reference, settings, help and the palette."""

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot

from tests.screens.conftest import screen_text
from tests.screens.fakes import FakeCourse
from tutor.app import TutorApp
from tutor.screens.lesson import LessonScreen
from tutor.screens.map import MapScreen
from tutor.screens.preferences import Preferences

Snapshot = Callable[[App, str], None]
SIZES = [(80, 24), (160, 48)]


async def at_map(pilot: Pilot) -> MapScreen:
    for _ in range(50):
        await pilot.pause(0.01)
        if isinstance(pilot.app.screen, MapScreen) and pilot.app.screen.view.chapters:
            await pilot.pause()
            return pilot.app.screen
    raise AssertionError("no map")


@pytest.mark.parametrize("size", SIZES)
async def test_the_map(size: tuple[int, int], snapshot: Snapshot) -> None:
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=size) as pilot:
        await at_map(pilot)
        snapshot(app, f"map-{size[0]}x{size[1]}")
        await pilot.press("f1")
        await pilot.pause()
        snapshot(app, f"map-{size[0]}x{size[1]}-help")


async def test_enter_continues_where_the_learner_was() -> None:
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=(100, 30)) as pilot:
        await at_map(pilot)
        await pilot.press("enter")
        for _ in range(20):
            await pilot.pause(0.01)
        assert isinstance(app.screen, LessonScreen)
        assert app.screen.setup is not None
        assert app.screen.setup.id == "strings"


async def test_a_lesson_that_is_not_there_is_said_and_the_map_stays() -> None:
    app = TutorApp("nosuch", FakeCourse(), Preferences())
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await at_map(pilot)
        await pilot.pause(0.05)
        assert "there is no lesson 'nosuch'" in screen_text(app)


async def test_the_reference_finds_commands_and_terms() -> None:
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=(120, 30)) as pilot:
        await at_map(pilot)
        await pilot.press("r")
        for _ in range(300):
            await pilot.pause(0.02)
            if "commands" in screen_text(app).splitlines()[0]:
                break
        await pilot.press(*"hset")
        await pilot.pause()
        text = screen_text(app)
        assert "HSET key field value [field value ...]" in text
        assert "@write @hash @fast" in text
        await pilot.press("ctrl+u", *"backlog")
        await pilot.pause()
        assert "The latest part of the replication stream" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, MapScreen)


async def test_settings_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.json"
    app = TutorApp(None, FakeCourse(), Preferences.load(path))
    async with app.run_test(size=(100, 30)) as pilot:
        await at_map(pilot)
        await pilot.press("comma")
        await pilot.pause()
        await pilot.press("down", "enter", "tab", "down", "enter", "f12", "escape")
        await pilot.pause()
        assert app.theme == "redis-tutor-light"
    kept = Preferences.load(path)
    assert kept.theme == "redis-tutor-light"
    assert kept.keys == {"lesson.hint": "f12"}
    app = TutorApp("strings", FakeCourse(), kept)
    async with app.run_test(size=(100, 30)) as pilot:
        for _ in range(20):
            await pilot.pause(0.01)
        assert app.theme == "redis-tutor-light"
        await pilot.press("f12")
        await pilot.pause(0.05)
        assert "Hint 1 of 3" in screen_text(app)


def test_damaged_settings_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"theme": 3, "keys": {"a": 1, "b": "f1"}')
    assert Preferences.load(path).keys == {}
    assert path.read_text().startswith('{"theme": 3')
    path.write_text('{"theme": 3, "keys": {"a": 1, "b": "f1"}}')
    kept = Preferences.load(path)
    assert (kept.theme, kept.keys) == ("", {"b": "f1"})


async def test_forgetting_everything_asks_first() -> None:
    course = FakeCourse()
    app = TutorApp(None, course, Preferences())
    async with app.run_test(size=(100, 30)) as pilot:
        await at_map(pilot)
        app.action_reset_everything()
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert not course.reset
        app.action_reset_everything()
        await pilot.pause()
        await pilot.press("down", "enter")
        await pilot.pause(0.05)
        assert course.reset


async def test_no_theme_hides_text() -> None:
    """Whatever the theme, text and ground differ, also once NO_COLOR has taken the colours away."""
    from textual.color import Color

    def contrast(one: Color, other: Color) -> float:
        low, high = sorted((one.brightness, other.brightness))
        return (high + 0.05) / (low + 0.05)

    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=(100, 30)) as pilot:
        await at_map(pilot)
        for name in app.available_themes:
            app.theme = name
            variables = app.get_css_variables()
            ground = Color.parse(variables["background"])
            for each in ("foreground", "muted"):
                colour = Color.parse(variables[each])
                if ground.ansi is None and colour.ansi is None:
                    assert contrast(colour, ground) > 1.7, (name, each)
