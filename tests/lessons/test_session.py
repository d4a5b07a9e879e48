"""A session over a real engine in its child process: undo, reset, hints, free play, predictions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.waiting import PATIENCE_S
from tutor.lesson.journal import LessonJournal
from tutor.lesson.progress import Progress
from tutor.lesson.reading import parse_lesson
from tutor.lesson.server import EngineServer, ForeignServer
from tutor.lesson.session import (
    Diagnosed,
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

TEXT = """---
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
"""
LESSON = parse_lesson(TEXT, "sample.md")


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
    return session.server.inspect([b"GET", key.encode()])


def test_the_way_through(session):
    step = session.step
    assert kinds(session.run_example(step.examples[0])) == [ExampleRan]
    assert session.due is step.predictions[0]
    assert session.predict(step.predictions[0], "2").right
    assert session.due is None
    assert kinds(session.submit("alice", "set user:1 Ada")) == [TaskDone]
    assert kinds(session.submit("alice", "GET user:1")) == [Diagnosed]  # in another terminal than the task says
    assert kinds(session.submit("bob", "GET user:1")) == [TaskDone, StepDone]
    assert kinds(session.next()) == [StepEntered]
    assert session.server.inspect([b"LLEN", b"list"]) == 3
    assert kinds(session.submit("alice", "LTRIM list 9 9")) == [TaskDone, StepDone]  # a route nobody thought of
    assert session.steps_done == (True, True)
    assert kinds(session.next()) == [LessonDone]


def test_the_levels_of_hints(session):
    first = session.hint()
    assert (first.text, first.level, first.of, first.lines) == ("Think of a.", 1, 3, ())
    assert session.hint().text == "`SET key value`"
    assert session.hint().lines == (("alice", "SET user:1 Ada"),)
    assert session.hint().level == 3


@pytest.mark.parametrize(
    "typed, nudge",
    [
        ("STE user:1 Ada", "Did you mean `SET`?"),
        ("SET user:1", "The value is missing"),
        ("SET user1 Ada", "Look at the key again: you typed `user1`"),
        ("SET USER:1 Ada", "`USER:1` and `user:1` are different"),
        ("RPUSH user:1 Ada", "holds a list, but the task needs a string"),
        ("SET user:1 Ad", "Look at the value again"),
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
    assert session.server.inspect([b"LLEN", b"list"]) == 3
    assert kinds(session.back()) == [WentBack, StepEntered]
    assert get(session, "extra") == b"1"
    assert session.task_done(LESSON.steps[0].tasks[1])
    assert kinds(session.reset_lesson()) == [WentBack, StepEntered]
    assert session.server.inspect([b"DBSIZE"]) == 0
    assert not session.task_done(LESSON.steps[0].tasks[0])
    assert kinds(session.back()) == [Nothing]


def test_a_skipped_step_is_done_for_the_next(session):
    session.next()
    assert get(session, "user:1") == b"Ada"
    assert session.server.inspect([b"LLEN", b"list"]) == 3


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
    assert server.inspect([b"DBSIZE"]) == 0
    assert session.state.done == frozenset()
    session.submit("alice", "SET user:1 Ada")
    assert session.task_done(LESSON.steps[0].tasks[0])


def test_checks_leave_no_trace(session):
    session.submit("alice", "CONFIG RESETSTAT")
    session.submit("alice", "SET user:1 Bob")
    stats = session.server.inspect([b"INFO", b"commandstats"])
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


def resumed(server, tmp_path):
    """Open the lesson as the next program does: with the progress and the journal that the last one left."""
    server.renew(LESSON.terminals)
    progress = Progress(tmp_path / "progress.json")
    session = Session(LESSON, server, progress.recorder(LESSON), LessonJournal("sample", tmp_path))
    taken = progress.of("sample")
    session.open(*(taken.resume if taken else (0,)))
    return session


def test_a_task_that_was_done_stays_done_when_the_lesson_is_resumed(server, tmp_path):
    session = resumed(server, tmp_path)
    first, second = LESSON.steps[0].tasks
    session.submit("alice", "SET user:1 Ada")
    session.submit("alice", "SET user:1 Bob")
    assert session.task_done(first)
    path = tmp_path / "sample.jsonl"  # the command that did it does not do it this time
    path.write_text(path.read_text().replace("user:1 Ada", "user:1 Eve"))
    session = resumed(server, tmp_path)
    assert get(session, "user:1") == b"Bob"
    assert session.task_done(first) and session.open_task is second
    session.submit("alice", "SET user:1 Ada")
    session.submit("bob", "GET user:1")
    assert session.task_done(second)
    session.next()
    session.back()
    session = resumed(server, tmp_path)
    assert session.step.number == 1 and session.open_task is None
    session.next()
    session = resumed(server, tmp_path)
    assert session.task_done(first, 0) and session.steps_done == (True, False)


@pytest.mark.parametrize("way", ["undo", "reset_step", "reset_lesson"])
def test_a_task_that_was_taken_back_is_open_when_the_lesson_is_resumed(server, tmp_path, way):
    session = resumed(server, tmp_path)
    first, _ = LESSON.steps[0].tasks
    session.submit("alice", "SET user:1 Ada")
    assert resumed(server, tmp_path).task_done(first)
    session = resumed(server, tmp_path)
    getattr(session, way)()
    assert resumed(server, tmp_path).open_task is first


def test_a_foreign_server_goes_back_as_far_as_commands_can(real_server):
    foreign = ForeignServer(LESSON.terminals, real_server.host, real_server.port)
    try:
        foreign.inspect([b"FLUSHALL"])
        session = Session(LESSON, foreign)
        session.open()
        session.submit("alice", "SET keep 1 EX 1000")
        session.submit("bob", "SELECT 3")
        session.submit("bob", "HSET h f v")
        session.submit("alice", "FLUSHALL")
        session.undo()
        assert foreign.inspect([b"HGET", b"h", b"f"], 3) == b"v"
        assert 0 < foreign.inspect([b"TTL", b"keep"]) <= 1000
        assert foreign.prompt("bob") == "127.0.0.1:6379[3]> "
        session.reset_lesson()
        assert foreign.inspect([b"DBSIZE"]) == 0
    finally:
        foreign.inspect([b"FLUSHALL"])
        foreign.close()


def test_a_command_waits_if_the_server_says_so_and_not_if_its_reply_is_late(server, monkeypatch):
    monkeypatch.setattr("tutor.prompt.conversation.PATIENCE_SECONDS", 0.0)
    server.renew(("alice", "bob"))
    server.execute("alice", [b"RPUSH", b"list", b"x"])
    for _ in range(20):
        server.execute("alice", [b"RPUSH", b"list", b"x"])
        assert server.execute("bob", [b"BLPOP", b"list", b"0"]) == [[b"list", b"x"]]
        assert not server.waiting("bob")
    assert server.execute("bob", [b"BLPOP", b"empty", b"0"]) == []
    assert server.waiting("bob")
    server.execute("alice", [b"RPUSH", b"empty", b"y"])
    assert server.arrived("bob", PATIENCE_S) == [[b"empty", b"y"]]


BACK = """---
id: back
title: Back
chapter: 2
order: 1
minutes: 5
wrong_idea: none
---

