"""Bookmarks on the screen: the map lists them, a lesson sets and visits them."""

from pathlib import Path

import pytest

from tests.screens.driving import screen_text, settle, type_line, until
from tutor.app import TutorApp
from tutor.lesson import bookmarks
from tutor.lesson.catalogue import installed_course
from tutor.lesson.progress import Progress
from tutor.screens.bookmarks import BookmarksScreen
from tutor.screens.lesson import LessonScreen
from tutor.screens.map import MapScreen
from tutor.screens.preferences import Preferences
from tutor.widgets.terminal import Terminal

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    return tmp_path


async def test_a_bookmark_is_set_in_a_lesson_and_visited_from_the_map(snapshot) -> None:
    app = TutorApp("keys", None, Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await until(
            pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.step and app.screen, "the lesson"
        )
        terminal = screen.query_one(Terminal)
        await until(pilot, lambda: not terminal.busy, "the prompt")
        await pilot.press("f8")
        await until(pilot, lambda: screen.step.number == 2, "step 2")
        await type_line(pilot, ":bookmark names of keys")
        await until(pilot, lambda: "step 2 of" in screen_text(app) and "⚑" in screen_text(app), "the mark")
        await pilot.press("f8")
        await until(pilot, lambda: screen.step.number == 3, "step 3")
        await type_line(pilot, ":bookmarks")
        await until(pilot, lambda: "names of keys" in screen_text(app), "the list")
        snapshot(app, "bookmarks-80x24")
        await pilot.press("enter")
        await until(pilot, lambda: "Go back to step 2?" in screen_text(app), "the question")
        await pilot.press("down", "enter")
        await until(pilot, lambda: screen.step.number == 2, "step 2 again")
        await screen.leave_for().wait()
        await until(pilot, lambda: isinstance(app.screen, MapScreen) and "⚑" in screen_text(app), "the map")
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, BookmarksScreen) and "1 bookmark" in screen_text(app), "it")
        await pilot.press("d")
        await until(pilot, lambda: "You have no bookmarks" in screen_text(app), "the end of it")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MapScreen) and "⚑" not in screen_text(app), "the map")


async def test_the_search_leads_to_a_bookmark() -> None:
    bookmarks.add(Progress(), installed_course().find("keys"), 1, "xylophone")
    app = TutorApp(None, None, Preferences())
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MapScreen) and app.screen.view.chapters, "the map")
        await pilot.press("slash", *"xylo")
        await until(pilot, lambda: "1 found" in screen_text(app), "it is found")
        await pilot.press("enter")
        screen = await until(
            pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.step and app.screen, "the lesson"
        )
        await until(pilot, lambda: screen.step.number == 2, "the step")
        await settle(pilot)
        assert screen.setup.id == "keys"
