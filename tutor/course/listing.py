"""`redis-tutor list`: the lessons with what is done, for people and for programs."""

import json
import sys

from tutor.course.catalogue import read_course
from tutor.course.progress import Progress


def print_list(as_json: bool = False) -> int:
    """Print all lessons by chapter; problems of lesson files go to standard error. Returns the exit status."""
    course, progress = read_course(), Progress()
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
                state = "done" if taken and taken.done else ""
                if taken and not taken.done:
                    state = f"step {taken.step + 1} of {len(lesson.steps)}"
                if taken and taken.missed:
                    state += f"{', ' if state else ''}{len(taken.missed)} to review"
                end = f"  {state}" if state else ""
                print(f"   {lesson.id:<{width}}  {lesson.title}  ({lesson.front.minutes} min){end}")
    for problem in course.problems:
        print(problem, file=sys.stderr)
    if progress.notice:
        print(progress.notice, file=sys.stderr)
    return 0
