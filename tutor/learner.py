"""The tutor of a learner of a class, in a process that the hub forks, on a terminal that the hub holds.

The hub draws nothing and keeps no picture of the screen. When a browser is connected, it sets the modes of the
terminal (`classroom/terminals.py` remembers them) and asks the tutor to draw the whole screen: what was typed at the
prompt is there again, for it is in the tutor.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from textual.app import SystemCommand
from textual.binding import Binding

from tutor.app import TutorApp
from tutor.classroom.confine import Limits, limit, program_paths, reset_signals, restrict_files
from tutor.classroom.groups import join_groups
from tutor.classroom.outbox import LearnerOutbox
from tutor.classroom.remote import CannotJoin, RemoteClass, RemoteUplink
from tutor.classroom.reporting import ReportingCourse
from tutor.classroom.uplink import Uplink
from tutor.ending import by_signal
from tutor.lesson.catalogue import installed_course
from tutor.lesson.controller import LessonController
from tutor.lesson.free_play import FreePlay
from tutor.lesson_server import processes  # noqa: F401
from tutor.lesson_server.parent import fork_servers_here
from tutor.plain_learner import PlainLearner
from tutor.screens import bookmarks, compare, dialogs, find, help, map, questions, reference, scenarios  # noqa: F401
from tutor.screens.laboratory import LaboratoryScreen
from tutor.screens.lesson import LessonScreen
from tutor.standard_streams import read_line, writer

# What the tutor needs is imported before the hub forks.
__all__ = ["FreePlay", "LaboratoryScreen", "LearnerApp", "LessonController", "LessonScreen", "main"]

CHANNEL = 3  # the descriptor
END_SECONDS = 5.0
AGAIN_SECONDS = 0.02

installed_course()  # read once, before the hub forks


class LearnerApp(TutorApp):
    """The program in a class."""

    BINDINGS: ClassVar = [Binding("f9", "class_help", "ask for help", show=False, id="class_help")]

    def __init__(self, course: ReportingCourse, outbox: LearnerOutbox, marker: Path | None = None) -> None:
        self._marker = marker  # the file with the lesson that is open
        self._outbox = outbox
        super().__init__(self._marked(course), course)
        self.class_course = course
        self._wants_help = False

    def _marked(self, course: ReportingCourse) -> str | None:
        """Return the lesson that was open when the learner's last tutor ended, whatever ended it."""
        lesson = ""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            lesson = self._marker.read_text("utf-8") if self._marker is not None else ""
        return lesson if lesson and course.has(lesson) else None

    def note_lesson(self, lesson: str) -> None:
        """See `TutorApp`."""
        if self._marker is not None:
            with contextlib.suppress(OSError):
                self._marker.write_text(lesson, "utf-8")
            self._outbox.add(open=lesson)

    def action_class_help(self) -> None:
        """Ask the teacher for help, or take that back."""
        self._wants_help = not self._wants_help
        self._outbox.add(help=self._wants_help)
        self.notify("The teacher sees that you ask for help." if self._wants_help else "You no longer ask for help.")

    def get_system_commands(self, screen: Any) -> Any:
        """See `TutorApp`."""
        yield from super().get_system_commands(screen)
        yield SystemCommand(
            "Ask for help", "Show the teacher that you need help, or no longer", self.action_class_help
        )

    def hear(self, message: dict[str, Any]) -> None:
        """Take a message of the hub, in any thread."""
        if "stops" in message:
            self.class_course.stops = {str(key): int(step) for key, step in message["stops"].items()}
        if self._running_loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                self._running_loop.call_soon_threadsafe(self._take, message)

    def _take(self, message: dict[str, Any]) -> None:
        if "repaint" in message:
            self.call_later(self._repaint)
        if "say" in message:
            self.notify(str(message["say"]), title="The teacher", timeout=20, markup=False)
        if "signed_out" in message:
            text = "What you do is kept here. Ask the teacher, and join again with redis-tutor join --again."
            self.notify(text, title="You are no longer in this class", severity="warning", timeout=30, markup=False)
        if "state" in message and self._driver is not None:
            self._driver.write(f"\x1b]0;redis-tutor: {message['state']}\x07")  # in the title of the window
        if "help" in message:
            self._wants_help = bool(message["help"])

    def _repaint(self) -> None:
        """Draw the whole screen on a terminal that shows nothing of it: not in the middle of a batch of updates."""
        if self._batch_count:
            self.set_timer(AGAIN_SECONDS, self._repaint)
        elif self._screen_stack:
            self._display(self.screen, self.screen._compositor.render_update(full=True))


