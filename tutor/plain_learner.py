"""The tutor of a learner of a class line by line, for the plain page, in a process that the hub forks."""

import contextlib
import sys
from pathlib import Path
from typing import Any

from tutor.classroom.outbox import LearnerOutbox
from tutor.classroom.reporting import ReportingCourse
from tutor.ending import by_signal
from tutor.lesson.controller import LessonController
from tutor.lesson.view import LessonPlace
from tutor.lesson_server.parent import HostError
from tutor.plain import Plain


class PlainLearner:
    """The conversation: choosing a lesson, and taking it."""

    def __init__(self, course: ReportingCourse, outbox: LearnerOutbox, marker: Path) -> None:
        self.course, self._outbox, self._marker = course, outbox, marker

    def hear(self, message: dict[str, Any]) -> None:
        """Take a message of the hub, in any thread."""
        if "stops" in message:
            self.course.stops = {str(key): int(step) for key, step in message["stops"].items()}
        if "say" in message:
            say(f"\nThe teacher: {message['say']}")

    def run(self) -> int:
        """Take lessons until the input ends; returns the exit status."""
        lesson = ""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            lesson = self._marker.read_text("utf-8")
        with by_signal():
            place = LessonPlace(lesson) if lesson and self.course.has(lesson) else None
            while True:
                if place is None and (place := self.choose()) is None:
                    return 0
                place = self.take(place)

    def choose(self) -> LessonPlace | None:
        """Have the learner choose a lesson; None at the end of the input."""
        view = self.course.view()
        lessons = [lesson for chapter in view.chapters for lesson in chapter.lessons]
        following = next((each for each in lessons if each.id == view.next_lesson), None)
        while True:
            say(f"\n{len(lessons)} lessons. Type the number of a lesson, or list to hear them all.")
            if following is not None:
                say(f"Enter goes on with {lessons.index(following) + 1}, {following.title}.")
            line = read("Lesson: ")
            if line is None:
                return None
            word = line.strip().lower()
            if word == "list":
                for chapter in view.chapters:
                    if chapter.lessons:
                        say(f"Chapter {chapter.number}, {chapter.title}")
                    for lesson in chapter.lessons:
                        done = ", done" if lesson.done else ", begun" if lesson.started else ""
                        say(f"{lessons.index(lesson) + 1} {lesson.title}, {lesson.minutes} minutes{done}")
            elif not word and following is not None:
                return LessonPlace(following.id)
            elif word.isdigit() and 0 < int(word) <= len(lessons):
                return LessonPlace(lessons[int(word) - 1].id)
            else:
                say(f"There is no lesson {word!r}.")

    def take(self, place: LessonPlace) -> LessonPlace | None:
        """Take a lesson; returns where the learner leaves it for."""
        self._mark(place.lesson)
        talk: Plain | None = None
        try:
            controller = self.course.controller(place.lesson)
            assert isinstance(controller, LessonController)
            talk = Plain(controller, read, say, self.course.progress, place.step)
            talk.run()
        except (HostError, LookupError, ValueError) as error:
            say(f"The lesson cannot be opened: {error.args[0] if error.args else error}")
        self._mark("")
        return talk.leaves_for if talk is not None else None

    def _mark(self, lesson: str) -> None:
        with contextlib.suppress(OSError):
            self._marker.write_text(lesson, "utf-8")
        self._outbox.add(open=lesson)


def say(text: str) -> None:
    """Print a line; the page breaks it."""
    print(text, flush=True)


def read(prompt: str) -> str | None:
    """Read a line; None at the end of the input."""
    print(prompt, end="", flush=True)
    line = sys.stdin.readline()
    return line if line else None
