"""A terminal with Python: its console, the way back, and what a program does to a lesson."""

import asyncio
import builtins
import json
import socket
import subprocess
import sys
import threading

import pytest

from tests.lessons.conversing import converse
from tests.waiting import PATIENCE_S, wait_until
from tutor.lesson import messages as m
from tutor.lesson import mutations, python_process
from tutor.lesson.catalogue import installed_course
from tutor.lesson.controller import LessonController
from tutor.lesson.driver import Driver
from tutor.lesson.journal import LessonJournal
from tutor.lesson.multi_server import MachinesServer
from tutor.lesson.python_console import STAYS
from tutor.lesson.python_errors import MEANINGS, explained
from tutor.lesson.python_process import PROGRAM, PythonConsole, Ran
from tutor.lesson.python_terminal import PythonLink, PythonState, rows_of
from tutor.lesson.reading import Problems, parse_lesson
from tutor.lesson.server import find_real_servers, version_of
from tutor.lesson.session import Diagnosed, Foreseen, Nothing, Session
from tutor.verify import prove, prove_on_real, prove_text

TEXT = """---
id: program
title: A program
chapter: 3
order: 90
minutes: 5
wrong_idea: Python runs in the server.
servers: {redis: {}}
terminals:
  python: {python: true}
  redis: {}
  shell: {shell: true}
---

# A program

## Blocks

```redis python setup
>>> import redis
>>> r = redis.Redis(retry=None)
```

```redis python
>>> for i in range(2):
...     r.incr("n")
...
1
2
>>> r.client_list()[0]["laddr"]
'127.0.0.1:6379'
```

```redis redis
127.0.0.1:6379> GET n
"2"
```

> **Your turn.** From `python`, set `a` and `b` to 1 with one pipeline.

<details><summary>Check, hints and solution</summary>

```yaml task
check:
  - {key: a, value: 1}
  - {typed: SET b 1, terminal: python, together: {min: 2}, say: "Both in one go."}
because: two round trips leave the same
solution:
  - p = r.pipeline(transaction=False)
  - |
    python> for key in ("a", "b"):
        p.set(key, 1)
  - p.execute()
wrong:
  - try: r.set("a", 1)
    hint: "That is one."
hints:
  - "As you know it."
```

</details>

## A server that is down

```redis python setup
>>> r = redis.Redis(retry=None)
```

```redis shell
redis$ systemctl stop redis-server
```

```redis python
>>> r.ping()
Traceback (most recent call last):
  File "<stdin>", line 1, in <module>
redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.
```

```redis shell
redis$ systemctl start redis-server
```

```redis python
>>> r.ping()
True
```
"""
LESSON = parse_lesson(TEXT, "program.md")


@pytest.fixture
def console():
    made = PythonConsole([])
    yield made
    made.close()


@pytest.fixture
def server():
    made = MachinesServer(LESSON, seed=1)
    yield made
    made.close()


def opened(server, folder=None):
    """Return a session of the lesson, with a journal in a folder."""
    session = Session(LESSON, server, journal=LessonJournal("program", folder, LESSON.digest) if folder else None)
    session.events = session.open()
    return session


def value(server, key):
    return server.inspect([b"GET", key.encode()])


# -- the console


def test_a_statement_prints_what_python_prints(console):
    assert console.run("1 + 1") == "2\n"
    assert console.run("x = 3") == ""
    assert console.run("for i in range(2):\n    print(i, end=',')") == "0,1,\n"
    assert console.run("None") == ""


def test_a_traceback_has_the_learners_lines_alone(console):
    console.run("import json")
    console.run("def read():\n    return json.loads('{')")
    ran = console.run("read()")
    assert ran.failed
    assert ran.splitlines()[:3] == [
        "Traceback (most recent call last):",
        '  File "<stdin>", line 1, in <module>',
        '  File "<stdin>", line 2, in read',
    ]
    assert ran.splitlines()[3].startswith("json.decoder.JSONDecodeError: ") and len(ran.splitlines()) == 4


def test_a_syntax_error_has_pythons_own_message(console):
    ran = console.run("x = = 1")
    assert ran.failed and ran.endswith("SyntaxError: invalid syntax\n") and "    x = = 1\n" in ran
    assert "was never closed" in console.run("print(1")


@pytest.mark.parametrize("line", ["exit()", "quit()", "exit", "raise SystemExit(3)"])
def test_python_stays_when_it_is_told_to_leave(console, line):
    console.run("x = 1")
    assert console.run(line) == f"{STAYS}\n"
    assert console.run("x") == "1\n"


ENDLESS = "while not print('on'):\n    while True: pass"


def begun(console, printed):
    """Return a thread that runs an endless loop, which has begun to run."""
    heard = threading.Event()

    def run():
        try:
            printed.append(console.run(ENDLESS, lambda text: heard.set()))
        except python_process.Abandoned:
            printed.append(None)

    thread = threading.Thread(target=run)
    thread.start()
    assert heard.wait(PATIENCE_S)
    return thread


