"""`redis-tutor list` and `redis-tutor journal`: the lessons with what is done, for people and for programs."""

import json
import sys
import time
from collections import Counter

from tutor.lesson.bookmarks import entries
from tutor.lesson.catalogue import installed_course
from tutor.lesson.export import CannotExport, gather, write
from tutor.lesson.free_play import NAME as SANDBOX
from tutor.lesson.free_play import sandbox_lesson
from tutor.lesson.journal import LessonJournal
from tutor.lesson.model import Lesson
from tutor.lesson.progress import Progress, Taken
from tutor.lesson.reading import Problems
from tutor.lesson.review import questions
from tutor.lesson.scrollback import Scrollback
from tutor.lesson.summary import skipped_in


def print_list(as_json: bool = False) -> int:
    """Print all lessons by chapter; problems of lesson files go to standard error. Returns the exit status."""
    course, progress = installed_course(), Progress()
    now = time.time()
    due = Counter(each.lesson.id for each in questions(course, progress) if each.due <= now)
    placed = progress.kept.placed
    marked: dict[str, list[int]] = {}
    for each in entries(course, progress):
        marked.setdefault(each.lesson_key, []).append(each.step + 1)
    if as_json:
        rows = []
        for lesson in course.lessons:
            taken = progress.of(lesson.id)
            rows.append(
                {
                    "id": lesson.id,
                    "title": lesson.title,
                    "chapter": lesson.front.chapter,
                    "minutes": lesson.front.minutes,
                    "steps": len(lesson.steps),
                    "steps_done": len(taken.steps) if taken else 0,
                    "done": bool(taken and taken.done),
                    "state": _state(lesson, taken, lesson.id in placed),
                    "placed": lesson.id in placed and not (taken and taken.done),
                    "tasks": sum(len(step.tasks) for step in lesson.steps),
                    "tasks_done": len(taken.tasks_done) if taken else 0,
                    "tasks_skipped": skipped_in(lesson, taken),
                    "predictions_right": len(taken.right) if taken else 0,
                    "predictions_missed": len(taken.missed) if taken else 0,
                    "to_review": due[lesson.id],
                    "bookmarks": marked.get(lesson.id, []),
                }
            )
        print(json.dumps(rows, indent=1))
    else:
        width = max((len(lesson.id) for lesson in course.lessons), default=0)
        for number, title in course.chapters.items():
            lessons = [lesson for lesson in course.lessons if lesson.front.chapter == number]
            if not lessons:
                continue
            print(f"{number}. {title}")
            for lesson in lessons:
                taken = progress.of(lesson.id)
                words = _words(lesson, taken, lesson.id in placed, due[lesson.id], marked.get(lesson.id, []))
                end = f"  {', '.join(words)}" if words else ""
                print(f"   {lesson.id:<{width}}  {lesson.title}  ({lesson.front.minutes} min){end}")
    for problem in course.problems:
        print(problem, file=sys.stderr)
    if progress.notice:
        print(progress.notice, file=sys.stderr)
    return 0


def _words(lesson: Lesson, taken: Taken | None, placed: bool, due: int, steps: list[int]) -> list[str]:
    """Return what the list says about a lesson; `steps` are those with a bookmark, from 1."""
    words = ["done"] if taken and taken.done else ["placed"] if placed else []
    if taken and not taken.done:
        words.append(f"step {taken.step + 1} of {len(lesson.steps)}")
    if skipped := skipped_in(lesson, taken):
        words.append(f"{skipped} task{'s' if skipped > 1 else ''} skipped")
    if taken and taken.missed:
        words.append(f"{len(taken.missed)} wrong prediction{'s' if len(taken.missed) > 1 else ''}")
    if due:
        words.append(f"{due} to review")
    if steps:
        words.append(f"bookmark at step {', '.join(map(str, steps))}")
    return words


def _state(lesson: Lesson, taken: Taken | None, placed: bool) -> str:
    """Return `new`, `begun`, `placed`, `solved` (finished, every task done) or `skipped` (finished without some)."""
    if placed and not (taken and taken.done):
        return "placed"
    if taken is None:
        return "new"
    if not taken.done:
        return "begun"
    return "skipped" if skipped_in(lesson, taken) else "solved"


def print_journal(name: str, file: str = "") -> int:
    """Print the journal of a lesson or the sandbox as it can be shown to others, or save it in another form.

    Returns the exit status.
    """
    try:
        lesson = sandbox_lesson() if name == SANDBOX else installed_course().open(name)
    except (LookupError, Problems) as error:
        print(f"redis-tutor: {error.args[0]}", file=sys.stderr)
        return 1
    journal = LessonJournal(lesson.key, digest=lesson.digest, reads_only=True)
    exported = journal.export()
    if not exported:
        what = "used the sandbox" if name == SANDBOX else f"begun the lesson {lesson.id}"
        print(f"redis-tutor: you have not {what}", file=sys.stderr)
        return 1
    if not file:
        print(exported, end="")
        return 0
    scrollback = Scrollback(journal.path.with_suffix(".screen"), fresh=False, writes=False)
    try:
        print(write(file, gather(lesson.title, journal.trail(), scrollback, is_prompt=lesson.is_prompt)))
    except CannotExport as problem:
        print(f"redis-tutor: {problem}", file=sys.stderr)
        return 1
    return 0
