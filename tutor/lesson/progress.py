"""What the learner has done, in one JSON file in the user's data folder.

Several tutors may use the file at once. No tutor writes its copy in memory: it locks the folder, reads the file
again, applies its own changes to the current content, and replaces the whole file (it renames a new file over the old
one). A change that could not be written, because the disk is full or the folder is read-only, is kept and applied
with the next one.

A file that cannot be decoded is renamed, never overwritten. A file that a newer version wrote, or that cannot be
read, is left alone, and nothing is written while it is there. `Progress.notice` says so.
"""

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from tutor.lesson.events import Event, LessonDone, Predicted, StepDone, StepEntered, TaskDone, WentBack
from tutor.lesson.journal import forget
from tutor.lesson.model import Lesson
from tutor.paths import data_dir

VERSION = 1
MAX_BYTES = 16 << 20  # a whole course takes some 50 KB
LOCK_SECONDS = 2.0  # a tutor that was stopped (Ctrl-Z) while it held the lock must not stop the others

Index = Annotated[int, msgspec.Meta(ge=0)]


class Miss(msgspec.Struct):
    """A prediction that was wrong."""

    prediction: str
    step: Index
    question: str
    said: str
    right: str


class Taken(msgspec.Struct):
    """How far a lesson has come. `step` is the index of the step to resume at."""

    step: Index = 0
    reached: Index = 0
    tasks: list[str] = []  # "step/task", those that are done now
    steps: list[Index] = []  # indices of the steps whose tasks are done
    done: bool = False
    missed: list[Miss] = []
    right: list[str] = []  # "step/prediction", those that came out as said
    hints: int = 0
    shown: int = 0  # solutions that were typed for the learner
    seconds: int = 0
    touched: float = 0.0  # seconds since 1970

    @property
    def tasks_done(self) -> frozenset[tuple[int, str]]:
        """The tasks that are done, by step (index) and ID."""
        parts = (each.partition("/") for each in self.tasks)
        return frozenset((int(step), task) for step, _, task in parts if step.isdigit())

    @property
    def resume(self) -> tuple[int, frozenset[tuple[int, str]]]:
        """The step to resume at, and the tasks that are done, as `Session.open` takes them."""
        if self.done:
            return 0, frozenset()
        return self.step, self.tasks_done


class Card(msgspec.Struct):
    """A prediction in the review; times in seconds since 1970, the rest is FSRS's."""

    due: float
    last: float
    stability: float
    difficulty: float


def card_key(lesson: str, step: int, prediction: str) -> str:
    """Return the name of a prediction's card."""
    return f"{lesson}/{step}/{prediction}"


class Bookmark(msgspec.Struct):
    """A step that the learner marked. `title` finds it again when the lesson has other steps before it now."""

    lesson: str  # the lesson's key
    step: Index
    title: str = ""
    note: str = ""
    name: str = ""  # the lesson's title
    file: str = ""  # of the learner's own lesson


class ProgressFile(msgspec.Struct):
    """The file."""

    version: int = VERSION
    lessons: dict[str, Taken] = {}
    last: str = ""  # the lesson that was taken last
    cards: dict[str, Card] = {}  # of the review
    bookmarks: list[Bookmark] = []
    placed: dict[str, float] = {}  # lessons of chapters that the learner knew: key, seconds since 1970
    claimed: list[int] = []  # chapters whose challenge is taken to have them placed


Change = Callable[[ProgressFile], None]


class _Header(msgspec.Struct):
    """The fields that every version of the file has."""

    version: Annotated[int, msgspec.Meta(ge=1)]


class UnreadableProgress(Exception):  # noqa: N818
    """The file cannot be read as progress. `damaged`: the content is invalid, so the file can be set aside."""

    def __init__(self, reason: str, damaged: bool) -> None:
        super().__init__(reason)
        self.damaged = damaged


def default_path() -> Path:
    """Return where progress is kept."""
    return data_dir() / "progress.json"


