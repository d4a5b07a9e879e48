"""The map, the reference, settings, help and the palette."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from textual import events
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.screens.driving import keys, screen_text, settle, until
from tests.screens.fakes import FakeCourse
from tests.waiting import PATIENCE_S
from tutor.app import TutorApp
from tutor.lesson.catalogue import installed_course
from tutor.lesson.progress import Miss, Progress, Taken
from tutor.screens import reference
from tutor.screens.find import FindScreen
from tutor.screens.lesson import LessonScreen
from tutor.screens.map import MapScreen
from tutor.screens.preferences import Preferences
from tutor.screens.reference import ReferenceScreen

pytestmark = pytest.mark.long

Snapshot = Callable[[App, str], None]
SIZES = [(80, 24), (160, 48)]


async def at_map(pilot: Pilot) -> MapScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, MapScreen) and pilot.app.screen.view.chapters, "the map")
    screen = pilot.app.screen
    assert isinstance(screen, MapScreen)
    return screen


@pytest.mark.parametrize("size", SIZES)
async def test_the_map(size: tuple[int, int], snapshot: Snapshot) -> None:
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=size) as pilot:
        await at_map(pilot)
        snapshot(app, f"map-{size[0]}x{size[1]}")
        await pilot.press("f1")
        await settle(pilot)
        snapshot(app, f"map-{size[0]}x{size[1]}-help")


async def test_enter_continues_where_the_learner_was() -> None:
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=(100, 30)) as pilot:
        await at_map(pilot)
        await pilot.press("enter")
        setup = await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.setup, "the lesson")
        assert setup.id == "strings"


async def test_escape_asks_before_the_program_ends() -> None:
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        await at_map(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert "Quit redis-tutor?" in screen_text(app)
        await pilot.press("escape", "escape", "enter")  # closed, asked again, and stayed
        await settle(pilot)
        assert isinstance(app.screen, MapScreen)
        await pilot.press("escape", "down", "enter")
    assert app.return_code == 0


@pytest.mark.parametrize("text", ["get foo", "get foo\r", "lrs,?q", "\rs"])
async def test_text_pasted_on_the_map_without_marks_does_nothing(text: str) -> None:
    """A terminal without bracketed paste sends the letters as keys, all at once."""
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test() as pilot:
        await at_map(pilot)
        for key, character in zip(keys(text), text, strict=True):
            app.post_message(events.Key(key, character))
        await settle(pilot)
        assert isinstance(app.screen, MapScreen)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ReferenceScreen), "the reference: one key is typed")


async def test_a_lesson_that_is_not_there_is_said_and_the_map_stays() -> None:
    app = TutorApp("nosuch", FakeCourse(), Preferences())
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await at_map(pilot)
        await until(pilot, lambda: "there is no lesson 'nosuch'" in screen_text(app), "the notice")
        assert isinstance(app.screen, MapScreen)


async def test_the_reference_finds_commands_and_terms() -> None:
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=(120, 30)) as pilot:
        await at_map(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "commands" in screen_text(app).splitlines()[0], "the reference")
        await pilot.press(*"hset")
        await settle(pilot)
        text = screen_text(app)
        assert "HSET key field value [field value ...]" in text
        assert "@write @hash @fast" in text
        await pilot.press("ctrl+u", *"backlog")
        await settle(pilot)
        assert "The latest part of the replication stream" in screen_text(app)
        assert "lessons Strings" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert isinstance(app.screen, MapScreen)


async def test_what_is_typed_before_the_reference_is_read_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    read = threading.Event()
    pages = reference.command_pages

    def slowly() -> list[reference.Page]:
        assert read.wait(PATIENCE_S)
        return pages()

    monkeypatch.setattr(reference, "command_pages", slowly)
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=(120, 30)) as pilot:
        await at_map(pilot)
        await pilot.press("r", *"hset")
        assert "Nothing like that" not in screen_text(app)
        read.set()
        await until(pilot, lambda: "HSET key field value [field value ...]" in screen_text(app), "the page")
        await pilot.press("enter")
        await settle(pilot)
        assert app.screen.focused is not None and app.screen.focused.id == "ref-examples"


async def test_settings_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.json"
    app = TutorApp(None, FakeCourse(), Preferences.load(path))
    async with app.run_test(size=(100, 30)) as pilot:
        await at_map(pilot)
        await pilot.press("comma")
        await settle(pilot)
        await pilot.press("down", "enter", "tab", "tab", "down", "enter", "f12", "escape")
        await settle(pilot)
        assert app.theme == "redis-tutor-light"
    kept = Preferences.load(path)
    assert kept.theme == "redis-tutor-light"
    assert kept.keys == {"lesson.hint": "f12"}
    app = TutorApp("strings", FakeCourse(), kept)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.step, "the lesson")
        assert app.theme == "redis-tutor-light"
        await pilot.press("f12")
        await until(pilot, lambda: "Hint 1 of 3" in screen_text(app), "the hint")


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
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert not course.reset
        app.action_reset_everything()
        await settle(pilot)
        await pilot.press("down", "enter")
        await until(pilot, lambda: course.reset, "the reset")


async def test_no_theme_hides_text() -> None:
    """Whatever the theme, text and ground differ, also once NO_COLOR has taken the colors away."""
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
                color = Color.parse(variables[each])
                if ground.ansi is None and color.ansi is None:
                    assert contrast(color, ground) > 1.7, (name, each)


@pytest.mark.parametrize("size", SIZES)
async def test_find_opens_what_was_chosen(size: tuple[int, int], snapshot: Snapshot, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    app = TutorApp(None, None, Preferences())
    async with app.run_test(size=size) as pilot:
        await at_map(pilot)
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(app.screen, FindScreen), "the search")
        await pilot.press(*"leaderboard")
        found = app.screen.query_one("#found", OptionList)
        await until(pilot, lambda: found.option_count and "Leaderboards" in screen_text(app), "what was found")
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.step, "the lesson")
        assert app.screen.step.lesson == "Sorted sets"


@pytest.mark.parametrize("size", SIZES)
async def test_the_review_asks_and_tells(size: tuple[int, int], snapshot: Snapshot, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    lesson = installed_course().find("counters")
    at = next(at for at, step in enumerate(lesson.steps) if step.predictions)
    asked = lesson.steps[at].predictions[0]
    miss = Miss(asked.id, at, asked.question, "x", "y")
    Progress().change(lambda kept: kept.lessons.update(counters=Taken(done=True, missed=[miss])))
    app = TutorApp(None, None, Preferences())
    async with app.run_test(size=size) as pilot:
        await at_map(pilot)
        await pilot.press("v")
        await until(pilot, lambda: "question 1 of 1" in screen_text(app), "the question")
        await until(pilot, lambda: app.focused, "the options")
        await pilot.press("down", "enter")
        await until(pilot, lambda: "Not quite" in screen_text(app), "the verdict")
        snapshot(app, f"review-{size[0]}x{size[1]}")
        await pilot.press("enter")
        await until(pilot, lambda: "0 of 1 right" in screen_text(app), "the end")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, MapScreen), "the map")
        assert "to review" not in screen_text(app), "it comes back tomorrow"


async def test_the_palette_finds_the_colors() -> None:
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=(100, 30)) as pilot:
        await at_map(pilot)
        for name, theme in (("light", "redis-tutor-light"), ("dark", "redis-tutor-dark")):
            await pilot.press("ctrl+p")
            await settle(pilot)
            await pilot.press(*name)
            await until(pilot, lambda name=name: f"{name.capitalize()} theme" in screen_text(app), "the palette")
            await pilot.press("enter")
            await until(pilot, lambda theme=theme: app.theme == theme, "the theme")


async def test_the_help_of_the_map_has_no_keys_of_textual() -> None:
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=(100, 60)) as pilot:
        await at_map(pilot)
        await pilot.press("f1")
        await until(pilot, lambda: "The map of the course" in screen_text(app), "the help")
        assert "laboratory" in screen_text(app) and "Copy" not in screen_text(app)
