"""From a lesson into the laboratory: on a scenario of the step, or on the learner's servers with their history."""

import asyncio
import contextlib
import importlib

from tutor.lesson.front_end import Controller
from tutor.lesson.view import LessonSetup, SceneView
from tutor.lesson_server.parent import HostError
from tutor.screens.base import Program

OPENING_S = 60.0  # a long history takes some seconds
OWN = "@own"  # the choice of the learner's own servers; no scenario has such a name
OWN_SUMMARY = (
    "Everything that has happened on your servers, whose time stands still meanwhile. Go back to any moment, and "
    "start a branch there. Esc returns to the lesson as you left it; :to-lesson goes on with the lesson from here."
)


def offered(scenes: tuple[SceneView, ...], setup: LessonSetup | None) -> list[tuple[str, str]]:
    """Return what the laboratory can show of a step: the name and title of each."""
    own = [(OWN, "Your own servers, with everything that you did")] if setup is not None and setup.machines else []
    return own + [(scene.scenario, scene.title) for scene in scenes]


async def open_own(app: Program, controller: Controller, lesson: str) -> None:
    """Open the laboratory on the lesson's servers, with their whole history. Leaving it returns to the lesson."""
    app.notify("Opening your servers in the laboratory …", timeout=OPENING_S, markup=False)
    await asyncio.to_thread(importlib.import_module, "tutor.screens.laboratory")
    from engine.simulation.history import History, HistoryError
    from tutor.lab.runner import spec_of
    from tutor.screens.laboratory import LaboratoryScreen

    try:
        data = await controller.recording()
        history = await asyncio.to_thread(History.decode, data or b"")
    except (HistoryError, HostError) as error:
        app.clear_notifications()
        app.notify(str(error), title="The laboratory cannot be opened", severity="error", markup=False)
        with contextlib.suppress(HostError):
            await controller.resume()
        return
    screen = LaboratoryScreen(spec_of(history, f"Your servers in “{lesson}”", OWN_SUMMARY), history, own=True)

    async def go_on() -> None:
        try:
            if screen.goes_on is not None:
                await controller.continue_from(*screen.goes_on)
            else:
                await controller.resume()
        except HostError as error:
            app.notify(str(error), title="Your servers", severity="error", markup=False)

    def closed(_: None) -> None:
        app.run_worker(go_on(), group="laboratory")

    app.clear_notifications()
    app.push_screen(screen, closed)
