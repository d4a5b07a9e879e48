"""What the learner has done, in one JSON file in the user's data folder.

The file carries a version, is written as a whole (a new file beside it, then renamed over it), and a file that
cannot be read is set aside under another name and said so: nobody's progress keeps the tutor from starting.
Missed predictions are kept until the same question is answered right.
"""

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path

import msgspec

from tutor.course.model import Lesson
from tutor.course.session import Event, LessonDone, Predicted, StepDone, StepEntered, TaskDone
from tutor.paths import data_dir

VERSION = 1


class Miss(msgspec.Struct):
    """A prediction that was wrong."""

    prediction: str
    step: int
    question: str
    said: str
    right: str


class Taken(msgspec.Struct):
    """How far a lesson has come. `step` is the index of the step to resume at."""

    step: int = 0
    reached: int = 0
    tasks: list[str] = []  # "step/task"
    steps: list[int] = []  # indices of the steps whose tasks are done
    done: bool = False
    missed: list[Miss] = []
    touched: float = 0.0  # seconds since 1970


class Kept(msgspec.Struct):
    """The file."""

    version: int = VERSION
    lessons: dict[str, Taken] = {}
    last: str = ""  # the lesson that was taken last


def default_path() -> Path:
    """Return where progress is kept."""
    return data_dir() / "progress.json"


class Progress:
    """The progress file. `notice` tells what was wrong with it, if anything."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()
        self.notice = ""
        self.kept = self._load()

    def _load(self) -> Kept:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return Kept()
        except OSError as error:
            self.notice = f"{self.path} cannot be read ({error.strerror}): progress starts anew"
            return Kept()
        try:
            version = json.loads(data).get("version")
            if not isinstance(version, int) or version > VERSION:
                raise ValueError(f"version {version!r}, and this program knows up to {VERSION}")
            return msgspec.json.decode(data, type=Kept)
        except (ValueError, AttributeError, msgspec.ValidationError, msgspec.DecodeError) as error:
            aside = self._aside()
            self.notice = f"{self.path} was damaged ({error}); it is now {aside}, and progress starts anew"
            return Kept()

    def _aside(self) -> Path:
        number = 1
        while (aside := self.path.with_suffix(f".damaged-{number}.json")).exists():
            number += 1
        with contextlib.suppress(OSError):
            os.replace(self.path, aside)
        return aside

    def save(self) -> None:
        """Write the file; a folder that cannot be written is told in `notice` and harms nothing else."""
        data = msgspec.json.format(msgspec.json.encode(self.kept), indent=1)
        name = ""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".progress-")
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except OSError as error:
            self.notice = f"progress cannot be kept in {self.path.parent}: {error.strerror}"
            if name:
                with contextlib.suppress(OSError):
                    os.unlink(name)

    def of(self, lesson: str) -> Taken | None:
        """Return how far a lesson has come, or None."""
        return self.kept.lessons.get(lesson)

    def settle(self, lesson: str, miss: Miss) -> None:
        """Strike out a missed prediction that was answered right in a review."""
        taken = self.kept.lessons.get(lesson)
        if taken is not None and miss in taken.missed:
            taken.missed.remove(miss)
            self.save()

    def recorder(self, lesson: Lesson) -> "Recorder":
        """Return what a session calls with its events."""
        return Recorder(self, lesson)

    def forget(self, lesson: str | None = None) -> None:
        """Forget one lesson, or everything."""
        if lesson is None:
            self.kept = Kept()
        else:
            self.kept.lessons.pop(lesson, None)
        self.save()


class Recorder:
    """Turns a session's events into progress."""

    def __init__(self, progress: Progress, lesson: Lesson) -> None:
        self.progress = progress
        self.lesson = lesson
        self.step = 0

    def __call__(self, event: Event) -> None:
        """Take an event; the file is written when something was achieved."""
        taken = self.progress.kept.lessons.setdefault(self.lesson.id, Taken())
        match event:
            case StepEntered(step):
                self.step = taken.step = step.number - 1
                taken.reached = max(taken.reached, taken.step)
                for before in self.lesson.steps[: self.step]:
                    if not before.tasks:
                        _add(taken.steps, before.number - 1)
            case TaskDone(task):
                _add(taken.tasks, f"{self.step}/{task.id}")
            case StepDone(step):
                _add(taken.steps, step.number - 1)
            case Predicted(prediction, answer, right):
                here = (self.step, prediction.id)
                taken.missed = [each for each in taken.missed if (each.step, each.prediction) != here]
                if not right:
                    answers = " or ".join(prediction.answers)
                    taken.missed.append(Miss(prediction.id, self.step, prediction.question, answer, answers))
            case LessonDone():
                taken.done = True
                taken.step = 0
            case _:
                return
        taken.touched = time.time()
        self.progress.kept.last = self.lesson.id
        self.progress.save()


def _add(values: list, value: object) -> None:  # type: ignore[type-arg]
    if value not in values:
        values.append(value)