def test_an_endless_loop_is_interrupted(console):
    printed = []
    thread = begun(console, printed)
    console.interrupt()
    thread.join(PATIENCE_S)
    assert printed[0].startswith("on\n") and printed[0].endswith("KeyboardInterrupt\n")
    assert console.run("1") == "1\n"


def test_a_program_that_does_not_listen_is_ended(console):
    printed = []
    loop = "while True: pass"
    deaf = f"while not print('on'):\n  while True:\n    try:\n      {loop}\n    except BaseException: pass"
    heard = threading.Event()
    thread = threading.Thread(target=lambda: printed.append(console.run(deaf, lambda text: heard.set())))
    thread.start()
    assert heard.wait(PATIENCE_S)
    for _ in range(python_process.MOST_INTERRUPTS):
        console.interrupt()
    thread.join(PATIENCE_S)
    assert printed[0].endswith(python_process.ENDED) and console.run("1") == "1\n"


def test_output_is_bounded(console):
    ran = console.run("print('x' * 1_000_000)")
    assert len(ran) < 250_000 and ran.endswith("more characters\n")
    assert console.run("1") == "1\n"


def test_a_console_that_ends_is_started_again(console):
    console.run("x = 1")
    assert console.run("import os; os._exit(3)") == python_process.ENDED
    assert "NameError" in console.run("x")


def test_variables_go_back(console):
    console.mark(0)
    console.run("x = [1]")
    console.mark(1)
    console.run("x.append(2)")
    console.mark(2)
    console.run("x = None")
    for place, shown in ((2, "[1, 2]\n"), (1, "[1]\n"), (1, "[1]\n")):
        assert console.undo(place) and console.run("x") == shown
        console.run("x.clear()")
    assert console.undo(0) and "NameError" in console.run("x")


def test_an_undo_ends_what_runs(console):
    printed = []
    console.run("x = 1")
    console.mark(1)
    thread = begun(console, printed)
    console.mark(2)  # while it runs: the moment before it
    assert console.undo(2)
    thread.join(PATIENCE_S)
    assert printed == [None] and console.run("x") == "1\n"


def test_too_old_moments_say_that_they_are_lost(console, monkeypatch):
    monkeypatch.setattr(python_process, "MOST_COPIES", 2)
    for place in range(5):
        console.run(f"x = {place}")
        console.mark(place)
    assert console.undo(4) and console.run("x") == "4\n"
    assert not console.undo(0) and "NameError" in console.run("x")


def test_only_the_servers_of_the_lesson_can_be_reached(console):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        console.run("import socket")
        assert console.run(f"socket.create_connection(('127.0.0.1', {port}))").endswith(
            "ConnectionRefusedError: [Errno 111] Connection refused\n"
        )


def test_python_can_be_switched_off(console, monkeypatch):
    monkeypatch.setenv(python_process.OFF, "1")
    assert console.run("1") == python_process.IS_OFF and console._process is None


def test_without_redis_py_one_line_says_so():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        program = [sys.executable, "-I", "-S", str(PROGRAM), str(theirs.fileno()), "[]"]
        with subprocess.Popen(program, pass_fds=[theirs.fileno()]) as process, ours.makefile("rw") as channel:
            theirs.close()
            assert "pid" in json.loads(channel.readline())
            channel.write('{"run": "import redis"}\n')
            channel.flush()
            assert "pip install redis" in json.loads(channel.readline())["out"]
            assert json.loads(channel.readline()) == {"over": True}
            process.kill()


def test_no_process_outlives_its_tutor(console):
    """Not even one that runs an endless loop: its channel ends."""
    thread = begun(console, [])
    process, console._process = console._process, None
    process.channel.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE_S)
    process.popen.wait(PATIENCE_S)


def test_only_the_console_imports_redis_and_pythons_completer():
    modules = "tutor.app, tutor.plain, tutor.verify, tutor.screens.lesson, tutor.lesson.controller"
    program = f"import sys, {modules}; print({{'redis', 'rlcompleter'}} & set(sys.modules) or 'neither')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "neither\n"


# -- lines and statements


@pytest.mark.parametrize(
    "lines, statement",
    [
        (["x = 1"], "x = 1"),
        (["for i in x:", "    i", ""], "for i in x:\n    i"),
        (["f(", "1)"], "f(\n1)"),
        ([""], ""),
        (["x = ="], "x = ="),
    ],
)
def test_lines_are_gathered_until_they_are_a_statement(lines, statement):
    state = PythonState()
    *before, last = lines
    for line in before:
        assert state.gather(line) is None and state.prompt() == "... "
    assert state.gather(last) == statement and state.prompt() == ">>> "
    if len(lines) > 1:
        assert rows_of(statement) == lines