class Progress:
    """The progress file. `kept` is what it held when it was last read or written; `notice`, what is wrong with it."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = Path(os.path.realpath(path or default_path()))  # a link stays one when the file is replaced
        self.notice = ""
        self.read_only = False
        self.kept = ProgressFile()
        self._said = ""
        self._unsaved: list[Change] = []
        self._together = False
        with self._lock():
            self.kept = self._load() or ProgressFile()

    # -- the file

    def _load(self) -> ProgressFile | None:
        """Return what the file holds now, or None when there is no file (any more)."""
        self.read_only = False
        try:
            data = _read(self.path)
            if data is None:
                return None
            version, kept = _decode(data)
        except UnreadableProgress as problem:
            if problem.damaged and (aside := self._set_aside()):
                self._say(f"{self.path} was damaged ({problem}). It is now {aside.name}, and progress starts again.")
                return None
            self.read_only = True
            self._say(f"{self.path} cannot be read ({problem}). Nothing is saved until it can be read.")
            return self.kept
        if version > VERSION:
            self.read_only = True
            self._say(
                f"{self.path} was written by a newer redis-tutor (format {version}, this one writes {VERSION}). "
                "It is opened read-only: what you do now is not saved."
            )
        return kept

    def _set_aside(self) -> Path | None:
        """Rename the file to a name that is free; None if that fails."""
        number = 1
        while os.path.lexists(aside := self.path.with_suffix(f".damaged-{number}.json")):
            number += 1
        try:
            os.rename(self.path, aside)
        except OSError:
            return None
        return aside

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other tutors from writing: a lock on the folder, without a lock file.

        If the folder is missing or does not support locks, do not wait.
        """
        descriptor = -1
        with contextlib.suppress(OSError):
            descriptor = os.open(self.path.parent, os.O_RDONLY)
            until = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        break
                    time.sleep(0.005)
        try:
            yield
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def change(self, change: Change) -> None:
        """Apply a change to what the file holds now, and write it."""
        self._unsaved.append(change)
        if not self._together:
            self.save()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write all changes made meanwhile at once."""
        self._together = True
        try:
            yield
        finally:
            self._together = False
            if self._unsaved:
                self.save()

    def save(self) -> None:
        """Write all changes that have not been written. A failure is reported in `notice` and harms nothing else."""
        with contextlib.suppress(OSError):  # the folder to lock; writing reports what is wrong with it
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock():
            kept = self._load() or self.kept  # a file that has vanished is written again
            for change in self._unsaved:
                change(kept)
            self.kept = kept
            if self.read_only:
                return
            try:
                _write(self.path, msgspec.json.format(msgspec.json.encode(kept), indent=1))
            except OSError as error:
                self._say(f"Progress cannot be saved in {self.path.parent}: {error.strerror}.")
                return
        self._unsaved.clear()
        self._said = ""

    def _say(self, text: str) -> None:
        """Set the notice once for the same problem, which recurs with every step."""
        if text != self._said:
            self.notice = self._said = text

    @property
    def saves(self) -> bool:
        """Whether everything that the learner has done is in the file."""
        return not self.read_only and not self._unsaved

    def take_notice(self) -> str:
        """Return the notice and clear it."""
        notice, self.notice = self.notice, ""
        return notice

    # -- progress

    def of(self, lesson: str) -> Taken | None:
        """Return how far a lesson has come, or None."""
        return self.kept.lessons.get(lesson)

    def settle(self, lesson: str, miss: Miss) -> None:
        """Strike out a missed prediction that was answered right in a review."""

        def strike(kept: ProgressFile) -> None:
            taken = kept.lessons.get(lesson)
            if taken is not None and miss in taken.missed:
                taken.missed.remove(miss)

        self.change(strike)

    def recorder(self, lesson: Lesson) -> "Recorder":
        """Return what a session calls with its events."""
        return Recorder(self, lesson)

    def forget(self, lesson: str | None = None) -> None:
        """Forget one lesson, or everything, and what was typed there."""
        with contextlib.suppress(OSError):
            forget(lesson, self.path.parent / "steps")

        def drop(kept: ProgressFile) -> None:
            if lesson is None:
                kept.lessons.clear()
                kept.cards.clear()
                kept.bookmarks.clear()
                kept.placed.clear()
                kept.claimed.clear()
                kept.last = ""
            else:
                kept.lessons.pop(lesson, None)
                kept.placed.pop(lesson, None)
                kept.cards = {key: card for key, card in kept.cards.items() if not key.startswith(f"{lesson}/")}
                kept.bookmarks = [each for each in kept.bookmarks if each.lesson != lesson]

        self.change(drop)


def _read(path: Path) -> bytes | None:
    """Return the file's bytes, or None if there is no file. Raises UnreadableProgress."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableProgress("it is not a file", damaged=False)
            if status.st_size > MAX_BYTES:
                raise UnreadableProgress(f"{status.st_size:,} bytes, and the limit is {MAX_BYTES:,}", damaged=True)
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnreadableProgress(error.strerror or str(error), damaged=False) from error


