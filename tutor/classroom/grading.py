"""Grading by replay: what was typed, typed again on a fresh server, whose state decides which goals were reached.

A journal says that a task was done; that counts for nothing here. Its lines are executed in the same order, with the
same seed and the same pauses (time passes at once), and the checks of the lesson look at the result. Python does not
run: what a program sent to the server is sent again.

What a journal cannot show: who typed it; and, if it was kept on the learner's own computer, whether its times are
right and whether lines about hints were removed from it.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tutor.classroom.board import step_of
from tutor.lesson.catalogue import Catalogue
from tutor.lesson.events import Nothing
from tutor.lesson.journal import VERSION, JournalRows, LessonJournal, Row
from tutor.lesson.model import Lesson, Task
from tutor.lesson.multi_server import MachinesServer
from tutor.lesson.python_process import OFF
from tutor.lesson.server import EngineServer, SessionServer
from tutor.lesson.session import Session
from tutor.lesson.shuffle import for_learner
from tutor.lesson_server.parent import HostError
from tutor.prompt.markdown import one_line

ANSWER_SECONDS = 5.0  # for which a replayed command may run
REPLAY_SECONDS = 600.0  # for a whole journal, on a busy machine as well; then the rest of it does not count
PAUSE_SECONDS = 86_400.0  # longer pauses count as this
MACHINES_PAUSE_SECONDS = 20.0  # the same where several servers have to be simulated meanwhile
LOOKS = 12  # after a task that was done some time after its last line
LOOK_SECONDS = 5.0
SAME_LINES = 8  # so many lines, the same in two journals, are worth a mention
MOST_BYTES = 32 << 20  # of a journal

COLUMNS = [
    "learner", "lesson", "title", "step", "task", "goal", "status", "points", "max_points", "hints", "attempts",
    "done_at", "late", "same_journal", "same_lines", "note",
]  # fmt: skip


class CannotGrade(Exception):  # noqa: N818
    """A journal cannot be replayed, and why."""


@dataclass(slots=True)
class GradedTask:
    """A task, and what the replay found about it."""

    step: int  # index
    task: str
    goal: str
    done: bool = False
    shown: bool = False  # the tutor typed the solution
    claimed: bool = False  # the journal says that it is done
    hints: int = 0
    attempts: int = 0
    at: int = 0  # when it was done, in ms since 1970

    @property
    def status(self) -> str:
        """done, shown (by the tutor), unconfirmed (the journal says so, and the replay does not), or open."""
        if self.done:
            return "shown" if self.shown else "done"
        return "unconfirmed" if self.claimed else "open"


@dataclass(slots=True)
class GradedJournal:
    """The result of a journal."""

    lesson: Lesson
    tasks: list[GradedTask]
    seed: int
    lines: str  # a digest of what the learner typed; empty if that was little
    note: str = ""


@dataclass(frozen=True, slots=True)
class Marking:
    """How results become points."""

    points: int = 10
    hint_cost: int = 0
    deadline: datetime | None = None

    def of(self, task: GradedTask) -> int:
        """Return the points for a task."""
        if task.status != "done":
            return 0
        return max(0, self.points - min(self.points, task.hints * self.hint_cost))

    def is_late(self, task: GradedTask) -> bool:
        """Return whether a task was done after the deadline."""
        return bool(self.deadline and task.at and task.at / 1000 > self.deadline.timestamp())


@dataclass
class JournalRuns:
    """The rows of a journal, by each time that the lesson was taken: it begins again when the lesson is finished."""

    header: Row = field(default_factory=dict)
    runs: list[tuple[Row, list[Row]]] = field(default_factory=list)
    _rows: JournalRows = field(default_factory=JournalRows)

    def begin(self, header: Row, rows: Iterable[Row] = ()) -> None:
        """Take the beginning of a journal, with rows that it has already: those of an earlier time are replaced."""
        if header.get("seed") != self.header.get("seed"):
            self.end()
        self.header, self._rows = dict(header), JournalRows()
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Take a row. Raises ValueError, TypeError."""
        if row.get("step") == "":
            self.end()
        else:
            self._rows.apply(dict(row), self.header.get("journal", 1))

    def end(self) -> None:
        """Take the end of the journal, or of the lesson."""
        if self._rows.rows:
            self.runs.append((self.header, self._rows.rows))
        self._rows = JournalRows()


