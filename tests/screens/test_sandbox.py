"""The sandbox on the screen: data sets, starting afresh, and examples of the reference tried in it."""

from pathlib import Path

import pytest

from tests.screens.driving import screen_text, settle, type_line, until
from tests.screens.fakes import FakeCourse
from tutor.app import TutorApp
from tutor.lesson.installed import InstalledCourse
from tutor.screens.lesson import LessonScreen
from tutor.screens.preferences import Preferences
from tutor.screens.reference import ReferenceScreen

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    return tmp_path


async def test_a_data_set_is_loaded_tried_and_comes_back() -> None:
    app = TutorApp(None, None, Preferences(), sandbox=["data places"])
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "The server has 7 keys" in screen_text(app), "the data")
        await until(pilot, lambda: "Places: cities and cafés on the map" in screen_text(app), "what is in it")
        await pilot.press("f7")
        await until(pilot, lambda: '"429.98' in screen_text(app), "the example")
    app = TutorApp(None, None, Preferences(), sandbox=[])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "replayed" in screen_text(app), "the sandbox again")
        await until(pilot, lambda: "Places: cities" in screen_text(app), "what is in it")
        await type_line(pilot, ":data sessions")
        await until(pilot, lambda: "Places: cities" not in screen_text(app), "the text about the other data")
        await until(pilot, lambda: "session:<token>" in screen_text(app), "the text about this one")
        await type_line(pilot, ":data shoes")
        await until(pilot, lambda: "There is no data set" in screen_text(app), "the names")
        await type_line(pilot, ":hint")
        await settle(pilot)
        assert "“:hint” is not a command here" in screen_text(app)


async def test_an_example_of_the_reference_opens_the_sandbox_with_its_data() -> None:
    app = TutorApp(None, None, Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_reference("ZADD")
        await until(pilot, lambda: "Try it: Enter opens the sandbox" in screen_text(app), "the example")
        await pilot.press("enter")
        await until(pilot, lambda: "leaderboard" in screen_text(app), "what it needs")
        await pilot.press("enter")
        await until(pilot, lambda: "> ZADD board:summer GT CH 90 ann" in screen_text(app), "the line at the prompt")
        await pilot.press("enter")
        await until(pilot, lambda: "(integer) 0" in screen_text(app), "its reply")
        sandbox = app.screen
        app.action_reference("EXEC")
        await until(pilot, lambda: isinstance(app.screen, ReferenceScreen) and "Try it" in screen_text(app), "EXEC")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: "(TX)> EXEC" in screen_text(app), "what comes before it, and the line")
        assert app.screen is sandbox, "there is one sandbox"
        await pilot.press("enter")
        await until(pilot, lambda: "(integer) 3" in screen_text(app), "the replies")


async def test_the_palette_offers_the_data_sets() -> None:
    app = TutorApp(None, InstalledCourse(), Preferences())
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_sandbox()
        screen = await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen, "the sandbox")
        await until(pilot, lambda: screen.step, "its step")
        titles = [command.title for command in app.get_system_commands(screen)]
        assert {"Data: shop", "Data: sensors", "Start afresh"} <= set(titles) and "Hint" not in titles
    app = TutorApp("strings", FakeCourse(), Preferences())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen, "the lesson")
        await until(pilot, lambda: screen.step, "its step")
        titles = [command.title for command in app.get_system_commands(screen)]
        assert "Hint" in titles and not any(title.startswith("Data") for title in titles)
