"""A course that reports what the learner does: the records of a class.

A record has the number and time of its outbox, and one of these:

    {"lesson": key, "journal": header, "rows": […]}   a lesson was opened: its journal as it was then
    {"lesson": key, "row": {…}}                       a row was added to that journal (`tutor.lesson.journal`)
    {"lesson": key, "mistake": text, "task", "kind", "line"}   the tutor pointed out a mistake
    {"lesson": key, "left": true}                     the lesson was closed
    {"open": ID}                                      the lesson that is open now, and is opened again; "": none
    {"help": true or false}                           the learner asks for help, or no longer
    {"answer": text, "question": number}              an answer to the teacher's question

A journal's rows are the lesson itself: replayed on a fresh server, they give its result (`grading.py`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutor.classroom.outbox import LearnerOutbox
from tutor.lesson.events import Event, Foreseen
from tutor.lesson.installed import InstalledCourse
from tutor.lesson.journal import VERSION, LessonJournal, Row
from tutor.lesson.model import Lesson
from tutor.lesson.progress import Progress

if TYPE_CHECKING:
    from tutor.lesson.catalogue import Catalogue
    from tutor.lesson.controller import LessonController
    from tutor.lesson.front_end import Controller

NOT_IN_A_CLASS = "Real servers cannot be opened from a class: the tutor runs on the teacher's computer."


class ReportedJournal(LessonJournal):
    """A journal of a lesson whose rows go into an outbox as well."""

    def __init__(self, lesson: str, digest: str, outbox: LearnerOutbox) -> None:
        self._outbox = outbox
        self._is_open = False  # what the constructor writes is reported as a whole
        self._rewrites = 0
        super().__init__(lesson, digest=digest)
        self._is_open = True
        self._report_whole()

    def _report_whole(self) -> None:
        header = {"journal": VERSION, "lesson": self._lesson, "digest": self._digest, "seed": self.seed}
        if self.writes:
            self._outbox.add(lesson=self._lesson, journal=header, rows=self.rows)

    def _add(self, row: Row) -> None:
        rewrites = self._rewrites
        super()._add(row)
        if self.writes and not self._held and self._rewrites == rewrites:
            self._outbox.add(lesson=self._lesson, row=row)

    def _rewrite(self) -> None:
        super()._rewrite()
        if self._is_open:
            self._rewrites += 1
            self._report_whole()

    def close(self) -> None:
        """See `LessonJournal`."""
        if self.writes:
            self._outbox.add(lesson=self._lesson, left=True)
        super().close()


class ReportedProgress(Progress):
    """Progress whose events go into an outbox as well."""

    def __init__(self, outbox: LearnerOutbox, path: Path | None = None) -> None:
        super().__init__(path)
        self._outbox = outbox

    def recorder(self, lesson: Lesson) -> Any:
        """See `Progress`."""
        record = super().recorder(lesson)

        def both(event: Event) -> None:
            record(event)
            if isinstance(event, Foreseen):  # a `Diagnosed` is one, too
                self._outbox.add(
                    lesson=lesson.key, mistake=event.text, task=event.task.id, kind=getattr(event, "kind", "foreseen")
                )

        return both


def stoppable(course: "ReportingCourse") -> "type[LessonController]":
    """Return the controller of lessons in a class: it goes no further than the teacher lets it."""
    from tutor.lesson import messages as m
    from tutor.lesson.controller import LessonController

    class ClassController(LessonController):
        """A lesson whose steps the teacher can close."""

        async def act(self, action: str) -> None:
            """See `LessonController`."""
            word, _, step = action.partition(" ")
            stop, now = course.stops.get(self.lesson.key), self._session.state.step
            if stop is not None and (
                (word == "next" and now >= stop) or (word in ("go", "visit") and step.isdigit() and int(step) > stop)
            ):
                self._post(m.Notice(f"The teacher has stopped the class at step {stop + 1}. It will go on soon."))
                return
            await super().act(action)

    return ClassController


class ReportingCourse(InstalledCourse):
    """The course of a learner of a class. `lessons` are those of the class; empty: all.

    `is_hosted`: it runs on the computer of the hub, and opens no connections from there.
    """

    def __init__(self, outbox: LearnerOutbox, lessons: tuple[str, ...] = (), is_hosted: bool = True) -> None:
        super().__init__()
        self._outbox = outbox
        self._lessons = lessons
        self._is_hosted = is_hosted
        self.stops: dict[str, int] = {}  # by lesson: the step (index) that nobody leaves now

    def _course(self) -> "Catalogue":
        whole = super()._course()
        if not self._lessons:
            return whole
        from dataclasses import replace

        with self._lock:
            if self._chosen is None:
                self._chosen = replace(whole, lessons=[each for each in whole.lessons if each.id in self._lessons])
            return self._chosen

    _chosen: "Catalogue | None" = None

    @property
    def progress(self) -> Progress:
        """What the learner has done."""
        return self._progress()

    def has(self, lesson: str) -> bool:
        """Return whether the class has this lesson."""
        return any(each.id == lesson for each in self._course().lessons)

    def _progress(self) -> Progress:
        with self._lock:
            if self._kept is None:
                self._kept = ReportedProgress(self._outbox)
            return self._kept

    def controller(self, lesson: str, server: str = "") -> "Controller":
        """Return the controller of a lesson of the class. Raises LookupError, ValueError."""
        if server:
            raise ValueError(NOT_IN_A_CLASS)
        course = self._course()
        opened = course.find(lesson)
        journal = ReportedJournal(opened.key, opened.digest, self._outbox)
        return stoppable(self)(opened, course, self._progress(), self._lines(), journal=journal)

    def connected(self, where: str) -> "Controller":
        """Return a controller of a real server. Raises ValueError, also where they are closed."""
        if self._is_hosted:
            raise ValueError(NOT_IN_A_CLASS)
        return super().connected(where)