def runs_of(records: Iterable[Mapping[str, Any]]) -> dict[str, JournalRuns]:
    """Return the journals in a learner's records, by lesson."""
    found: dict[str, JournalRuns] = {}
    for body in records:
        key = str(body.get("lesson", ""))
        if isinstance(body.get("rows"), list) and isinstance(body.get("journal"), dict):
            found.setdefault(key, JournalRuns()).begin(body["journal"], body["rows"])
        elif isinstance(body.get("row"), dict) and key in found:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                found[key].add(body["row"])
    for runs in found.values():
        runs.end()
    return found


def read_journal(data: bytes) -> JournalRuns:
    """Read the file of a journal, up to a line that cannot be read. Raises CannotGrade."""
    if len(data) > MOST_BYTES:
        raise CannotGrade(f"it has {len(data):,} bytes, and the limit is {MOST_BYTES:,}")
    runs = JournalRuns()
    for number, line in enumerate(data.splitlines(keepends=True)):
        try:
            row = json.loads(line) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            break
        if number == 0:
            if "lesson" not in row or "journal" not in row:
                raise CannotGrade("it does not begin with the header of a journal")
            runs.begin(row)
            continue
        try:
            runs.add(row)
        except (ValueError, TypeError, KeyError):
            break
    if not runs.header:
        raise CannotGrade("it is not a journal")
    runs.end()
    return runs


class GradingSession(Session):
    """A session that replays a journal and believes nothing in it."""

    def __init__(self, lesson: Lesson, server: SessionServer, journal: LessonJournal) -> None:
        super().__init__(lesson, server, journal=journal)
        self.results = {
            (at, task.id): GradedTask(at, task.id, one_line(task.goal))
            for at, step in enumerate(lesson.steps)
            for task in step.tasks
        }
        self.stopped_at = ""
        self._until = time.monotonic() + REPLAY_SECONDS
        self._clock = 0  # the time of the journal, in ms since 1970
        self._looks: set[tuple[int, str]] = set()

    def _restore(self, task: Task) -> None:
        """See `Session`. The task is done only if its check holds: now, or after some time."""
        here = (self.state.step, task.id)
        if here in self._looks:
            return
        self._looks.add(here)
        for _ in range(LOOKS):
            self._pass(LOOK_SECONDS)
            self.look_again()
            if self.task_done(task):
                return

    def _pass(self, seconds: float) -> None:
        if isinstance(self.server, EngineServer):
            self.server.host.skip_time(seconds)
        else:
            self.server.pass_time(seconds)

    def _do_one_again(self, entry: dict[str, Any]) -> None:
        if time.monotonic() > self._until:
            raise ValueError("it takes too long")
        at = entry.get("at")
        if isinstance(at, int):
            most = PAUSE_SECONDS if isinstance(self.server, EngineServer) else MACHINES_PAUSE_SECONDS
            pause_s = min(most, (at - self._clock) / 1000) if self._clock else 0
            self._clock = max(self._clock, at)
            if pause_s > 0.05:
                self._pass(pause_s)
        self.server.answer_s = ANSWER_SECONDS
        task = self.open_task
        result = self.results.get((self.state.step, task.id)) if task is not None else None
        if result is not None:
            result.attempts += "line" in entry and not entry.get("for")
            result.hints += entry.get("action") == "hint"
            result.shown = result.shown or entry.get("action") == "show"
        claimed = self.results.get((self.state.step, str(entry.get("done"))))
        if claimed is not None:
            claimed.claimed = True
        before = self.state.done
        line = str(entry.get("line", ""))
        if line.lower().split()[:2] == ["debug", "sleep"] and entry.get("terminal") in self.lesson.terminals:
            self.submit(str(entry["terminal"]), line, entry.get("for"))  # resuming a lesson leaves it out
        else:
            super()._do_one_again(entry)
        for here in self.state.done - before:
            self.results[here].done, self.results[here].at = True, self._clock

    def _do_again(self, entries: Sequence[dict[str, Any]], at_end: bool = True) -> Nothing | None:
        stopped = super()._do_again(entries, False)
        if stopped is not None:
            self.stopped_at = stopped.text
        return stopped


