"""A session over a real engine in its child process: undo, reset, hints, free play, predictions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutor.course.progress import Progress
from tutor.course.reading import parse_lesson
from tutor.course.server import EngineServer, ForeignServer
from tutor.course.session import (
    Differs,
    ExampleRan,
    Foreseen,
    LessonDone,
    Nothing,
    Session,
    StepDone,
    StepEntered,
    TaskDone,
    Typed,
    WentBack,
    expand,
    only_looks,
)

LESSON = parse_lesson(
    """---
id: sample
title: Sample
chapter: 2
order: 1
minutes: 5
wrong_idea: none
terminals: [alice, bob]
---

## One

```redis
127.0.0.1:6379> SET a 1
OK
127.0.0.1:6379> GET a
"1"
```

> **Predict.** What does `GET b` say?
>
> 1. An error
> 2. `(nil)`

<details><summary>x</summary>

**Answer: 2.** Nothing.

```redis
127.0.0.1:6379> GET b
(nil)
```

</details>

> **Your turn.** Store `Ada` under `user:1`.

<details><summary>x</summary>

```yaml task
check: {key: user:1, type: string, value: Ada}
solution: SET user:1 Ada
wrong:
  - try: SET user:1 Bob
    hint: That is another name.
hints:
  - Think of a.
  - "`SET key value`"
```

</details>

> **Your turn.** Let Bob read it.

<details><summary>x</summary>

```yaml task
check: {typed: "GET user:1", terminal: bob, replied: Ada}
solution: bob> GET user:1
hints: [Read it.]
```

</details>

## Two

> **Your turn.** Empty the list.

<details><summary>x</summary>

```yaml task
setup: [RPUSH list a b c]
check: {key: list, missing: true}
solution: DEL list
hints: [Remove it.]
```