def _decode(data: bytes) -> tuple[int, ProgressFile]:
    """Return the version and content of a file; what is readable of a newer one. Raises UnreadableProgress."""
    try:
        version = msgspec.json.decode(data, type=_Header).version
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UnreadableProgress(str(error), damaged=True) from error
    try:
        return version, msgspec.json.decode(data, type=ProgressFile)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        if version > VERSION:
            return version, ProgressFile()
        raise UnreadableProgress(str(error), damaged=True) from error


def _write(path: Path, data: bytes) -> None:
    """Replace the file: readers see the old content or the new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".progress-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


class Recorder:
    """Turns a session's events into progress."""

    def __init__(self, progress: Progress, lesson: Lesson) -> None:
        self.progress = progress
        self.lesson = lesson
        self.step = 0

    def __call__(self, event: Event) -> None:
        """Take an event; the file is written when something was achieved."""
        if isinstance(event, StepEntered):
            self.step = event.step.number - 1
        if isinstance(event, StepEntered | TaskDone | StepDone | Predicted | WentBack | LessonDone):
            step, now = self.step, time.time()
            self.progress.change(lambda kept: self._apply(kept, event, step, now))

    def _apply(self, kept: ProgressFile, event: Event, at: int, now: float) -> None:
        taken = kept.lessons.setdefault(self.lesson.key, Taken())
        match event:
            case StepEntered():
                taken.step = at
                taken.reached = max(taken.reached, at)
                for before in self.lesson.steps[:at]:
                    if not before.tasks:
                        _add(taken.steps, before.number - 1)
            case TaskDone(task):
                _add(taken.tasks, f"{at}/{task.id}")
            case WentBack(_, reopened):
                gone = {f"{step}/{task}" for step, task in reopened}
                taken.tasks = [each for each in taken.tasks if each not in gone]
            case StepDone(step):
                _add(taken.steps, step.number - 1)
            case Predicted(prediction, answer, right):
                here = (at, prediction.id)
                taken.missed = [each for each in taken.missed if (each.step, each.prediction) != here]
                taken.right = [each for each in taken.right if each != f"{at}/{prediction.id}"]
                if right:
                    taken.right.append(f"{at}/{prediction.id}")
                else:
                    self._schedule(kept, card_key(self.lesson.key, at, prediction.id), now)
                    taken.missed.append(Miss(prediction.id, at, prediction.question, answer, prediction.correct))
            case LessonDone(_, summary):
                taken.done = True
                taken.step = 0
                if summary is not None:
                    taken.hints, taken.shown, taken.seconds = summary.hints, summary.shown, summary.seconds
        taken.touched = now
        if not self.lesson.own_file:
            kept.last = self.lesson.id

    @staticmethod
    def _schedule(kept: ProgressFile, key: str, now: float) -> None:
        from tutor.lesson.review import scheduled  # late: it brings a library that few runs need

        if (card := scheduled(kept.cards.get(key), False, now)) is not None:
            kept.cards[key] = card


def _add(values: list, value: object) -> None:  # type: ignore[type-arg]
    if value not in values:
        values.append(value)
