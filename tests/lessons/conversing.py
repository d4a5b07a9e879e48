"""Hold a conversation in the plain mode, over a controller of its own."""

from collections.abc import Callable
from pathlib import Path

from tutor.lesson.catalogue import Catalogue
from tutor.lesson.controller import LessonController
from tutor.lesson.model import Lesson
from tutor.lesson.progress import Progress
from tutor.plain import Plain

Typed = str | Callable[[LessonController], str]  # a line, or what happens before it


def converse(lesson: Lesson, *typed: Typed, progress: Progress | None = None, left: bool = False) -> str:
    """Return what is written when these lines are typed, and then the end of the input. `left`: lines may be left."""
    lines, written = list(typed), []
    controller = LessonController(lesson, Catalogue(Path()), progress, seed=1)

    def read(prompt: str) -> str | None:
        written.append(prompt)
        line = lines.pop(0) if lines else None
        return line(controller) if callable(line) else line

    Plain(controller, read, written.append, progress).run()
    assert left or lines == []
    return "\n".join(written)