def main(arguments: list[str]) -> int:
    """Run the tutor for a learner: `learner.py OPTIONS`, which are a JSON object of the hub's."""
    options = json.loads(arguments[0])
    reset_signals()
    join_groups(options.get("groups", []))
    home, runtime = Path(options["home"]), Path(options["runtime"])
    os.chdir(home)
    tempfile.tempdir = str(runtime)
    limit(Limits(options["memory_mb"], options["disk_mb"]))
    if not options["python"]:
        os.environ["REDIS_TUTOR_NO_PYTHON"] = "1"
    restrict_files([home, runtime], program_paths())
    (home / "class").mkdir(exist_ok=True)
    lock = _wait_for(home / "class" / "lock")
    fork_servers_here()
    outbox = LearnerOutbox(home / "class" / "outbox.jsonl")
    course = ReportingCourse(outbox, tuple(options["lessons"]))
    if options.get("plain"):
        status = _take_plainly(PlainLearner(course, outbox, home / "class" / "lesson"), outbox)
        os.close(lock)
        return status
    app = LearnerApp(course, outbox, home / "class" / "lesson")
    uplink = Uplink(socket.socket(fileno=CHANNEL), outbox, app.hear, lambda: _end(app))
    uplink.start()
    sys.setswitchinterval(0.001)
    with by_signal(app.end_soon):
        app.run()
        uplink.wait_saved(END_SECONDS)  # before the signal ends the process
        uplink.close()
    os.close(lock)
    return app.return_code or 0


def _take_plainly(learner: PlainLearner, outbox: LearnerOutbox) -> int:
    """Run the tutor line by line; returns the exit status."""
    uplink = Uplink(socket.socket(fileno=CHANNEL), outbox, learner.hear, lambda: os.kill(os.getpid(), signal.SIGTERM))
    uplink.start()
    try:
        return learner.run()
    finally:
        uplink.wait_saved(END_SECONDS)
        uplink.close()


def join(address: str, cafile: str = "", again: bool = False) -> int:
    """Run the tutor as a member of a class, in the learner's own terminal; returns the exit status."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("redis-tutor: joining a class needs a terminal", file=sys.stderr)
        return 1
    try:
        hub = RemoteClass(address, cafile)
        if hub.member is None or again:
            hub.member = None
            hub.sign_in(read_line, writer())
        assert hub.member is not None
        outbox = hub.outbox()
    except (CannotJoin, EOFError) as problem:
        print(f"redis-tutor: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"redis-tutor: {address} does not answer: {error}", file=sys.stderr)
        return 1
    app = LearnerApp(ReportingCourse(outbox, tuple(hub.member.lessons), is_hosted=False), outbox)
    uplink = RemoteUplink(hub, outbox, app.hear, lambda state: app.hear({"state": state}))
    uplink.start()
    sys.setswitchinterval(0.001)
    with by_signal(app.end_soon):
        app.run()
        uplink.close()
    if uplink.signed_out:
        print(f"You are no longer in this class. Join again: redis-tutor join --again {hub.address}")
    print(f"Your work: {uplink.state()}.")
    return app.return_code or 0


def _wait_for(path: Path) -> int:
    """Wait until the learner's earlier tutor has ended, which may outlive a hub that was killed by some seconds."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + 2 * END_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        time.sleep(0.05)
    return descriptor


def _end(app: LearnerApp) -> None:
    """End the program, since its hub is gone; a program that does not end in time is ended."""
    with contextlib.suppress(BaseException):
        app.end_soon()

    def end() -> None:
        time.sleep(END_SECONDS)
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
