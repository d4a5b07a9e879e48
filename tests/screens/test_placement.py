"""“I know this” on the map."""

from pathlib import Path

import pytest

from tests.screens.driving import screen_text, until
from tutor.app import TutorApp
from tutor.lesson import placement
from tutor.lesson.catalogue import installed_course
from tutor.lesson.progress import Progress
from tutor.screens.map import MapScreen
from tutor.screens.placement import PlacementScreen
from tutor.screens.preferences import Preferences


@pytest.mark.long
@pytest.mark.parametrize("size", [(80, 24), (40, 24)])
async def test_a_chapter_is_placed_from_the_map(size, tmp_path: Path, monkeypatch, snapshot) -> None:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    monkeypatch.setattr(placement.secrets, "randbits", lambda bits: 3)
    drawn = placement.draw(installed_course(), 1, 3)
    app = TutorApp(None, None, Preferences())
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MapScreen) and app.screen.view.chapters, "the map")
        await pilot.press("k")
        await until(pilot, lambda: "Answer six questions" in screen_text(app), "the choice")
        await pilot.press("enter")
        screen = await until(
            pilot, lambda: isinstance(app.screen, PlacementScreen) and app.screen.now and app.screen, "a question"
        )
        for number, each in enumerate(drawn, 1):
            await until(pilot, lambda at=number: screen._asked == at and not screen._answered, f"question {number}")
            answer = each.prediction.answers[0]
            if each.prediction.options:
                await pilot.press(*["down"] * each.prediction.options.index(answer))
            else:
                screen.query_one("#answer").value = answer
            if number == 1:
                snapshot(app, f"placement-{size[0]}x{size[1]}")
            await pilot.press("enter")
            await until(pilot, lambda: screen._answered and "✓ Right." in screen_text(app), "the verdict")
            if number < len(drawn):
                await pilot.press("enter")
        await pilot.press("escape")  # after the last answer: it counts
        await until(pilot, lambda: isinstance(app.screen, MapScreen) and "placed" in screen_text(app), "the map")
        snapshot(app, f"placement-{size[0]}x{size[1]}-map")
        assert len(Progress().kept.placed) == len(placement.lessons_of(installed_course(), 1))


@pytest.mark.long
async def test_leaving_asks_first_once_a_question_is_answered(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    app = TutorApp(None, None, Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MapScreen), "the map")
        screen = PlacementScreen(1)
        app.push_screen(screen)
        await until(pilot, lambda: screen.now, "a question")
        screen._asked, screen._answered = 4, False
        await pilot.press("escape")
        await until(pilot, lambda: "End the questions?" in screen_text(app), "the question")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen, "the placement again")
        await pilot.press("escape", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, MapScreen), "the map")
