"""In a challenge, the commands of the learner are counted and compared with the shortest known solution."""

import re

import pytest

from tutor.lesson.catalogue import installed_course
from tutor.lesson.checks import Attempt
from tutor.lesson.counting import CommandCount, counted, total
from tutor.lesson.events import LessonDone, TaskDone
from tutor.lesson.server import EngineServer
from tutor.lesson.session import Session

COURSE = installed_course()
CHALLENGES = [lesson for lesson in COURSE.lessons if lesson.front.challenge]
NUMBERS = ("none", "one", "two", "three", "four", "five", "six")
ENOUGH = re.compile(r"\b(\w+)\W+commands?\b[^.]* (?:is|are) enough", re.I)


def done(events):
    return next((event for event in events if isinstance(event, TaskDone)), None)


@pytest.fixture
def session():
    lesson = COURSE.find("challenge-types")
    server = EngineServer(lesson.terminals, seed=1)
    made = Session(lesson, server)
    made.open()
    yield made
    server.close()


def solve(session, *before):
    name = session.lesson.terminals[0]
    for line in before:
        session.submit(name, line)
    events = [event for line in session.open_task.solution for event in session.submit(name, line)]
    return done(events)


def test_what_changes_something_is_counted_and_what_looks_is_not(session):
    found = solve(session, "SET x 1", "GET x", "KEYS *", "DEL x", "SET x")
    assert found.count == CommandCount(8, 5)
    assert found.count.sentence() == "You used 8 commands, apart from looking. The shortest known solution has 5."


def test_what_was_taken_back_is_not_counted(session):
    session.submit(session.lesson.terminals[0], "SET x 1")
    session.undo()
    found = solve(session)
    assert (
        found.count.sentence() == "You used 5 commands, apart from looking: as many as the shortest known solution."
    )
    assert "fewer than the shortest" in CommandCount(1, 2).sentence()


def test_a_solution_that_was_shown_is_not_counted(session):
    assert done(session.show()).count is None


def test_the_end_of_the_lesson_tells_the_sum(session):
    solve(session, "SET x 1", "DEL x")
    session.next()
    solve(session)
    *_, last = [event for _ in session.lesson.steps for event in session.next()]
    assert isinstance(last, LessonDone) and last.summary.count == CommandCount(9, 7)
    assert total([]) is None


def test_other_lessons_do_not_count():
    lesson = COURSE.find("strings")
    server = EngineServer(lesson.terminals, seed=1)
    session = Session(lesson, server)
    session.open()
    assert solve(session).count is None
    server.close()


@pytest.mark.parametrize("lesson", CHALLENGES, ids=lambda lesson: lesson.id)
def test_the_number_in_the_text_is_that_of_the_solution(lesson):
    typed = [Attempt(lesson.terminals[0], (b"SET", b"a", b"1"), "OK")]
    for step in lesson.steps:
        for task in step.tasks:
            if found := ENOUGH.search(task.goal):
                (count,) = counted(lesson, task, typed)
                assert count.shortest == NUMBERS.index(found[1].lower())