def grade(lesson: Lesson, header: Row, rows: Sequence[Row]) -> GradedJournal:
    """Replay a journal of a lesson. Raises CannotGrade, HostError."""
    version, seed = header.get("journal"), header.get("seed")
    if not isinstance(version, int) or version > VERSION:
        raise CannotGrade(f"it was written by a newer redis-tutor (journal {version}, this one reads {VERSION})")
    if not isinstance(seed, int) or not 0 < seed < 1 << 63:
        raise CannotGrade("it has no seed")
    names = [f"{at} {step.title}" for at, step in enumerate(lesson.steps)]
    entered = [str(row["step"]) for row in rows if "step" in row]
    if entered != names[: len(entered)] or any(step_of(row) is None for row in rows if "step" in row):
        raise CannotGrade("it belongs to another version of the lesson")
    lesson = for_learner(lesson, seed)
    with tempfile.TemporaryDirectory(prefix="redis-tutor-") as folder, without_python():
        text = "".join(json.dumps(row) + "\n" for row in ({**header, "digest": ""}, *rows))
        (Path(folder) / "journal.jsonl").write_text(text)
        journal = LessonJournal("journal", Path(folder))
        server: SessionServer = (
            MachinesServer(lesson, seed=seed)
            if lesson.on_machines
            else EngineServer(lesson.terminals, lesson.arguments, seed=seed)
        )
        try:
            session = GradingSession(lesson, server, journal)
            session.open()
        finally:
            server.close()
            journal.close()
    notes = []
    if session.stopped_at:
        notes.append(f"The replay ended early: {session.stopped_at}")
    if header.get("digest") != lesson.digest:
        notes.append("The lesson's text has changed since.")
    return GradedJournal(lesson, list(session.results.values()), seed, fingerprint(rows), " ".join(notes))


@contextlib.contextmanager
def without_python() -> Iterator[None]:
    """Have no lesson run Python meanwhile."""
    before = os.environ.get(OFF)
    os.environ[OFF] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[OFF]
        else:
            os.environ[OFF] = before


def fingerprint(rows: Iterable[Row]) -> str:
    """Return a digest of what a learner typed without being told to; empty for little."""
    typed = [(str(row.get("terminal")), str(row["line"])) for row in rows if "line" in row and not row.get("for")]
    return hashlib.sha256(json.dumps(typed).encode()).hexdigest() if len(typed) >= SAME_LINES else ""


def results(
    journals: Iterable[tuple[str, JournalRuns]], course: Catalogue, marking: Marking
) -> tuple[list[dict[str, Any]], list[str]]:
    """Grade journals, each with its learner's name; returns a row for each task, and what could not be graded.

    If a learner took a lesson several times, each task's best result counts.
    """
    lessons = {lesson.key: lesson for lesson in course.lessons}
    problems: list[str] = []
    graded: list[tuple[str, GradedJournal]] = []
    for name, runs in journals:
        for header, rows in runs.runs:
            key = str(header.get("lesson"))
            try:
                if key not in lessons:
                    raise CannotGrade(f"there is no lesson {key!r} here")
                graded.append((name, grade(lessons[key], header, rows)))
            except (CannotGrade, HostError) as problem:
                problems.append(f"{name}: {problem}")
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
                problems.append(f"{name}: it is not as a tutor writes it, and cannot be replayed")
    return _rows(graded, marking), problems


