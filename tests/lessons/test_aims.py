"""What a task is called where there is no room for its goal: on the tick, and among the tasks that were skipped."""

import re

import pytest

from tutor.lesson.catalogue import installed_course
from tutor.lesson.model import Task
from tutor.prompt.markdown import one_line

COURSE = installed_course()
TASKS = [
    pytest.param(task, id=f"{lesson.id}-{step.number}-{task.id}")
    for lesson in COURSE.lessons
    for step in lesson.steps
    for task in step.tasks
]
VERBS = """
    acknowledge acquire add ask bring build calculate cancel cause change check choose clear close complete count
    crash create cut damage delete do empty end find finish free get give have increment insert install interrupt
    keep kill limit list load log look make measure merge move name open pop promote prove publish put raise read
    record release remove rename repair replace reset restore run see sell send set show start stop store subscribe
    swap switch take try turn undo use wait write
"""
BEFORE = re.compile(r"^(?:(?:From|In|On|With|As|By|Now)\b[^,]*, (?:redis01, )?|Now )", re.I)


def verb_of(aim: str) -> str:
    """Return the word that should be the verb, after words such as `In the terminal news,`."""
    return BEFORE.sub("", one_line(aim)).split()[0].strip(",:").lower()


@pytest.mark.parametrize("task", TASKS)
def test_a_tick_says_what_was_to_be_done(task):
    assert verb_of(task.aim) in VERBS.split(), f"{one_line(task.aim)!r}: give the task a `title` in its YAML"


@pytest.mark.parametrize("task", TASKS)
def test_a_title_is_short(task):
    assert len(one_line(task.title)) <= 70
    assert not task.title.endswith(".")


def test_the_first_sentence_of_the_goal_is_the_aim_unless_there_is_a_title():
    task = Task("task-1", "Remove `a`. Keep `b`.", (), (), (), (), (), 1, 1)
    assert task.aim == "Remove `a`"
    assert Task("task-1", "It is late. Go.", (), (), (), (), (), 1, 1, title="Go").aim == "Go"