# -- a lesson


def test_the_lesson_holds_on_every_server():
    problems, proof = prove(LESSON)
    assert [str(each) for each in problems] == []
    assert proof.tasks == 1 and proof.wrong == 1
    for program in find_real_servers():
        assert [str(each) for each in prove_on_real(LESSON, program, version_of(program)).problems] == []


def test_a_statement_that_python_cannot_read_is_no_solution():
    broken = TEXT.replace("  - p.execute()\n", "  - p.execute(\n")
    assert any("was never closed" in str(each) for each in prove_text(parse_lesson(broken, "x.md")))


def test_a_terminal_is_one_thing():
    with pytest.raises(Problems, match="is a shell and Python"):
        parse_lesson(TEXT.replace("{python: true}", "{python: true, shell: true}"), "x.md")


def test_commands_count_as_they_arrived(server):
    session = opened(server)
    session.submit("python", 'r.set("a", 1)')
    session.submit("python", 'r.set("b", 1)')
    assert not session.task_done(session.step.tasks[0]), "they were not sent together"
    session.show()
    assert session.task_done(session.step.tasks[0])


def test_undo_takes_back_data_and_variables(server):
    session = opened(server)
    session.submit("python", "x = 1")
    session.submit("python", 'x = r.incr("mine")')
    session.submit("python", 'r.get("mine")')  # which only looks
    session.submit("python", "x = = 3")  # which does nothing
    session.undo()
    assert value(server, "mine") is None
    assert session.submit("python", "x")[0].text == "1\n"
    assert session.submit("python", 'r.incr("mine")')[0].text == "1\n", "it connects again"


def test_python_connects_again_after_an_undo_elsewhere(server):
    session = opened(server)
    assert session.submit("python", "r.ping()")[0].text == "True\n"
    session.submit("redis", "SET elsewhere 1")
    session.undo()
    assert session.submit("python", 'r.get("elsewhere")')[0].text == ""
    assert session.submit("python", "r.ping()")[0].text == "True\n"


def test_a_mistake_in_python_is_not_accused(server):
    session = opened(server)
    for line in ("GET a", "r.st('a', 1)", "r.set('a')", "p = r.pipline()", "set a 1", 'r.set("aa", 1)', "("):
        events = session.submit("python", line)
        assert not [each for each in events if isinstance(each, Diagnosed)], line
    assert any(isinstance(each, Foreseen) for each in session.submit("python", 'r.set("a", 1)'))


def test_why_explains_exceptions(server):
    session = opened(server)
    session.submit("python", "r.rpush('n', 1)")
    why = session.why()
    assert "`r.rpush('n', 1)`" in why
    session.submit("python", "r.set('text', 'x')")
    session.submit("python", "r.incr('text')")
    assert "server answered with an error" in session.why() and "`GET text`" in session.why()
    session.submit("python", "nothing")
    assert "Python knows no such name" in session.why()


def test_every_explained_exception_exists():

    import redis.sentinel

    for name in MEANINGS:
        assert any(hasattr(each, name) for each in (builtins, redis.exceptions, redis.sentinel)), name
    assert explained("redis.exceptions.TimeoutError: Timeout reading from socket\n")


def test_what_was_sent_is_sent_again_and_python_does_not_run_again(server, tmp_path):
    session, file = opened(server, tmp_path), tmp_path / "ran"
    session.submit("python", f"open({str(file)!r}, 'a').write('x')")
    session.submit("python", 'other = redis.Redis(db=2); other.set("far", 1)')
    session.submit("python", 'for i in range(3):\n    r.rpush("l", r.incr("n"))')
    session.submit("python", 'r.blpop("empty", timeout=1)')
    session.submit("redis", "LPUSH empty later")
    session.submit("python", 'r.delete("l"); r.incr("n")')
    session.undo()
    there = [server.inspect([b"DUMP", key.encode()]) for key in ("n", "l", "empty")]
    rows = [row for row in session.journal.rows if "ran" in row]
    assert rows and all(row["sent"] is not None for row in rows)
    session.journal.close()
    again_server = MachinesServer(LESSON, seed=1)
    try:
        again = opened(again_server, tmp_path)
        assert [again_server.inspect([b"DUMP", key.encode()]) for key in ("n", "l", "empty")] == there
        assert again_server.inspect([b"GET", b"far"], 2) == b"1"
        assert file.read_text() == "x", "Python ran again"
        assert any("its variables are lost" in each.text for each in again.events if isinstance(each, Nothing))
        assert "NameError" in again.submit("python", "other")[0].text
        assert again.submit("python", 'r.get("n")')[0].text == "b'5'\n", "what the lesson sets up is there"
        assert [each.line for each in again.state.attempts] == [each.line for each in session.state.attempts] + [
            each.line for each in again.state.attempts[len(session.state.attempts) :]
        ]
        assert not any("again" in str(each) for each in again_server.inspect([b"CLIENT", b"LIST"]).text.split(b"\n"))
        again.undo()
        again.journal.close()
    finally:
        again_server.close()