def _rows(graded: Sequence[tuple[str, GradedJournal]], marking: Marking) -> list[dict[str, Any]]:
    best: dict[tuple[str, str, int, str], dict[str, Any]] = {}
    for name, result in graded:
        others = [(other, one) for other, one in graded if other != name and one.lesson.key == result.lesson.key]
        same = dict.fromkeys(other for other, one in others if one.seed == result.seed)
        like = dict.fromkeys(other for other, one in others if result.lines and one.lines == result.lines)
        for task in result.tasks:
            row = {
                "learner": name,
                "lesson": result.lesson.id,
                "title": one_line(result.lesson.title),
                "step": task.step + 1,
                "task": task.task,
                "goal": task.goal,
                "status": task.status,
                "points": marking.of(task),
                "max_points": marking.points,
                "hints": task.hints,
                "attempts": task.attempts,
                "done_at": utc(task.at) if task.done else "",
                "late": "yes" if task.done and marking.is_late(task) else "no",
                "same_journal": ", ".join(same),
                "same_lines": ", ".join(each for each in like if each not in same),
                "note": result.note,
            }
            here = (name, result.lesson.id, task.step, task.task)
            earlier = best.get(here)
            if earlier is None or _worth(row) > _worth(earlier):
                best[here] = row
    return list(best.values())


def with_open(
    rows: Sequence[dict[str, Any]], learners: Iterable[str], wanted: Sequence[Lesson], marking: Marking
) -> list[dict[str, Any]]:
    """Return rows by learner, with open ones for the lessons that a learner has not opened.

    `wanted` are the lessons of the class. If it is empty, a learner who opened no lesson at all has one row.
    """
    names = list(dict.fromkeys(learners))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for row in rows:
        found.setdefault(row["learner"], []).append(row)
    for name in names:
        opened = {row["lesson"] for row in found[name]}
        for lesson in wanted:
            if lesson.id not in opened:
                for at, step in enumerate(lesson.steps):
                    for task in step.tasks:
                        row = _open_row(name, marking) | {"lesson": lesson.id, "title": one_line(lesson.title)}
                        row |= {"step": at + 1, "task": task.id, "goal": one_line(task.goal)}
                        found[name].append(row)
        if not found[name]:
            found[name].append(_open_row(name, marking) | {"max_points": 0, "note": "opened no lesson"})
    return [row for each in found.values() for row in each]


def _open_row(name: str, marking: Marking) -> dict[str, Any]:
    """Return the row of a task that a learner has not begun."""
    return dict.fromkeys(COLUMNS, "") | {
        "learner": name,
        "status": "open",
        "points": 0,
        "max_points": marking.points,
        "hints": 0,
        "attempts": 0,
        "late": "no",
    }


def utc(at_ms: int) -> str:
    """Return a time in ms since 1970 as text."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def _worth(row: Mapping[str, Any]) -> tuple[int, bool, bool]:
    return row["points"], row["status"] == "shown", row["status"] == "unconfirmed"


def summary_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each learner and lesson, and a line for each task that is not simply done or open."""
    lines: list[str] = []
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["learner"], row["lesson"]), []).append(row)
    for (name, lesson), tasks in groups.items():
        counts = Counter(row["status"] for row in tasks)
        points, most = sum(row["points"] for row in tasks), sum(row["max_points"] for row in tasks)
        lines.append(f"{name}: {lesson}: {counts['done']} of {len(tasks)} tasks, {points} of {most} points")
        for row in tasks:
            if row["status"] in ("shown", "unconfirmed"):
                lines.append(f"  step {row['step']}, {row['task']}: {row['status']}")
        for column, words in (("same_journal", "the same journal as"), ("same_lines", "the same lines as")):
            if tasks[0][column]:
                lines.append(f"  {words} {tasks[0][column]}")
        if tasks[0]["note"]:
            lines.append(f"  {tasks[0]['note']}")
    return lines
