"""The course that is installed with the program: its lessons, and what the learner has done of them."""

import threading
import time
from typing import TYPE_CHECKING

from tutor.lesson.view import (
    BookmarkEntry,
    ChapterEntry,
    CourseView,
    FoundEntry,
    LessonEntry,
    ReviewOutcome,
    ReviewQuestion,
)

if TYPE_CHECKING:
    from tutor.lesson.catalogue import Catalogue
    from tutor.lesson.front_end import Controller
    from tutor.lesson.model import Lesson
    from tutor.lesson.placement import Placement
    from tutor.lesson.progress import Progress, Taken
    from tutor.lesson.search import Index
    from tutor.prompt import LineHistory


class InstalledCourse:
    """Lessons from the installed files, progress from the learner's own. Read once, when first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: Catalogue | None = None
        self._kept: Progress | None = None
        self._history: LineHistory | None = None
        self._index: Index | None = None

    def _course(self) -> "Catalogue":
        with self._lock:
            if self._read is None:
                from tutor.lesson.catalogue import installed_course

                self._read = installed_course()
            return self._read

    def _progress(self) -> "Progress":
        with self._lock:
            if self._kept is None:
                from tutor.lesson.progress import Progress

                self._kept = Progress()
            return self._kept

    def _lines(self) -> "LineHistory":
        """Return the history of the terminals, kept from one time to the next."""
        with self._lock:
            if self._history is None:
                from tutor.paths import data_dir
                from tutor.prompt import LineHistory

                folder = data_dir()
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                except OSError:
                    self._history = LineHistory()
                else:
                    self._history = LineHistory(folder / "history")
            return self._history

    @property
    def saves(self) -> bool:
        """Whether progress can be saved."""
        return self._kept is None or self._kept.saves

    def view(self) -> CourseView:
        """Return the map as it stands."""
        from collections import Counter

        from tutor.lesson.review import questions

        course, progress = self._course(), self._progress()
        now = time.time()
        placed = progress.kept.placed
        marked = {each.lesson for each in progress.kept.bookmarks}
        returned = Counter(each.lesson.id for each in questions(course, progress) if each.due <= now)
        chapters = tuple(
            ChapterEntry(
                number,
                title,
                tuple(
                    self._entry(
                        lesson, progress.of(lesson.id), returned[lesson.id], lesson.id in marked, lesson.id in placed
                    )
                    for lesson in course.lessons
                    if lesson.front.chapter == number
                ),
                next(
                    (
                        each.id
                        for each in reversed(course.lessons)
                        if each.front.chapter == number and each.front.challenge
                    ),
                    "",
                ),
            )
            for number, title in course.chapters.items()
        )
        problems = [str(problem) for problem in course.problems]
        if progress.notice:
            problems.append(progress.notice)
        due = sum(lesson.missed for chapter in chapters for lesson in chapter.lessons if lesson.review)
        following = self._next(course, progress)
        count = len(progress.kept.bookmarks)
        return CourseView(chapters, following, tuple(problems), progress.notice, due, count)

    @staticmethod
    def _entry(lesson: "Lesson", taken: "Taken | None", due: int, bookmarked: bool, placed: bool) -> LessonEntry:
        from tutor.lesson.summary import skipped_in

        return LessonEntry(
            lesson.id,
            lesson.title,
            lesson.front.minutes,
            len(lesson.steps),
            taken.step if taken else 0,
            bool(taken and taken.done),
            taken is not None,
            bool(due),
            lesson.front.summary,
            skipped_in(lesson, taken),
            due or len(taken.missed if taken else ()),
            bookmarked,
            placed and not (taken and taken.done),
        )

    @staticmethod
    def _next(course: "Catalogue", progress: "Progress") -> str | None:
        """Return the lesson to go on with: the one begun last, or the next one that is neither done nor placed."""
        ids = [lesson.id for lesson in course.lessons]
        last = progress.kept.last
        start = ids.index(last) if last in ids else 0
        for name in (*ids[start:], *ids[:start]):
            taken = progress.of(name)
            placed = progress.kept.placed.get(name, 0.0)
            if taken is None and placed:
                continue
            if taken is None or (not taken.done and taken.touched >= placed):
                return name
        return last or (ids[0] if ids else None)

    def controller(self, lesson: str, server: str = "") -> "Controller":
        """Return the controller of a lesson of the course, or of one in a file, on its own server or on a real one.

        Raises LookupError, Problems, ValueError.
        """
        from tutor.lesson.controller import LessonController
        from tutor.lesson.real_server import RealServer, parse_address

        course = self._course()
        real = RealServer(parse_address(server), writes=True) if server else None
        return LessonController(course.open(lesson), course, self._progress(), self._lines(), real=real)

    def sandbox(self) -> "Controller":
        """Return a controller with a server and no lesson."""
        from tutor.lesson.free_play import FreePlay

        return FreePlay(self._lines())

    def connected(self, where: str) -> "Controller":
        """Return a controller of a real server. Raises ValueError."""
        from tutor.lesson.connected import Connected

        return Connected(where, self._lines())

    def find(self, query: str) -> list[FoundEntry]:
        """Return lessons, commands, terms, bookmarks and lines of the history that match, best first."""
        from tutor.lesson.search import Index

        course, history = self._course(), self._lines()
        with self._lock:
            index = self._index = self._index or Index(course)
        found = index.find(query, history.lines, self.bookmarks())
        return [FoundEntry(each.kind, each.target, each.title, each.detail) for each in found]

    def bookmarks(self) -> list[BookmarkEntry]:
        """Return the learner's bookmarks, in the order of the course."""
        from tutor.lesson import bookmarks

        return bookmarks.entries(self._course(), self._progress())

    def remove_bookmark(self, key: str) -> None:
        """Remove a bookmark."""
        from tutor.lesson import bookmarks

        bookmarks.remove(self._progress(), key)

    def placement(self, chapter: int) -> "Placement":
        """Return questions about a chapter, for a learner who knows it."""
        from tutor.lesson.placement import Placement

        return Placement(self._course(), self._progress(), chapter)

    def claim(self, chapter: int) -> tuple[str, str]:
        """Take a chapter's challenge as its placement; returns the lesson to open, if any, and what to say."""
        from tutor.lesson.placement import claim

        challenge, told = claim(self._course(), self._progress(), chapter)
        return challenge.id if challenge is not None else "", told

    def take_placement_back(self, chapter: int) -> None:
        """Have no lesson of a chapter count as placed."""
        from tutor.lesson.placement import take_back

        take_back(self._course(), self._progress(), chapter)

    def review(self, lesson: str = "") -> list[ReviewQuestion]:
        """Return the questions that are due, of one lesson or of all."""
        from tutor.lesson.review import due
        from tutor.prompt.markdown import one_line

        return [
            ReviewQuestion(
                each.key,
                each.lesson.title,
                each.step + 1,
                one_line(each.prediction.question),
                each.prediction.labels,
                tuple(map(one_line, each.prediction.options)),
            )
            for each in due(self._course(), self._progress(), lesson=lesson)
        ]

    def review_answer(self, key: str, said: str) -> ReviewOutcome | None:
        """Take an answer; None if it cannot be read as one."""
        from tutor.lesson.review import answered, questions
        from tutor.prompt.markdown import one_line

        course, progress = self._course(), self._progress()
        asked = next((each for each in questions(course, progress) if each.key == key), None)
        if asked is None or not asked.prediction.read(said):
            return None
        right = asked.prediction.right(said)
        returns = answered(progress, asked, right)
        return ReviewOutcome(right, one_line(asked.prediction.answers[0]), asked.prediction.because, returns)

    def glossary(self) -> tuple[tuple[str, str], ...]:
        """Return terms with what they mean."""
        return tuple(self._course().glossary.items())

    def lessons_with(self, command: str) -> tuple[tuple[str, str], ...]:
        """Return (id, title) of lessons that teach a command."""
        return tuple((lesson.id, lesson.title) for lesson in self._course().with_command(command))

    def lessons_on(self, term: str) -> tuple[tuple[str, str], ...]:
        """Return (id, title) of lessons that explain or use a term of the glossary."""
        return tuple((lesson.id, lesson.title) for lesson in self._course().with_term(term))

    def lessons_of_scenario(self, scenario: str) -> tuple[tuple[str, str], ...]:
        """Return (id, title) of lessons that a scenario of the laboratory belongs to."""
        return tuple((lesson.id, lesson.title) for lesson in self._course().with_scenario(scenario))

    def reset_everything(self) -> None:
        """Forget all progress."""
        self._progress().forget()
