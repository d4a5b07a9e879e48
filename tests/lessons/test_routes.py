"""Right answers that an author did not think of are accepted, and none of them is accused of a mistake."""

import itertools
from contextlib import closing

import pytest

from tests.share import share
from tutor.lesson.catalogue import installed_course
from tutor.lesson.model import Example, Task, split_line
from tutor.lesson.multi_server import MachinesServer
from tutor.lesson.server import EngineServer
from tutor.lesson.session import Foreseen, Session, TaskDone

pytestmark = pytest.mark.long

COURSE = installed_course()

ROUTES = [  # lesson, a part of the task's solution, what is typed instead
    ("strings", "country", ["SET country France EX 1000 NX"]),
    ("strings", "country", ["set country France nx get px 100000"]),
    ("strings", "country", ["SET country France NX KEEPTTL"]),
    ("strings", "country", ["SETNX country France"]),
    ("strings", "country", ["MSETNX country France other 1"]),
    ("locks", "lock:stock", ["worker-2> SET lock:stock abc EX 30 NX GET"]),
    ("locks", "lock:stock", ["worker-2> SET lock:stock abc GET NX PX 20000"]),
    ("locks", "lock:stock", ["worker-2> set lock:stock abc nx ex 30"]),
    ("sorted-sets", "(120", ["ZREVRANGEBYSCORE board +inf (120"]),
    ("sorted-sets", "(120", ["ZRANGE board +inf (120 BYSCORE REV WITHSCORES"]),
    ("keys", "page:?", ["SCAN 0 MATCH page:? COUNT 100"]),
    ("first-commands", "GET port", ["CONFIG GET por?"]),
    ("client-side-caching", "INCR price", ["app> MGET price", "other> SET price 13 KEEPTTL"]),
    ("client-side-caching", "INCR price", ["app> GETRANGE price 0 9", "other> APPEND price 0"]),
    ("scripting", "red green", ["EVAL_RO 'return ARGV[2]' 0 red green blue"]),
    ("scripting", "100 30", ["EVAL 'return (ARGV[1]+0) > (ARGV[2]+0)' 0 100 30"]),
    ("lists", "-2 -1", ["LRANGE tutorials -2 999"]),
    ("geo", "FROMMEMBER", ["GEOSEARCH sicily FROMLONLAT 13.583333 37.316667 BYRADIUS 100 km WITHDIST"]),
    ("geo", "FROMMEMBER", ["GEORADIUSBYMEMBER sicily Agrigento 100 km"]),
    ("pub-sub", "NUMSUB", ["second> PUBSUB NUMSUB redisChat other"]),
    ("passwords", "visitor> AUTH", ["visitor> HELLO 3 AUTH default password", "visitor> PING"]),
    ("passwords", "correct-horse", ["admin> ACL SETUSER default resetpass >correct-horse-battery"]),
    ("passwords", 'requirepass ""', ["admin> ACL SETUSER default nopass"]),
    ("acl-users", "stats on", ["admin> ACL SETUSER stats +@read allkeys >numbers on"]),
    ("everyday-patterns", "rate:grace", ["SET rate:grace 1 NX EX 60"]),
]


def at_the_task(lesson, part, server):
    """Return a session at the task whose solution has this part, and the task."""
    step, task = next((s, t) for s in lesson.steps for t in s.tasks if part in " ".join(t.solution))
    server.renew(lesson.terminals)
    session = Session(lesson, server)
    session.open(step.number - 1)
    for example in step.examples:
        if not example.arrives and not example.setup and example.line < task.line:
            session.run_example(example)
    while session.open_task is not task:
        session.show()
    return session, task


@pytest.mark.parametrize("name, part, lines", ROUTES, ids=["; ".join(lines) for _, _, lines in ROUTES])
def test_another_route(name, part, lines, servers):
    lesson = COURSE.find(name)
    session, task = at_the_task(lesson, part, servers(lesson))
    events = [event for line in lines for event in session.submit(*split_line(line, lesson.terminals))]
    assert [event.text for event in events if isinstance(event, Foreseen)] == []
    assert [event.task for event in events if isinstance(event, TaskDone)] == [task]


LONG = [  # every task whose solution has several lines
    pytest.param(lesson, step, task, id=f"{lesson.id}-{step.number}-{task.id}")
    for lesson in COURSE.lessons
    for step in lesson.steps
    for task in step.tasks
    if len(task.solution) > 1 and not any(lesson.is_python(name) for name in lesson.terminals)
]


@pytest.mark.parametrize("lesson, step, task", share(LONG, 12))
def test_a_solution_that_was_begun_is_finished_by_f3(lesson, step, task):
    """Nothing of it is typed twice: pushed twice, copied twice, refused the second time."""
    lines = [split_line(line, lesson.terminals) for line in task.solution]
    with closing(MachinesServer(lesson, seed=1) if lesson.on_machines else EngineServer(lesson.terminals)) as server:
        session = Session(lesson, server)
        session.open(step.number - 1)
        for block in itertools.takewhile(lambda block: block is not task, step.blocks):
            examples = [block] if isinstance(block, Example) else getattr(block, "examples", ())  # of a prediction
            for example in examples:
                if not session.ran(example):
                    session.run_example(example)
            if isinstance(block, Task) and session.open_task is block:
                session.show()
        for line in lines[: len(lines) // 2]:
            session.submit(*line)
        if session.open_task is task:  # half of it may be enough
            assert list(session.solution()) == lines[len(lines) // 2 :]
            assert [each.task for each in session.show() if isinstance(each, TaskDone)][:1] == [task]


def test_what_is_proved_is_still_said(servers):
    lesson = COURSE.find("locks")
    session, _ = at_the_task(lesson, "lock:stock", servers(lesson))
    events = session.submit("worker-2", "SET lock:stock abc EX 30 GET")
    assert [event for event in events if isinstance(event, Foreseen)] == []  # the reply was not OK: nothing is proved
    session.undo()
    events = session.submit("worker-2", "SET lock:stock abc EX 30")
    assert ["NX" in event.text for event in events if isinstance(event, Foreseen)] == [True]


def test_a_script_above_that_only_reads_is_run_first():
    lesson = COURSE.find("monitoring")
    with closing(MachinesServer(lesson, seed=1)) as server:
        session = Session(lesson, server)
        session.open()
        task = session.open_task
        events = session.submit("shell", "redis-cli -r 2 -i 0.5 INFO stats | grep keyspace")
        assert [event.task for event in events if isinstance(event, TaskDone)] == [task]
        assert b"keyspace_misses:190" in server.inspect([b"INFO", b"stats"], 0).text