def test_a_statement_that_was_running_at_the_end_is_not_run_again(server, tmp_path):
    session = opened(server, tmp_path)
    session.submit("python", "r.incr('n')")
    session.before("python", "while True: r.incr('n')")  # the tutor is killed here
    session.journal.close()
    again_server = MachinesServer(LESSON, seed=1)
    try:
        again = opened(again_server, tmp_path)
        assert any("was still running" in each.text for each in again.events if isinstance(each, Nothing))
        assert value(again_server, "n") == b"1" and again.waiting == []
    finally:
        again_server.close()


def test_passwords_of_a_program_are_not_exported(server, tmp_path):
    session = opened(server, tmp_path)
    session.submit("redis", "CONFIG SET requirepass opensesame")
    session.submit("python", 'r = redis.Redis(password="opensesame")')
    session.submit("python", "r.ping()")
    assert b"opensesame" in b"".join(argv for row in session.journal.rows if "ran" in row for piece in
                                     Ran.of_row(row).pieces for words in piece for argv in words)  # fmt: skip
    assert "opensesame" not in session.journal.export()


def test_mutations_of_python_are_named_by_python(server):
    result = mutations.measure(LESSON, server, every=7)
    assert sum(result.tried.values()) > 5 and not result.refused
    assert sum(result.named.values()) >= 0.9 * sum(result.tried.values()), result.missed


# -- the plain mode


def test_a_block_is_typed_line_by_line():
    text = converse(
        LESSON,
        "for i in range(2):",
        "    print('no', i)",
        "",
        "x = 5",
        ":undo",
        "x",
        "f(",
        ")",
        ":why",
        ":run",
        ":show",
    )
    assert "python ... \nno 0\nno 1\n" in text
    assert "(taken back: x = 5. Python's variables went back, too.)" in text
    assert text.count("NameError: name 'x' is not defined\n(:why explains it)") == 1
    assert "Python knows no such name" in text
    assert "python ...     p.set(key, 1)" in text and "Done: From python, set a and b to 1" in text


PREDICTION = """\
> **Predict.** What does `1 + 1` print?
>
> 1. 11
> 2. 2

<details><summary>What happens</summary>

**Answer: 2.** They are numbers.

```redis python
>>> 1 + 1
2
```

</details>

"""


def test_a_question_waits_for_the_end_of_a_block(tmp_path, monkeypatch):
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    first = "```redis python\n>>> for"
    lesson = parse_lesson(TEXT.replace(first, PREDICTION + first, 1), "program.md")
    controller = LessonController(lesson, installed_course(), None)
    driver = Driver(controller)
    question = "What does 1 + 1 print?"

    def asked(news):
        return [each.question and each.question.text for each in news if isinstance(each, m.PredictionAsked)]

    def typed(line):
        return asked(driver.do(controller.submit("python", line, None), "python"))

    try:
        assert asked(driver.open())[-1] == question
        assert set(typed("for i in range(2):")) == {None}, "the next lines are no answers"
        assert not typed("    print('no', i)")
        assert typed("") == [question]
        assert set(typed("while True:")) == {None}
        assert asked(driver.do(controller.interrupt("python"))) == [question], "Ctrl-C drops the block"
        list(driver.do(controller.act("later")))
        assert typed("for i in range(2):") == typed("    print('no', i)") == typed("") == [], "it was put off"
    finally:
        driver.close()


def test_ctrl_c_drops_the_lines_of_a_statement():
    def press(controller):
        raise KeyboardInterrupt

    assert "\n2\n" in converse(LESSON, "while True:", press, "1 + 1")


def test_ctrl_c_interrupts_a_program():
    def stop(controller):
        def interrupt():
            wait_until(lambda: controller.machines.consoles["python"]._runs, "the loop runs")
            asyncio.run_coroutine_threadsafe(controller.interrupt("python"), controller._loop)

        threading.Thread(target=interrupt).start()
        return ""

    text = converse(LESSON, "while True: pass", stop, "1 + 1")
    assert "KeyboardInterrupt\n" in text and "\n2\n" in text


def test_a_program_that_runs_for_long_gives_the_prompt_back(monkeypatch):
    monkeypatch.setattr("tutor.lesson.python_terminal.LONG_SECONDS", 0.2)
    assert "(nothing yet: it waits)" in converse(LESSON, "while True: pass", "", "1 + 1")


def test_a_statement_that_was_just_entered_does_not_wait(console):
    link = PythonLink("python", console, *[lambda *_: None] * 3)
    link.submit("1")  # its thread has not begun
    assert link.busy and not link.waits
