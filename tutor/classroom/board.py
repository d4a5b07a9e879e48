"""What the teacher's board shows, made from the records of the class.

A digest has one short entry for each learner and each task, however much the class has done: what is counted is kept
as counts, and the texts in it are cut.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tutor.lesson.catalogue import Catalogue
from tutor.lesson.journal import JournalRows, Row
from tutor.lesson.model import Lesson, Step, Task
from tutor.prompt.markdown import one_line
from tutor.prompt.words import shorten

MOST_MISTAKES = 3  # that are shown of a task
KEPT_MISTAKES = 50  # different ones that are counted
TEXT = 160  # characters of a text in a digest
LONGEST_TASK_S = 3600.0  # longer times count as this: the learner was away

Here = tuple[int, str]  # a step (index) and the ID of a task or prediction in it


@dataclass
class TaskWork:
    """What a learner did about a task."""

    began: int = 0  # ms since 1970
    seconds: float | None = None  # until it was done
    attempts: int = 0
    hints: int = 0
    shown: int = 0
    mistakes: Counter[str] = field(default_factory=Counter)


@dataclass
class LessonWork:
    """What a learner did in a lesson."""

    journal: JournalRows = field(default_factory=JournalRows)
    step: int = 0
    finished: bool = False
    done: set[Here] = field(default_factory=set)
    tasks: dict[Here, TaskWork] = field(default_factory=dict)
    predictions: dict[Here, str] = field(default_factory=dict)


@dataclass
class LearnerWork:
    """What a learner did."""

    lessons: dict[str, LessonWork] = field(default_factory=dict)
    lesson: str = ""  # that was opened last
    is_open: bool = False
    help_since: int = 0  # ms since 1970
    active: int = 0  # the last record
    progress: int = 0  # the last task, prediction or step
    mistake: str = ""  # that was pointed out last, until something succeeds
    repeated: int = 0  # how often in a row
    answers: dict[int, str] = field(default_factory=dict)


def step_of(row: Row) -> int | None:
    """Return the index of the step that a row enters; None: another row."""
    number = str(row.get("step", "")).partition(" ")[0]
    return int(number) if number.isdigit() else None


class ClassBoard:
    """The state of a class."""

    def __init__(self, course: Catalogue, stuck_minutes: int = 5) -> None:
        self.course = course
        self.stuck_ms = stuck_minutes * 60_000
        self.learners: dict[int, LearnerWork] = {}
        self._lessons = {lesson.key: lesson for lesson in course.lessons}

    def forget(self, learner: int) -> None:
        """Leave a learner out."""
        self.learners.pop(learner, None)

    def take(self, learner: int, at: int, body: Mapping[str, Any]) -> None:
        """Take a record."""
        work = self.learners.setdefault(learner, LearnerWork())
        work.active = max(work.active, at)
        if "help" in body:
            work.help_since = at if body["help"] else 0
        if isinstance(body.get("question"), int):
            work.answers[body["question"]] = str(body.get("answer", ""))
        key = str(body.get("lesson", ""))
        lesson = self._lessons.get(key)
        if lesson is None:
            return
        taken = work.lessons.setdefault(key, LessonWork())
        if "rows" in body:
            work.lesson, work.is_open = key, True
            work.progress = max(work.progress, at)
            self._open(lesson, taken, body["rows"])
        elif "left" in body:
            work.is_open = work.is_open and work.lesson != key
        elif "mistake" in body:
            self._mistake(work, taken, body)
        elif isinstance(body.get("row"), dict):
            self._row(work, lesson, taken, body["row"], at)

    def _open(self, lesson: Lesson, taken: LessonWork, rows: Iterable[Row]) -> None:
        """Take a whole journal. What was counted before stays counted."""
        taken.journal = JournalRows()
        for row in rows:
            taken.journal.apply(dict(row))
        self._look(lesson, taken)

    def _look(self, lesson: Lesson, taken: LessonWork) -> None:
        """Say from the journal where the learner is, and what is done."""
        taken.done, taken.predictions, taken.step = set(), {}, 0
        at = 0
        for row in taken.journal.rows:
            if (entered := step_of(row)) is not None:
                at = taken.step = min(entered, len(lesson.steps) - 1)
            elif "done" in row:
                taken.done.add((at, str(row["done"])))
            elif "prediction" in row:
                taken.predictions[at, str(row["prediction"])] = str(row.get("answer", ""))

    def _row(self, work: LearnerWork, lesson: Lesson, taken: LessonWork, row: Row, at: int) -> None:
        task = open_task(lesson, taken)
        here = (taken.step, task.id) if task is not None else None
        job = taken.tasks.setdefault(here, TaskWork(began=at)) if here is not None else None
        if "line" in row and not row.get("for") and job is not None:
            job.attempts += 1
        elif row.get("action") == "hint" and job is not None:
            job.hints += 1
        elif row.get("action") == "show" and job is not None:
            job.shown += 1
        elif "done" in row:
            done = taken.tasks.setdefault((taken.step, str(row["done"])), TaskWork(began=at))
            done.seconds = min(LONGEST_TASK_S, (at - done.began) / 1000)
        if "done" in row or "step" in row or "prediction" in row:
            work.progress, work.mistake, work.repeated = at, "", 0
        if row.get("step") == "":
            taken.finished = True
            taken.step = len(lesson.steps) - 1
            return  # the journal starts again; what was done stays on the board
        taken.journal.apply(dict(row))
        if "done" in row:
            taken.done.add((taken.step, str(row["done"])))
        elif "prediction" in row:
            taken.predictions[taken.step, str(row["prediction"])] = str(row.get("answer", ""))
        elif "step" in row or "back" in row:
            self._look(lesson, taken)
        if "step" in row or "done" in row:
            after = open_task(lesson, taken)
            if after is not None:
                taken.tasks.setdefault((taken.step, after.id), TaskWork(began=at))

    @staticmethod
    def _mistake(work: LearnerWork, taken: LessonWork, body: Mapping[str, Any]) -> None:
        text = shorten(one_line(str(body["mistake"])), TEXT)
        work.repeated = work.repeated + 1 if text == work.mistake else 1
        work.mistake = text
        job = taken.tasks.setdefault((taken.step, str(body.get("task", ""))), TaskWork())
        if text in job.mistakes or len(job.mistakes) < KEPT_MISTAKES:
            job.mistakes[text] += 1

    # -- digests

    def contents(self) -> list[dict[str, Any]]:
        """Return the lessons of the class, with their steps."""
        return [
            {
                "key": lesson.key,
                "title": one_line(lesson.title),
                "steps": [one_line(each.title) for each in lesson.steps],
            }
            for lesson in self.course.lessons
        ]

    def digest(self, lesson: str, now: int, is_connected: Callable[[int], bool] = lambda _: True) -> dict[str, Any]:
        """Return what the board shows of a lesson (empty: the one with most learners), `now` in ms since 1970."""
        counts = Counter(each.lesson for each in self.learners.values() if each.lesson)
        shown = lesson if lesson in self._lessons else counts.most_common(1)[0][0] if counts else ""
        return {
            "at": now,
            "lesson": shown,
            "learners": [
                self._entry(number, work, shown, now, is_connected(number)) for number, work in self.learners.items()
            ],
            "tasks": self._tasks(self._lessons[shown]) if shown else [],
            "predictions": self._predictions(self._lessons[shown]) if shown else [],
            "groups": self._groups(),
        }

    def state(self, work: LearnerWork, now: int, is_connected: bool = True) -> str:
        """Return help, away, done, ready (in no lesson), stuck, or working."""
        taken = work.lessons.get(work.lesson)
        if work.help_since:
            return "help"
        if not is_connected:
            return "away"
        if not work.is_open or taken is None:
            return "done" if taken is not None and taken.finished else "ready"
        if work.repeated >= 3 or now - max(work.progress, 1) > self.stuck_ms:
            return "stuck"
        return "working"

    def _entry(self, number: int, work: LearnerWork, shown: str, now: int, is_connected: bool) -> dict[str, Any]:
        taken = work.lessons.get(shown)
        return {
            "id": number,
            "state": self.state(work, now, is_connected),
            "lesson": work.lesson,
            "cells": self._cells(self._lessons[shown], taken) if taken is not None else "",
            "minutes": max(0, now - work.progress) // 60_000 if work.progress else None,
            "mistake": work.mistake,
        }

    @staticmethod
    def _cells(lesson: Lesson, taken: LessonWork) -> str:
        """Return a letter a step: d done, p partly done, h here, s left behind, - not reached."""
        letters = []
        for at, step in enumerate(lesson.steps):
            done = sum((at, task.id) in taken.done for task in step.tasks)
            if step.tasks and done == len(step.tasks):
                letters.append("d")
            elif at == taken.step and not taken.finished:
                letters.append("h")
            elif done:
                letters.append("p")
            elif at < taken.step or taken.finished:
                letters.append("s" if step.tasks else "d")
            else:
                letters.append("-")
        return "".join(letters)

    def _works(self, lesson: Lesson) -> list[LessonWork]:
        return [work.lessons[lesson.key] for work in self.learners.values() if lesson.key in work.lessons]

    def _tasks(self, lesson: Lesson) -> list[dict[str, Any]]:
        found = []
        works = self._works(lesson)
        for at, step in enumerate(lesson.steps):
            for task in step.tasks:
                here = (at, task.id)
                jobs = [work.tasks[here] for work in works if here in work.tasks]
                times = sorted(job.seconds for job in jobs if job.seconds is not None)
                mistakes: Counter[str] = Counter()
                for job in jobs:
                    mistakes.update(job.mistakes)
                found.append(
                    {
                        "step": at,
                        "task": task.id,
                        "goal": shorten(one_line(task.goal), TEXT),
                        "done": sum(here in work.done for work in works),
                        "open": sum(not work.finished and open_at(step, work, at) is task for work in works),
                        "attempts": statistics.median(job.attempts for job in jobs) if jobs else 0,
                        "seconds": [round(each) for each in quartiles(times)],
                        "hints": sum(job.hints for job in jobs),
                        "shown": sum(job.shown for job in jobs),
                        "mistakes": mistakes.most_common(MOST_MISTAKES),
                    }
                )
        return found

    def _predictions(self, lesson: Lesson) -> list[dict[str, Any]]:
        found = []
        works = self._works(lesson)
        for at, step in enumerate(lesson.steps):
            for prediction in step.predictions:
                said = Counter(
                    shorten(one_line(work.predictions[at, prediction.id]), TEXT)
                    for work in works
                    if (at, prediction.id) in work.predictions
                )
                options = [shorten(one_line(each), TEXT) for each in prediction.options]
                others = Counter({each: count for each, count in said.items() if each not in options})
                found.append(
                    {
                        "step": at,
                        "question": shorten(one_line(prediction.question), TEXT),
                        "answers": [[each, said[each]] for each in options]
                        + [list(each) for each in others.most_common(MOST_MISTAKES)],
                        "right": shorten(one_line(prediction.correct), TEXT),
                    }
                )
        return found

    def _groups(self) -> list[dict[str, Any]]:
        """Return the learners who were told the same last, the largest group first."""
        groups: dict[tuple[str, int, str], list[int]] = {}
        for number, work in self.learners.items():
            taken = work.lessons.get(work.lesson)
            if work.mistake and taken is not None:
                groups.setdefault((work.lesson, taken.step, work.mistake), []).append(number)
        ordered = sorted(groups.items(), key=lambda group: -len(group[1]))[: 2 * MOST_MISTAKES]
        return [
            {"lesson": lesson, "step": step, "mistake": text, "learners": numbers}
            for (lesson, step, text), numbers in ordered
        ]


def open_task(lesson: Lesson, taken: LessonWork) -> Task | None:
    """Return the task that the learner is at."""
    return open_at(lesson.steps[taken.step], taken, taken.step)


def open_at(step: Step, taken: LessonWork, at: int) -> Task | None:
    """Return the first task of a step that is not done, if the learner is in that step."""
    if taken.step != at:
        return None
    return next((task for task in step.tasks if (at, task.id) not in taken.done), None)


def quartiles(values: list[float]) -> list[float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(values) < 2:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")