## One

```redis
127.0.0.1:6379> RPUSH jobs a
(integer) 1
```

> **Your turn.** The job is done. Remove it.

<details><summary>x</summary>

```yaml task
check: {key: jobs, missing: true}
solution: LPOP jobs
hints:
  - Take it out.
  - The syntax is `LPOP key`.
```

</details>
"""


def test_a_task_is_not_done_because_its_check_held_from_the_start():
    server = EngineServer(["redis"])
    try:
        session = Session(parse_lesson(BACK, "back.md"), server)
        session.open()
        assert not [each for each in session.submit("redis", "SET other 1") if isinstance(each, TaskDone)]
        session.submit("redis", "RPUSH jobs a", "example1")
        assert session.open_task is not None
        assert [each for each in session.submit("redis", "DEL jobs") if isinstance(each, TaskDone)]
        session.undo()
        session.undo()
        assert session.open_task is not None
        assert not [each for each in session.submit("redis", "SET other 2") if isinstance(each, TaskDone)]
    finally:
        server.close()


AHEAD = """---
id: ahead
title: Ahead
chapter: 2
order: 1
minutes: 5
wrong_idea: none
---

## One

Nothing to do.

## Two

> **Your turn.** Store `yes` under `shared`.

<details><summary>x</summary>

```yaml task
check: {key: shared, value: "yes"}
solution: SET shared yes
hints:
  - A string.
  - The syntax is `SET key value`.
```

</details>
"""


@pytest.mark.parametrize("shown", [False, True])
def test_a_task_that_was_done_ahead_of_its_step_can_still_be_done(shown):
    server = EngineServer(["redis"])
    try:
        session = Session(parse_lesson(AHEAD, "ahead.md"), server)
        session.open()
        session.submit("redis", "SET shared yes")
        session.next()
        assert not [each for each in session.submit("redis", "GET shared") if isinstance(each, TaskDone)]
        events = session.show() if shown else session.submit("redis", "set shared yes")
        assert [each for each in events if isinstance(each, TaskDone)]
    finally:
        server.close()


def test_nobody_is_asked_what_was_seen_already(session):
    assert session.due is session.step.predictions[0]
    session.submit("alice", "GET b")
    assert session.due is None
    session.undo()


@pytest.mark.parametrize(
    "line, changes",
    [
        ("DEL missing", False),
        ("SADD set a", False),
        ("SADD set b", True),
        ("SET user:1 Ada", True),
        ("SETNX user:1 Ada", False),
        ("EXPIRE missing 10", False),
        ("LPOP missing", False),
        ("2 DEL missing", False),
        ("FLUSHALL", True),
        ('EVAL "return redis.call(" 0', False),
        ("EVAL \"return redis.call('GET', 'set:1')\" 0", False),
        ("EVAL \"return redis.call('SET', 'user:1', 'Ada')\" 0", True),
        ("SELECT 1", True),
        ("CONFIG SET maxmemory 0", True),
    ],
)
def test_undo_skips_what_changed_nothing(session, line, changes):
    session.submit("alice", "SADD set a")
    session.submit("alice", "SET user:1 Eve")
    session.submit("bob", line)
    (back,) = [event for event in session.undo() if isinstance(event, WentBack)]
    assert back.text == f"taken back: {line if changes else 'SET user:1 Eve'}"


def test_a_queued_write_is_taken_back(session):
    session.submit("alice", "MULTI")
    session.submit("alice", "DEL missing")
    (back,) = [event for event in session.undo() if isinstance(event, WentBack)]
    assert back.text == "taken back: DEL missing"
