"""The pictures of the README, drawn by the program itself: `make pictures`.

Each is a screen of the real program, driven by keys as a learner would. `tests/screens/test_pictures.py` checks that
they are current.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

os.environ["TEXTUAL_ANIMATIONS"] = "none"  # before Textual is imported

import pytest
from textual.pilot import Pilot

from tests.screens.driving import keys, run, screen_text, settle, type_line, until
from tests.screens.svg import Frame, shot, svg
from tests.waiting import PATIENCE_S
from tutor.app import TutorApp
from tutor.lesson.catalogue import installed_course
from tutor.lesson.progress import Progress, ProgressFile, Taken
from tutor.lesson.sandbox import Sandbox
from tutor.screens.laboratory import LaboratoryScreen
from tutor.screens.lesson import LessonScreen
from tutor.screens.preferences import Preferences
from tutor.widgets.terminal import Terminal

DOCS = Path(__file__).parents[2] / "docs"
LESSON = "sorted-sets"


async def lesson(pilot: Pilot[None]) -> tuple[LessonScreen, Terminal]:
    """Wait for the lesson and its prompt."""
    screen = await until(
        pilot, lambda: isinstance(pilot.app.screen, LessonScreen) and pilot.app.screen.step and pilot.app.screen, "it"
    )
    assert isinstance(screen, LessonScreen)
    terminal = screen.query_one(Terminal)
    await until(pilot, lambda: not terminal.busy, "the prompt")
    await all_shown(pilot, screen)
    return screen, terminal


async def all_shown(pilot: Pilot[None], screen: LessonScreen) -> None:
    """Wait until all that a line led to is on the screen: its reply, what it changed, the picture, a hint."""
    controller = screen.controller
    assert isinstance(controller, Sandbox)
    await settle(pilot)
    await controller.settled()
    await settle(pilot)


async def a_lesson() -> list[Frame]:
    """Draw a lesson, with the picture of what the last command changed."""
    app = TutorApp(LESSON, None, Preferences())
    async with app.run_test(size=(120, 36)) as pilot:
        screen, terminal = await lesson(pilot)
        for line in ("ZADD board 50 ann 70 bob 70 cy", "ZINCRBY board ann 30", "ZINCRBY board 30 ann"):
            await type_line(pilot, line)
            await until(pilot, lambda: not terminal.busy, "the reply")
        picture = screen.inspector.picture
        await until(pilot, lambda: "50 → 80" in picture.plain_text, "the change")
        await pilot.press(*keys("ZRANGE board 0 -1"))
        await all_shown(pilot, screen)
        return [shot(app)]


async def the_laboratory() -> list[Frame]:
    """Draw the laboratory, at a decision."""
    app = TutorApp(None, None, Preferences(), "partial-resync")
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await until(
            pilot, lambda: isinstance(app.screen, LaboratoryScreen) and app.screen.lessons and app.screen, "it"
        )
        assert isinstance(screen, LaboratoryScreen)
        await pilot.press("n", "n", "n")
        rows = screen.session.shown.rows(0, screen.session.shown.count)
        screen.panes.event = next(at for at, row in enumerate(rows) if row[4].startswith("why partial"))
        screen.draw()
        await settle(pilot)
        return [shot(app)]


async def the_map() -> list[Frame]:
    """Draw the map of the course, some lessons done."""

    course = installed_course()

    def taken(kept: ProgressFile) -> None:
        for lesson in course.lessons:
            tasks = [f"{at}/{task.id}" for at, step in enumerate(lesson.steps) for task in step.tasks]
            steps = list(range(len(lesson.steps)))
            if lesson.id == LESSON:
                kept.lessons[LESSON] = Taken(step=2, reached=2, tasks=tasks, steps=steps[:2])
                break
            kept.lessons[lesson.id] = Taken(done=True, tasks=tasks, steps=steps)
        kept.last = LESSON

    Progress().change(taken)
    app = TutorApp(None, None, Preferences())
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "lessons done" in screen_text(app), "the map")
        await settle(pilot)
        return [shot(app)]


async def a_recording() -> list[Frame]:
    """Record the first minute of a lesson: an example, a mistake and its reason, the effect drawn, the undo."""
    frames: list[Frame] = []
    app = TutorApp(LESSON, None, Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        screen, terminal = await lesson(pilot)
        frames.append(shot(app, 2.5))

        async def typed(line: str, seconds: float = 2.0) -> None:
            words = line.split(" ")
            for number, word in enumerate(words):
                await pilot.press(*keys(word + " " * (number < len(words) - 1)))
                await settle(pilot)
                frames.append(shot(app, 0.35))
            await pilot.press("enter")
            await until(pilot, lambda: not terminal.busy, "the reply")
            await all_shown(pilot, screen)
            frames.append(shot(app, seconds))

        await typed("ZADD board 50 ann 70 bob 70 cy", 2.5)
        await pilot.press("ctrl+o")
        await all_shown(pilot, screen)
        frames.append(shot(app, 2.5))
        await typed("ZINCRBY board ann 30", 2.5)
        await typed("ZINCRBY board 30 ann", 3.0)
        await pilot.press("f4")
        await until(pilot, lambda: "⟲" in terminal.plain_text, "the undo")
        await all_shown(pilot, screen)
        frames.append(shot(app, 3.0))
        assert screen.panes.pane == "picture"
    return frames


PICTURES: dict[str, tuple[Callable[[], Coroutine[Any, Any, list[Frame]]], str]] = {
    "lesson": (a_lesson, "A lesson: text, terminal, and a picture of the sorted set that the last command changed"),
    "laboratory": (the_laboratory, "The laboratory: a replica asks for a partial resynchronization"),
    "map": (the_map, "The map of the course"),
    "recording": (a_recording, "A mistake, its reason, the right command, its effect, and the undo"),
}


def drawn(name: str) -> str:
    """Return a picture as SVG, as a newcomer's program draws it."""
    make, title = PICTURES[name]
    with tempfile.TemporaryDirectory(prefix="pictures-") as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_TUTOR_HOME", home)
        patch.setenv("REDIS_TUTOR_ASCII", "0")
        patch.delenv("NO_COLOR", raising=False)
        patch.setattr("tutor.lesson.terminal.SLOW_SECONDS", PATIENCE_S)  # no time is shown
        return svg(run(make()), title)


def main() -> int:
    """Draw all pictures, or those that are named."""
    DOCS.mkdir(exist_ok=True)
    for name in sys.argv[1:] or PICTURES:
        path = DOCS / f"{name}.svg"
        path.write_text(drawn(name))
        print(f"{path.relative_to(DOCS.parent)}: {path.stat().st_size // 1024} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
