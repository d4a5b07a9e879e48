"""What an earlier try has left is named when the right line does not finish the task; older sentences are not."""

from dataclasses import replace

import pytest

from tests.lessons.diagnosis.test_bad_input import LESSON
from tutor.lesson.catalogue import installed_course
from tutor.lesson.checks import Attempt
from tutor.lesson.diagnosis.goal import Goal
from tutor.lesson.diagnosis.model import Place
from tutor.lesson.diagnosis.react import Circumstances, diagnose
from tutor.lesson.reading import parse_lesson
from tutor.lesson.server import EngineServer
from tutor.lesson.session import Diagnosed, Foreseen, Session, TaskDone, WentBack

SET = (
    LESSON.replace("Store `Ada` under `user:1`", "Add `ada` and `alan` to the set `seen`")
    .replace("check: {key: user:1, value: Ada}", "check: {key: seen, value: [ada, alan]}")
    .replace("solution: SET user:1 Ada", "solution: SADD seen ada alan")
    .replace("SET user:1 Bob", "SADD seen bob")
)


@pytest.fixture(scope="module")
def server():
    server = EngineServer(("redis",))
    yield server
    server.close()


def session_of(text, server):
    server.renew(("redis",))
    session = Session(parse_lesson(text, "sample.md"), server)
    session.open()
    return session


def said(session, line):
    events = session.submit("redis", line)
    return [each.text for each in events if isinstance(each, (Diagnosed, Foreseen))]


@pytest.mark.parametrize("line", ["SADD seen ada alan", "SADD seen ada"])
def test_a_member_that_is_left_over_is_named(server, line):
    session = session_of(SET, server)
    said(session, "SADD seen ada, alan")
    assert said(session, line) == (
        ["`seen` also has the member `ada,`, from an earlier attempt: remove it, or undo."]
    )
    assert "`ada,`" in session.hint().text
    said(session, "SREM seen ada,")
    assert session.open_task is None


def test_a_member_that_is_left_over_is_named_where_a_command_reads_the_value(server):
    lesson = installed_course().find("sorted-sets")
    server.renew(("redis",))
    session = Session(lesson, server)
    session.open()
    said(session, "ZADD tutorials 2.5 postgress")
    sentence = "`tutorials` also has the member `postgress`, from an earlier attempt: remove it, or undo."
    assert said(session, "ZADD tutorials 2.5 postgres") == [sentence]
    assert "`postgress`" in session.hint().text
    said(session, "ZREM tutorials postgress")
    assert session.open_task is None


def test_an_earlier_change_is_named(server):
    text = LESSON.replace("{key: user:1, value: Ada}", "[{key: user:1, value: Ada}, {key: user:1, ttl: none}]")
    text = text.replace("solution: SET user:1 Ada", "solution: SET user:1 Ada KEEPTTL")
    session = session_of(text, server)
    said(session, "SET user:1 Adam EX 100")
    (sentence,) = said(session, "SET user:1 Ada KEEPTTL")
    assert "`SET user:1 Adam EX 100` is still in effect" in sentence


def test_a_foreseen_hint_gives_way_to_what_is_new(server):
    session = session_of(LESSON.replace("{typed: SET user:1 Bob}", "{key: user:1, value: Bob}"), server)
    assert said(session, "SET user:1 Bob") == ["That is Bob."]
    (sentence,) = said(session, "SET usr:1 Ada")
    assert "`usr:1`" in sentence
    assert "`usr:1`" in session.hint().text
    assert "`usr:1`" in session.why()
    assert said(session, "SET user:1 Bob") == ["That is Bob."]


def test_why_says_nothing_of_older_lines(server):
    session = session_of(LESSON, server)
    said(session, "SET usr:1 Ada")
    said(session, "PING")
    assert "`usr:1`" not in session.why()


@pytest.mark.parametrize(
    "line, part",
    [
        ("SHOW clients", "Did you mean `GET`"),
        ("SET us er:1 Ada", "are two words"),
        ("SET user:1; Ada", "ends with a semicolon"),
    ],
)
def test_what_learners_typed(server, line, part):
    (sentence,) = said(session_of(LESSON, server), line)
    assert part in sentence


@pytest.mark.parametrize(
    "lesson, line",
    [
        ("connections", "redis-cli -r 10 ping"),
        ("connections", "redis-cli -r 10 PING"),
        ("benchmark", "redis-benchmark -t get,set -n 100 -q"),
        ("benchmark", "redis-benchmark -t get -n 100 -q"),
    ],
)
def test_a_first_line_that_was_left_out_is_named(lesson, line):
    lesson = installed_course().find(lesson)
    task = next(each for step in lesson.steps for each in step.tasks if "redis> CONFIG RESETSTAT" in each.solution)
    goal = Goal(task, lesson.terminals, frozenset(["shell"]))
    typed = Attempt("shell", tuple(line.encode().split()), "", text=line)
    now = Circumstances(
        lambda argv, db: None, Place("shell", True), goal, attempts=(typed,), tried=(typed,), said=lambda: "Reset."
    )
    found = diagnose(line, typed, now)
    assert found is not None and found.text == "Reset."
    reset = Attempt("redis", (b"CONFIG", b"RESETSTAT"), "OK")
    assert diagnose(line, typed, replace(now, attempts=(reset, typed), tried=(reset, typed))) is None


def test_the_solution_is_shown_without_what_was_tried(server):
    lesson = installed_course().find("keys")
    server.renew(lesson.terminals)
    session = Session(lesson, server)
    session.open()
    for line in ("DEL a b", "GET a", "DEL a, b, c"):
        session.submit("redis", line)
    events = session.show()
    assert [each.text for each in events if isinstance(each, WentBack)] == [
        "taken back first: DEL a b, and what followed"
    ]
    assert any(isinstance(each, TaskDone) for each in events)
    assert not any(isinstance(each, (Diagnosed, Foreseen)) for each in events)


def test_a_right_try_that_would_count_twice_is_taken_back(server):
    lesson = installed_course().find("challenge-types")
    step = next(step for step in lesson.steps if "INCR likes" in step.tasks[0].solution)
    lesson = replace(lesson, steps=(step,))
    server.renew(lesson.terminals)
    session = Session(lesson, server)
    session.open()
    session.submit("redis", "INCR likes")
    events = session.show()
    assert [each.text for each in events if isinstance(each, WentBack)] == ["taken back first: INCR likes"]
    assert any(isinstance(each, TaskDone) for each in events)


def test_right_tries_are_not_taken_back(server):
    session = session_of(SET, server)
    said(session, "SET other 1")
    said(session, "GET other")
    assert session.clear_the_way() == []
    assert session.submit("redis", "GET other")[0].text == '"1"\n'
