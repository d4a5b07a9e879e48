"""Journals of lessons, as learners leave them: taken by the book, and what people make of such a file."""

import json
from pathlib import Path
from typing import Any

from tutor.lesson.journal import LessonJournal
from tutor.lesson.model import Example, Lesson, Prediction, Task, split_line
from tutor.lesson.multi_server import MachinesServer
from tutor.lesson.server import EngineServer
from tutor.lesson.session import Session
from tutor.lesson.shuffle import for_learner

Row = dict[str, Any]


def record(lesson: Lesson, folder: Path, solves: bool = True) -> list[Row]:
    """Take a lesson to its last step, with every solution or with none; returns the lines of its journal."""
    journal = LessonJournal(lesson.key, folder, digest=lesson.digest)
    lesson = for_learner(lesson, journal.seed)
    server = (
        MachinesServer(lesson, seed=journal.seed)
        if lesson.on_machines
        else EngineServer(lesson.terminals, lesson.arguments, seed=journal.seed)
    )
    try:
        session = Session(lesson, server, journal=journal)
        session.open()
        for number in range(len(lesson.steps)):
            for block in session.step.blocks if solves else ():
                _take(session, block, lesson)
            if number < len(lesson.steps) - 1:
                session.next()
        rows = [json.loads(line) for line in journal.path.read_bytes().splitlines()]
    finally:
        server.close()
        journal.close()
    return rows


def _take(session: Session, block: object, lesson: Lesson) -> None:
    match block:
        case Example() if not block.setup and not block.arrives:
            if not session.ran(block):
                session.run_example(block)
        case Prediction():
            session.predict(block, block.correct)
            for example in block.examples:
                if not session.ran(example):
                    session.run_example(example)
        case Task():
            if not session.task_done(block):
                for line in block.solution:
                    session.submit(*split_line(line, lesson.terminals))
            for _ in range(40):
                if session.task_done(block):
                    break
                session.server.pass_time(0.5)
                session.look_again()


def as_file(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def forged(rows: list[Row]) -> list[Row]:
    """Claim what was not done: the lines are gone, and what the file says of the tasks stays."""
    return [row for row in rows if "line" not in row and "ran" not in row]


def claimed(rows: list[Row], lesson: Lesson) -> list[Row]:
    """Claim all tasks in a journal without solutions."""
    found = []
    for row in rows:
        if row.get("action") == "complete":
            step = int(found_step(found))
            found += [{"done": task.id, "at": row["at"]} for task in lesson.steps[step].tasks]
        found.append(row)
    return found


def found_step(rows: list[Row]) -> str:
    return next(str(row["step"]).partition(" ")[0] for row in reversed(rows) if "step" in row)