</details>
""",
    "sample.md",
)


@pytest.fixture(scope="module")
def server():
    engine = EngineServer(LESSON.terminals, seed=1)
    yield engine
    engine.close()


@pytest.fixture
def session(server):
    server.renew(LESSON.terminals)
    made = Session(LESSON, server)
    made.open()
    return made


def kinds(events):
    return [type(event) for event in events if not isinstance(event, Typed)]


def get(session, key):
    return session.server.peek([b"GET", key.encode()])


def test_the_way_through(session):
    step = session.step
    assert kinds(session.run_example(step.examples[0])) == [ExampleRan]
    assert session.due is step.predictions[0]
    assert session.predict(step.predictions[0], "2").right
    assert session.due is None
    assert kinds(session.submit("alice", "set user:1 Ada")) == [TaskDone]
    assert kinds(session.submit("alice", "GET user:1")) == []
    assert kinds(session.submit("bob", "GET user:1")) == [TaskDone, StepDone]
    assert kinds(session.next()) == [StepEntered]
    assert session.server.peek([b"LLEN", b"list"]) == 3
    assert kinds(session.submit("alice", "LTRIM list 9 9")) == [TaskDone, StepDone]  # a route nobody thought of
    assert session.steps_done == (True, True)
    assert kinds(session.next()) == [LessonDone]


def test_the_ladder(session):
    first = session.hint()
    assert (first.text, first.rung, first.of, first.lines) == ("Think of a.", 1, 3, ())
    assert session.hint().text == "`SET key value`"
    assert session.hint().lines == (("alice", "SET user:1 Ada"),)
    assert session.hint().rung == 3


@pytest.mark.parametrize(
    "typed, nudge",
    [
        ("STE user:1 Ada", "Did you mean `SET`?"),
        ("SET user:1", "too few or too many"),
        ("SET user1 Ada", "You used the key `user1`"),
        ("SET USER:1 Ada", "You used the key `USER:1`"),
        ("RPUSH user:1 Ada", "holds a list, and the task wants a string"),
        ("SET user:1 Ad", "does not hold what the task wants"),
        ("SET user:1 Bob", "That is another name."),
        ("LPOP a", ""),
    ],
)
def test_the_first_hint_reacts(session, typed, nudge):
    session.submit("alice", "SET a 1")
    session.submit("alice", typed)
    assert nudge in session.hint().text
    assert "SET user:1 Ada" not in session.hint().text


def test_a_foreseen_attempt_gets_its_hint_at_once(session):
    assert kinds(session.submit("alice", "SET user:1 Bob")) == [Foreseen]
    assert kinds(session.submit("alice", "PING")) == []


def test_undo_steps_over_what_only_looked(session):
    session.submit("alice", "SET user:1 Bob")
    session.submit("alice", "SET user:1 Ada")
    session.submit("alice", "GET user:1")
    session.submit("bob", "TTL user:1")
    assert session.task_done(LESSON.steps[0].tasks[0])
    (event,) = session.undo()
    assert isinstance(event, WentBack) and event.text == "taken back: SET user:1 Ada"
    assert get(session, "user:1") == b"Bob"
    assert not session.task_done(LESSON.steps[0].tasks[0])
    session.undo()
    assert get(session, "user:1") is None
    assert kinds(session.undo()) == [Nothing]


def test_undo_brings_back_the_terminals(session):
    session.submit("bob", "SELECT 3")
    session.submit("bob", "MULTI")
    assert session.server.prompt("bob") == "127.0.0.1:6379[3](TX)> "
    session.undo()
    assert session.server.prompt("bob") == "127.0.0.1:6379[3]> "
    session.undo()
    assert session.server.prompt("bob") == "127.0.0.1:6379> "


def test_reset_and_back(session):
    session.submit("alice", "SET user:1 Ada")
    session.submit("bob", "GET user:1")
    session.submit("alice", "SET extra 1")
    session.next()
    session.submit("alice", "FLUSHALL")
    assert kinds(session.reset_step()) == [WentBack, StepEntered]
    assert session.server.peek([b"LLEN", b"list"]) == 3
    assert kinds(session.back()) == [WentBack, StepEntered]
    assert get(session, "extra") == b"1"
    assert session.task_done(LESSON.steps[0].tasks[1])
    assert kinds(session.reset_lesson()) == [WentBack, StepEntered]
    assert session.server.peek([b"DBSIZE"]) == 0
    assert not session.task_done(LESSON.steps[0].tasks[0])
    assert kinds(session.back()) == [Nothing]


def test_a_skipped_step_is_done_for_the_next(session):
    session.next()
    assert get(session, "user:1") == b"Ada"
    assert session.server.peek([b"LLEN", b"list"]) == 3


def test_resuming(server):
    server.renew(LESSON.terminals)
    session = Session(LESSON, server)
    session.open(1)
    assert session.step.title == "Two"
    assert get(session, "a") == b"1"


def test_show_types_the_solution(session):
    assert TaskDone in kinds(session.show())
    assert TaskDone in kinds(session.show())
    assert kinds(session.show()) == [Nothing]


def test_an_example_that_differs_is_told(session):
    session.submit("alice", "SUBSCRIBE x")
    assert Differs in kinds(session.run_example(LESSON.steps[0].examples[0]))


def test_pushed_messages(session):
    session.submit("bob", "SUBSCRIBE ch")
    session.submit("alice", "PUBLISH ch hello")
    assert any(not attempt.argv and "hello" in attempt.printed for attempt in session.state.attempts) or (
        "hello" in session.arrived("bob", session.server.arrived("bob", 2.0))[0].text
    )


WORDS = st.sampled_from(
    [
        "SET",
        "GET",
        "DEL",
        "user:1",
        "a",
        "list",
        "Ada",
        "MULTI",
        "EXEC",
        "1",
        "FLUSHALL",
        "SELECT",
        "HSET",
        "'x",
        "SUBSCRIBE",
    ]
)
LINES = st.lists(st.tuples(st.sampled_from(LESSON.terminals), st.lists(WORDS, min_size=1, max_size=4).map(" ".join)))


@settings(max_examples=15, deadline=None)
@given(LINES)
def test_free_play_never_breaks_a_lesson(server, lines):
    server.renew(LESSON.terminals)
    session = Session(LESSON, server)
    session.open()
    for terminal, line in lines:
        session.submit(terminal, line)
        session.hint()
    while not isinstance(session.undo()[0], Nothing):
        pass
    assert server.peek([b"DBSIZE"]) == 0
    assert session.state.done == frozenset()
    session.submit("alice", "SET user:1 Ada")
    assert session.task_done(LESSON.steps[0].tasks[0])


def test_checks_leave_no_trace(session):
    session.submit("alice", "CONFIG RESETSTAT")
    session.submit("alice", "SET user:1 Bob")
    stats = session.server.peek([b"INFO", b"commandstats"])
    text = getattr(stats, "text", stats)
    assert b"cmdstat_type" not in text and b"cmdstat_get:" not in text


def test_only_looks():
    assert only_looks([b"get", b"a"]) and only_looks([b"CONFIG", b"GET", b"dir"])
    assert not only_looks([b"SET", b"a", b"1"]) and not only_looks([b"CONFIG", b"SET", b"a", b"1"])
    assert not only_looks([b"NOSUCH"])


def test_expand():
    assert expand([b"PFADD", b"k", b"u:{1..3}!"]) == [b"PFADD", b"k", b"u:1!", b"u:2!", b"u:3!"]


def test_progress_is_kept(server, tmp_path):
    path = tmp_path / "deep" / "progress.json"
    progress = Progress(path)
    server.renew(LESSON.terminals)
    session = Session(LESSON, server, progress.recorder(LESSON))
    session.open()
    session.predict(LESSON.steps[0].predictions[0], "1")
    session.submit("alice", "SET user:1 Ada")
    session.submit("bob", "GET user:1")
    session.next()
    again = Progress(path).of("sample")
    assert (again.step, again.reached, again.steps, again.tasks) == (1, 1, [0], ["0/task1", "0/task2"])
    assert [(miss.said, miss.right) for miss in again.missed] == [("An error", "`(nil)`")]
    session.back()
    session.predict(LESSON.steps[0].predictions[0], "(nil)")
    assert Progress(path).of("sample").missed == []
    session.next()
    session.show()
    session.next()
    assert Progress(path).of("sample").done
    assert [each.name for each in path.parent.iterdir()] == ["progress.json"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": 99}', b'{"version": 1, "lessons": 3}', b"\xff"])
def test_damaged_progress_is_set_aside(tmp_path, damage):
    path = tmp_path / "progress.json"
    path.write_bytes(damage)
    progress = Progress(path)
    assert progress.kept.lessons == {}
    assert "was damaged" in progress.notice
    assert (tmp_path / "progress.damaged-1.json").read_bytes() == damage
    progress.save()
    assert Progress(path).notice == ""


def test_progress_that_cannot_be_written_harms_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    progress = Progress(tmp_path / "file" / "progress.json")
    progress.save()
    assert "cannot be kept" in progress.notice


def test_a_foreign_server_goes_back_as_far_as_commands_can(real_server):
    foreign = ForeignServer(LESSON.terminals, real_server.host, real_server.port)
    try:
        foreign.peek([b"FLUSHALL"])
        session = Session(LESSON, foreign)
        session.open()
        session.submit("alice", "SET keep 1 EX 1000")
        session.submit("bob", "SELECT 3")
        session.submit("bob", "HSET h f v")
        session.submit("alice", "FLUSHALL")
        session.undo()
        assert foreign.peek([b"HGET", b"h", b"f"], 3) == b"v"
        assert 0 < foreign.peek([b"TTL", b"keep"]) <= 1000
        assert foreign.prompt("bob") == "127.0.0.1:6379[3]> "
        session.reset_lesson()
        assert foreign.peek([b"DBSIZE"]) == 0
    finally:
        foreign.peek([b"FLUSHALL"])
        foreign.close()
