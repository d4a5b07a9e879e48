"""A learner's folder made from the records of the class, so that another hub can go on where the learner was.

The records hold the journals of the lessons, which are written as the tutor writes them: a lesson that is opened
replays its journal. How far the lessons have come is taken from the journals. Bookmarks, settings and the history of
the prompt stay on the computer where they were made.
"""

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutor.classroom.board import step_of
from tutor.classroom.store import StoredRecord
from tutor.lesson.catalogue import Catalogue
from tutor.lesson.journal import JournalRows, Row
from tutor.lesson.model import Lesson
from tutor.lesson.progress import Miss, Progress, ProgressFile, Taken
from tutor.paths import private


@dataclass
class Kept:
    """What records say of a lesson."""

    header: Row = field(default_factory=dict)
    journal: JournalRows = field(default_factory=JournalRows)
    taken: Taken = field(default_factory=Taken)


def bring_home(home: Path, records: Iterable[StoredRecord], course: Catalogue) -> bool:
    """Write a learner's journals and progress where the records know more than the folder; returns whether they do.

    What the folder has and the store does not stays: it will be sent.
    """
    rows = [each for each in records if "lesson" in each.body or "open" in each.body]
    outbox = home / "class" / "outbox.jsonl"
    own, pending = _outbox(outbox)
    if not rows or pending or rows[-1].source == own:
        return False
    lessons = {lesson.key: lesson for lesson in course.lessons}
    kept: dict[str, Kept] = {}
    last = ""
    for record in rows:
        last = str(record.body.get("open", last))
        key = str(record.body.get("lesson", ""))
        if key in lessons:
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, IndexError):
                _take(kept.setdefault(key, Kept()), lessons[key], record)
    for folder in (home / "steps", home / "class"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for key, each in kept.items():
        text = "".join(json.dumps(row) + "\n" for row in (each.header, *each.journal.rows))
        _write(home / "steps" / f"{key}.jsonl", text)
    progress = Progress(home / "progress.json")

    def change(file: ProgressFile) -> None:
        for key, each in kept.items():
            before = file.lessons.get(key)
            each.taken.done = each.taken.done or bool(before and before.done)
            file.lessons[key] = each.taken
        if kept:
            latest = max(kept, key=lambda key: kept[key].taken.touched)
            file.last = lessons[latest].id

    progress.change(change)
    _write(home / "class" / "lesson", last)
    return True


def _outbox(path: Path) -> tuple[str, bool]:
    """Return the ID of the outbox that is here, and whether something in it is not stored yet."""
    name, saved, last = "", 0, 0
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text("utf-8").splitlines():
            row: dict[str, Any] = json.loads(line)
            if "outbox" in row:
                name, saved = str(row["id"]), int(row["saved"])
            else:
                last = int(row["n"])
    return name, last > saved


def _take(kept: Kept, lesson: Lesson, record: StoredRecord) -> None:
    """Take a record of a lesson."""
    body = record.body
    if isinstance(body.get("rows"), list) and isinstance(body.get("journal"), dict):
        kept.header, kept.journal = dict(body["journal"]), JournalRows()
        for row in body["rows"]:
            _row(kept, lesson, dict(row))
    elif isinstance(body.get("row"), dict):
        _row(kept, lesson, dict(body["row"]))
    kept.taken.touched = max(kept.taken.touched, record.at / 1000)


def _row(kept: Kept, lesson: Lesson, row: Row) -> None:
    kept.journal.apply(row, kept.header.get("journal", 1))
    taken = kept.taken
    if row.get("step") == "":
        taken.done, taken.step = True, 0
        return
    if "step" in row or "back" in row:
        step = step_of({"step": kept.journal.step}) if kept.journal.step else 0
        taken.step = min(step or 0, len(lesson.steps) - 1)
        taken.reached = max(taken.reached, taken.step)
    if row.keys() & {"done", "back", "step"}:
        done: list[str] = []
        for name, entries in kept.journal.trail():
            at = step_of({"step": name}) or 0
            done += [f"{at}/{entry['done']}" for entry in entries if "done" in entry]
        taken.tasks = list(dict.fromkeys(done))
        whole = [
            at for at, step in enumerate(lesson.steps) if all(f"{at}/{task.id}" in taken.tasks for task in step.tasks)
        ]
        taken.steps = [at for at in whole if lesson.steps[at].tasks or at < taken.step]
    elif "prediction" in row:
        _prediction(taken, lesson, str(row["prediction"]), str(row.get("answer", "")))


def _prediction(taken: Taken, lesson: Lesson, name: str, answer: str) -> None:
    here = f"{taken.step}/{name}"
    for prediction in lesson.steps[taken.step].predictions:
        if prediction.id == name:
            taken.right = [each for each in taken.right if each != here]
            taken.missed = [each for each in taken.missed if (each.step, each.prediction) != (taken.step, name)]
            if answer == prediction.correct:
                taken.right.append(here)
            else:
                taken.missed.append(Miss(name, taken.step, prediction.question, answer, prediction.correct))


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8", opener=private) as file:
        file.write(text)
    os.replace(temporary, path)
