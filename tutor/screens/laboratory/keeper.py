"""Keeping what was done: saving by name, the journal that survives a crash, and the question before leaving."""

import asyncio
import shlex
from collections.abc import Callable
from datetime import datetime

from engine.simulation.actions import ActionError
from engine.simulation.history import HistoryError
from tutor.lab import keeping
from tutor.lab.building import build, wanted_of
from tutor.lab.export import export, kind_of
from tutor.lab.journal import Left, SessionJournal, left_behind
from tutor.lab.keeping import CannotKeepError
from tutor.lab.naming import unknown
from tutor.lab.play import opened
from tutor.lab.session import LabSession
from tutor.lesson.model import Problem
from tutor.screens.base import Program, TutorScreen
from tutor.screens.dialogs import ChoiceDialog, Confirm


class Keeper:
    """Keeps the session of a laboratory's screen."""

    def __init__(self, screen: TutorScreen[None], session: LabSession) -> None:
        self.screen = screen
        self.session = session
        self.journal = SessionJournal(session)
        self.replaces: Left | None = None  # the journal that this session was restored from
        self._warned = False

    def keep(self) -> None:
        """Write the journal on, and say once if that is not possible."""
        self.journal.keep()
        if self.journal.error and not self._warned:
            self._warned = True
            text = f"{self.journal.error}. If the program is killed, what you do from now on is lost."
            self.screen.notify(text, title="Not recorded", severity="warning", timeout=10, markup=False)
        elif self.replaces is not None and not self.journal.error:
            self.replaces.forget()
            self.replaces = None

    def end(self) -> None:
        """End the journal: it is kept for the next time if something in it was not saved."""
        if self.replaces is not None and not self.session.worked:
            self.replaces.forget()  # it was left without saving, or is saved
        elif self.replaces is not None:
            self.replaces.release()
        if self.session.worked:
            self.journal.leave()
        else:
            self.journal.discard()

    # -- saving

    @property
    def suggestion(self) -> str:
        """A name for a session that has none."""
        spec = self.session.spec
        return f"{spec.id or 'history'} {datetime.now():%Y-%m-%d %H.%M.%S}"

    def save(self, name: str, then: Callable[[], object] | None = None) -> None:
        """Save under a name (none: the one that it has); ask before another file is replaced."""
        name = name or self.session.title or self.suggestion
        try:
            path = keeping.path_of(name)
        except CannotKeepError as error:
            self._failed(error)
            return
        if name == self.session.title or not path.exists():
            self._save(name, then)
            return

        def answered(yes: str | bool | None) -> None:
            if yes:
                self._save(name, then)

        question = f"There is a file of this name already:\n{path}"
        self.screen.app.push_screen(Confirm("Replace it?", question, "Yes, replace it"), answered)

    def _save(self, name: str, then: Callable[[], object] | None) -> None:
        before, self.session.title = self.session.title, name
        try:
            path = keeping.path_of(name)
            keeping.write_whole(path, self.session.encode())
        except CannotKeepError as error:
            self.session.title = before
            self._failed(error)
            return
        self.session.worked = False
        self.keep()
        told = f"It opens as it is now: redis-tutor lab --open {shlex.quote(name)}"
        self.screen.notify(told, title=f"Saved: {name}", markup=False)
        if then is not None:
            then()

    async def export(self, name: str) -> None:
        """Write a file of another kind, while the screen goes on."""

        def write(data: bytes) -> str:
            return export(LabSession(*opened(data, "")), name)  # of a copy: it goes through all of its places

        try:
            kind_of(name)
            told = await asyncio.to_thread(write, self.session.encode())
        except (CannotKeepError, HistoryError) as error:
            self.screen.notify(str(error), title="Not exported", severity="error", timeout=10, markup=False)
        else:
            self.screen.notify(told, title="Exported", markup=False)

    def _failed(self, error: CannotKeepError) -> None:
        self.screen.notify(str(error), title="Not saved", severity="error", timeout=10, markup=False)

    # -- leaving

    def ask(self, leave: Callable[[], object], go_on: Callable[[], object] | None = None) -> None:
        """Leave, after a question if something was done that is not saved; `go_on` takes it into the lesson."""
        if not self.session.worked:
            leave()
            return

        def chosen(choice: str | bool | None) -> None:
            if choice == "save":
                self.save("", leave)
            elif choice == "leave":
                self.session.worked = False
                leave()
            elif choice == "continue" and go_on is not None:
                go_on()

        choices = [("stay", "Stay"), ("save", "Save and leave"), ("leave", "Leave without saving")]
        if go_on is not None:
            choices.append(("continue", "Continue the lesson from here"))
        text = "What you did here since it was last saved would be lost."
        self.screen.app.push_screen(ChoiceDialog("Leave the laboratory?", text, choices), chosen)


def offer_to_restore(app: Program, otherwise: Callable[[], object]) -> None:
    """Offer the last session that was not left in order; `otherwise` is what was to be opened."""
    left = next(left_behind(), None)
    if left is None:
        otherwise()
        return

    def chosen(choice: str | bool | None) -> None:
        if choice == "restore":
            app.run_worker(restore(app, left))
            return
        if choice == "delete":
            left.forget()
        left.release()
        otherwise()

    text = (
        f"“{left.what}” of {datetime.fromtimestamp(left.at_s):%Y-%m-%d %H:%M}: the program ended before you left the "
        "laboratory, and what you did there was not saved."
    )
    choices = [("restore", "Restore it"), ("later", "Not now"), ("delete", "Delete it")]
    app.push_screen(ChoiceDialog("Restore the last session?", text, choices), chosen)


async def restore(app: Program, left: Left) -> None:
    """Open what was left behind; it counts as not saved."""
    from tutor.screens.laboratory.screen import LaboratoryScreen

    try:
        spec, history = await asyncio.to_thread(lambda: opened(left.data(), "restored"))
    except HistoryError as error:
        left.release()
        app.notify(str(error), title="It cannot be restored", severity="error", timeout=10, markup=False)
        return
    screen = LaboratoryScreen(spec, history)
    screen.session.worked = True
    screen.keeper.replaces = left
    app.push_screen(screen)


async def open_saved(app: Program, name: str) -> None:
    """Open what was saved under a name."""
    from tutor.screens.laboratory.screen import LaboratoryScreen

    try:
        data = await asyncio.to_thread(keeping.path_of(name).read_bytes)
        spec, history = await asyncio.to_thread(opened, data, name)
    except FileNotFoundError:
        told = unknown("saved history", name, [each.name for each in keeping.saved()])
        app.notify(told, title="It cannot be opened", severity="error", markup=False)
    except OSError as error:
        app.notify(f"{name}: {error.strerror}", title="It cannot be opened", severity="error", markup=False)
    except (CannotKeepError, HistoryError) as error:
        app.notify(f"{name}: {error}", title="It cannot be opened", severity="error", timeout=10, markup=False)
    else:
        app.push_screen(LaboratoryScreen(spec, history))


async def open_new(app: Program, text: str) -> None:
    """Build a laboratory and open it: `text` is what follows `new`."""
    from tutor.screens.laboratory.screen import LaboratoryScreen

    try:
        spec, history = await asyncio.to_thread(lambda: build(wanted_of(shlex.split(text))))
    except (ActionError, HistoryError, Problem, ValueError) as error:
        app.notify(str(error), title="It cannot be built", severity="error", timeout=10, markup=False)
    else:
        app.push_screen(LaboratoryScreen(spec, history))
