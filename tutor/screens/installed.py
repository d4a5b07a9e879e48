"""The course that is installed with the program: its lessons, and what the learner has done of them."""

import threading
from typing import TYPE_CHECKING

from tutor.screens.view import ChapterEntry, CourseView, LessonEntry

if TYPE_CHECKING:
    from tutor.course.catalogue import Catalogue
    from tutor.course.model import Lesson
    from tutor.course.progress import Progress, Taken
    from tutor.prompt import History
    from tutor.screens.lesson import Desk


class InstalledCourse:
    """Lessons from the installed files, progress from the learner's own. Read once, when first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: Catalogue | None = None
        self._kept: Progress | None = None
        self._history: History | None = None

    def _course(self) -> "Catalogue":
        with self._lock:
            if self._read is None:
                from tutor.course.catalogue import read_course

                self._read = read_course()
            return self._read

    def _progress(self) -> "Progress":
        with self._lock:
            if self._kept is None:
                from tutor.course.progress import Progress

                self._kept = Progress()
            return self._kept

    def _lines(self) -> "History":
        """Return the history of the terminals, kept from one time to the next."""
        with self._lock:
            if self._history is None:
                from tutor.paths import data_dir
                from tutor.prompt import History

                folder = data_dir()
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                except OSError:
                    self._history = History()
                else:
                    self._history = History(folder / "history")
            return self._history

    def view(self) -> CourseView:
        """Return the map as it stands."""
        course, progress = self._course(), self._progress()
        chapters = tuple(
            ChapterEntry(
                number,
                title,
                tuple(
                    self._entry(lesson, progress.of(lesson.id))
                    for lesson in course.lessons
                    if lesson.front.chapter == number
                ),
            )
            for number, title in course.chapters.items()
        )
        problems = [str(problem) for problem in course.problems]
        if progress.notice:
            problems.append(progress.notice)
        return CourseView(chapters, self._next(course, progress), tuple(problems))

    @staticmethod
    def _entry(lesson: "Lesson", taken: "Taken | None") -> LessonEntry:
        return LessonEntry(
            lesson.id,
            lesson.title,
            lesson.front.minutes,
            len(lesson.steps),
            taken.step if taken else 0,
            bool(taken and taken.done),
            taken is not None,
            bool(taken and taken.done and taken.missed),
            lesson.front.summary,
        )

    @staticmethod
    def _next(course: "Catalogue", progress: "Progress") -> str | None:
        """Return the lesson to go on with: the one begun last, or the first after it that is not done."""
        ids = [lesson.id for lesson in course.lessons]
        last = progress.kept.last
        start = ids.index(last) if last in ids else 0
        for name in (*ids[start:], *ids[:start]):
            taken = progress.of(name)
            if taken is None or not taken.done:
                return name
        return last or (ids[0] if ids else None)

    def desk(self, lesson: str) -> "Desk":
        """Return a desk for a lesson. LookupError when there is none of this name."""
        from tutor.screens.desk.lesson import LessonDesk

        course = self._course()
        return LessonDesk(course.find(lesson), course, self._progress(), self._lines())

    def sandbox(self) -> "Desk":
        """Return a desk with a server and no lesson."""
        from tutor.screens.desk.playground import Playground

        return Playground(self._lines())

    def glossary(self) -> tuple[tuple[str, str], ...]:
        """Return terms with what they mean."""
        return tuple(self._course().glossary.items())

    def lessons_with(self, command: str) -> tuple[tuple[str, str], ...]:
        """Return (id, title) of lessons that teach a command."""
        return tuple((lesson.id, lesson.title) for lesson in self._course().with_command(command))

    def lessons_staged(self, scenario: str) -> tuple[tuple[str, str], ...]:
        """Return (id, title) of lessons that a scenario of the laboratory stages."""
        return tuple((lesson.id, lesson.title) for lesson in self._course().with_scenario(scenario))

    def reset_everything(self) -> None:
        """Forget all progress."""
        self._progress().forget()
