"""The world of a lesson with machines: one process, virtual time, undo, and what ends it."""

import os
import signal
import socket
import tempfile
import time

import pytest

from engine.inspection import inspect
from engine.protocol.errors import ReplyError
from engine.protocol.resp import NullArray
from engine.simulation import actions
from engine.simulation.history import History
from tests.lessons.conversing import converse
from tests.lessons.test_machines import LESSON, TEXT
from tests.waiting import PATIENCE_S, wait_until
from tutor.client import Connection
from tutor.lesson.catalogue import installed_course
from tutor.lesson.machines import free_port, info_fields
from tutor.lesson.multi_server import MachinesServer
from tutor.lesson.progress import Progress
from tutor.lesson.reading import parse_lesson
from tutor.lesson.server import EngineServer
from tutor.lesson.session import Session
from tutor.lesson_server.parent import HostError, MachineSpec, Recovered, WorldServer
from tutor.lesson_server.world import AWAY_US, HostedWorld
from tutor.prompt.conversation import skipped

CONFIG = ("protected-mode no", "repl-diskless-sync-delay 0")


class Room:
    """A world of a master and a replica, and what it told."""

    def __init__(self) -> None:
        self.told = []
        machines = {
            "a": MachineSpec("172.16.6.18:6379", (*CONFIG, "appendonly yes", "appendfsync no"), True, False),
            "b": MachineSpec("172.16.6.57:6379", (*CONFIG, "replicaof 172.16.6.18 6379"), True, True),
        }
        self.world = WorldServer(machines, self.told.append, seed=5)
        self.a, self.b = self.connect("a"), self.connect("b")

    def connect(self, name):
        connection = Connection(self.world.connect(name, f"@{name}"))
        connection.socket.settimeout(PATIENCE_S)
        return connection


@pytest.fixture
def room():
    made = Room()
    yield made
    for connection in (made.a, made.b):
        connection.close()
    made.world.stop()


def test_time_jumps(room):
    began = time.monotonic()
    room.world.pass_time(1)
    room.a.call("SET", "k", "1", "EX", 3600)
    before = room.a.call("TIME")
    room.world.pass_time(3000)
    assert 2990 < int(room.a.call("TIME")[0]) - int(before[0]) < 3100
    assert 500 < room.b.call("TTL", "k") <= 600
    room.a.send([b"BLPOP", b"nothing", b"500"])
    room.world.wait_for_output("@a", 1000)
    assert isinstance(room.a.read(), NullArray)
    assert time.monotonic() - began < 500


def test_what_a_client_was_told_holds_in_the_next_process(room):
    room.a.call("SET", "k", "1", "PX", 20_000)
    room.a.send([b"BLPOP", b"nothing", b"21"])
    room.world.wait_for_output("@a", 1000)
    assert isinstance(room.a.read(), NullArray)
    os.kill(room.world.pid, signal.SIGKILL)
    assert room.world.inspect_all("a", [([b"EXISTS", b"k"], 0)]) == [0], "21 seconds have passed"


def test_undo_is_exact_and_keeps_the_terminals(room):
    room.world.pass_time(1)
    room.a.call("MULTI")
    room.a.call("SET", "k", "1")
    place = room.world.mark()
    assert room.a.call("EXEC") == [b"OK"]
    room.b.call("REPLICAOF", "NO", "ONE")
    room.b.call("SET", "mine", "1")
    room.world.undo(place)
    assert room.b.call("ROLE")[:4] == [b"slave", b"172.16.6.18", 6379, b"connected"]
    assert room.a.call("EXEC") == [b"OK"]
    room.world.pass_time(1)
    assert room.b.call("MGET", "k", "mine") == [b"1", None]


def test_power_and_files(room):
    room.a.call("SET", "k", "1")
    room.world.write("a", "note", b"kept")
    room.world.end_server("a", "kill")
    assert not room.world.is_running("a")
    with pytest.raises(HostError, match="the server of a does not run"):
        room.world.inspect_all("a", [([b"PING"], 0)])
    with pytest.raises(ConnectionRefusedError):
        room.connect("a")
    room.world.start_server("a")
    assert room.connect("a").call("GET", "k") == b"1", "a kill leaves what was written"
    room.world.end_server("a", "cut_power")
    room.world.start_server("a")
    assert room.connect("a").call("GET", "k") is None, "without fsync, a power cut takes it"
    assert room.world.read("a", "note") == b"kept" and room.world.read("a", "none") is None
    room.world.write("a", "redis.conf", b"maxclients 5 # five\n")
    room.world.end_server("a", "terminate")
    with pytest.raises(HostError, match="FATAL CONFIG FILE ERROR"):
        room.world.start_server("a")
    assert b"Ready to accept connections" in room.world.log("a")


def test_a_server_that_restarts_by_itself_comes_back_without_its_last_command(room):
    room.world.pass_time(1)
    room.a.call("SET", "k", "1")
    room.b.send([b"SHUTDOWN"])
    assert room.b.socket.recv(100) == b""
    assert room.world.restarted("@b")
    assert ("b", Recovered("has shut down", "b")) in room.told
    assert room.connect("b").call("ROLE")[0] == b"slave"
    assert room.a.call("GET", "k") == b"1", "the terminal of the other server stays open"


def test_a_world_that_is_killed_comes_back_at_the_same_place(room):
    room.world.pass_time(1)
    room.a.call("SET", "k", "1")
    place = room.world.mark()
    room.a.call("SET", "k", "2")
    os.kill(room.world.pid, signal.SIGKILL)
    assert room.a.socket.recv(100) == b""
    assert room.world.took_along(room.a.socket)
    room.world.wait_until_up()
    again = room.connect("a")
    assert again.call("GET", "k") == b"2"
    room.world.undo(place)
    assert again.call("GET", "k") == b"1"
    room.world.pass_time(1)
    assert room.connect("b").call("GET", "k") == b"1"


def test_other_programs_use_the_socket_and_an_undo_ends_them(room):
    place = room.world.mark()
    program = Connection.unix(room.world.socket_path("a"), timeout=PATIENCE_S)
    assert program.call("SET", "k", "1") == b"OK"
    assert b"addr=127.0.0.1:" in program.call("CLIENT", "INFO")
    assert room.world.undo(place) == 1
    assert isinstance(program.read(), ReplyError)
    assert room.a.call("GET", "k") is None


def test_the_history_opens_as_the_laboratory_keeps_it(room):
    room.a.call("SET", "k", "1")
    place = room.world.mark()
    room.a.call("SET", "k", "2")
    room.world.undo(place)
    room.a.call("SET", "k", "3")
    history = History.decode(room.world.history())
    assert not history.warning
    assert list(history.branches) == ["main", "undo 1"]
    assert inspect(history.world.hosts["a"].node, [b"GET", b"k"]) == b"3"
    history.switch("main")
    assert inspect(history.world.hosts["a"].node, [b"GET", b"k"]) == b"2"


def begin_endless(room):
    """Run a script that does not end on its own, and return another connection once the server says it is busy."""
    other = Connection(room.world.connect("a", "@other"))
    other.socket.settimeout(PATIENCE_S)
    room.a.call("CONFIG", "SET", "busy-reply-threshold", "100")
    room.a.send([b"EVAL", b"while true do end", b"0"])
    wait_until(lambda: getattr(other.call("PING"), "text", b"").startswith(b"BUSY"), "the server is busy")
    return other


def test_a_script_that_does_not_end_is_killed_from_another_terminal(room):
    room.a.call("SET", "k", "1")
    other = begin_endless(room)
    assert other.call("SCRIPT", "KILL") == b"OK"
    assert b"killed by user" in room.a.read().text
    assert other.call("INCR", "k") == 2
    pid = room.world.pid
    history = History.decode(room.world.history())
    assert not history.warning
    assert inspect(history.world.hosts["a"].node, [b"GET", b"k"]) == b"2"
    digest = history.digest()
    history.back()
    history.end()
    assert history.digest() == digest
    os.kill(pid, signal.SIGKILL)
    assert room.world.inspect_all("a", [([b"GET", b"k"], 0)]) == [b"2"], "the next process has repeated it"
    other.close()


def test_an_undo_does_not_wait_for_a_script(room):
    room.a.call("SET", "k", "1")
    place = room.world.mark()
    room.a.call("SET", "k", "2")
    other = begin_endless(room)
    room.world.undo(place)
    again = room.connect("a")
    assert again.call("GET", "k") == b"1"
    assert not any(isinstance(event, Recovered) for _, event in room.told), "the learner did not end it"
    again.close()
    other.close()


def test_other_programs_reach_a_machine_and_an_undo_takes_back_what_they_did():
    port = free_port()
    world = WorldServer({"a": MachineSpec("172.16.6.18:6379", CONFIG, True, False, port=port)}, seed=5)
    try:
        first = Connection.tcp("127.0.0.1", port, timeout=PATIENCE_S)
        assert first.call("SET", "k", "1") == b"OK"
        place = world.mark()
        assert first.call("SET", "k", "2") == b"OK"
        os.kill(world.pid, signal.SIGKILL)
        assert world.inspect_all("a", [([b"GET", b"k"], 0)]) == [b"2"]
        second = Connection.tcp("127.0.0.1", port, timeout=PATIENCE_S)
        assert second.call("GET", "k") == b"2"
        assert world.undo(place) == 1, "connections closed"
        assert second.read().text.startswith(b"ERR the lesson's server went back in time")
        third = Connection.tcp("127.0.0.1", port, timeout=PATIENCE_S)
        assert third.call("GET", "k") == b"1"
        for connection in (first, second, third):
            connection.close()
    finally:
        world.stop()


def test_a_lesson_asks_for_ports():
    reachable = TEXT.replace("address: 172.16.6.57, ", "address: 172.16.6.57, outside: true, ")
    lesson = parse_lesson(reachable, "two.md")

    def from_outside(controller):
        outside = Connection.tcp("127.0.0.1", controller.machines.outside["redis02"], timeout=PATIENCE_S)
        assert outside.call("SET", "from", "outside") == b"OK"
        outside.close()
        return "GET from"

    text = converse(lesson, ":terminal redis02", from_outside)
    assert "Other programs reach redis02 at 127.0.0.1:" in text and "redis01 at" not in text
    assert '\n"outside"\n' in text


def test_a_lesson_goes_on_when_its_world_is_killed():
    server = MachinesServer(LESSON, seed=1)
    try:
        session = Session(LESSON, server)
        session.open()
        session.show()
        session.submit("redis01", "SET a 2")
        os.kill(server.world.world.pid, signal.SIGKILL)
        assert session.submit("redis02", "GET a")[0].text in ('"2"\n', "(no reply: the server has ended)\n")
        assert server.notices() == ["The server was ended by SIGKILL. It was restarted with the same data."]
        assert session.submit("redis02", "GET a")[0].text == '"2"\n'
        session.undo()
        assert server.execute("redis01", [b"GET", b"a"]) == [b"1"]
    finally:
        server.close()


def test_a_world_that_cannot_keep_up_answers_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr("tutor.lesson_server.world.CATCH_UP_S", 0.0)  # the slowest machine
    channel, other = socket.socketpair()
    with tempfile.TemporaryFile() as journal, channel, other:
        machines = {
            "a": ("172.16.6.18:6379", (*CONFIG, "requirepass secret"), True, True),
            "b": ("172.16.6.57:6379", (*CONFIG, "replicaof 172.16.6.18 6379"), True, True),
        }
        world = HostedWorld(channel, {"machines": machines, "sockets": str(tmp_path), "journal": journal.fileno()}, 1)
        for _ in range(3):
            place, time_us = world.history.place, world.history.world.now_us
            world.wall_us -= 60_000_000  # a minute is due, with thousands of attempts to connect
            world.catch_up()
            assert world.history.place < place + 500
            assert world.now_us() < time_us + 60_000_000, "what was not reached is not due any more"
        world.selector.close()


def test_time_stands_still_while_the_learner_is_away(monkeypatch, tmp_path):
    channel, other = socket.socketpair()
    with tempfile.TemporaryFile() as journal, channel, other:
        told = {
            "machines": {"a": ("172.16.6.18:6379", CONFIG, True, True)},
            "sockets": str(tmp_path),
            "journal": journal.fileno(),
        }
        world = HostedWorld(channel, told, 1)
        began_us = world.history.world.now_us
        monkeypatch.setattr("tutor.lesson_server.world.CATCH_UP_S", PATIENCE_S)
        world.wall_us -= 3_600_000_000  # an hour ago
        world.catch_up()
        assert began_us + 500_000_000 < world.history.world.now_us <= world.touched_us + AWAY_US
        before_us = world.history.world.now_us
        world.do(actions.SetClock("a", 0))
        world.wall_us -= 60_000_000
        world.catch_up()
        assert 59_000_000 < world.history.world.now_us - before_us < 300_000_000
        world.selector.close()


def test_the_socket_is_the_learners_own(room):
    path = room.world.socket_path("a")
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    sock.close()
    assert room.a.call("PING") == b"PONG"


LOCKED_OR_DOWN = {"find-the-fault", "challenge-first-server"}  # whose servers answer nobody at first
OPEN = [lesson for lesson in installed_course().lessons if lesson.id not in LOCKED_OR_DOWN]
CHAPTERS = {lesson.front.chapter: lesson for lesson in OPEN}  # the last of each
MACHINES = {lesson.front.chapter: lesson for lesson in OPEN if lesson.on_machines}


@pytest.mark.parametrize("lesson", [*CHAPTERS.values(), *MACHINES.values()], ids=lambda lesson: lesson.id)
def test_a_lesson_of_every_chapter_goes_on_when_its_process_is_killed(lesson):
    if lesson.on_machines:
        server = MachinesServer(lesson, seed=1)
        process = server.world.world
    else:
        server = EngineServer(lesson.terminals, lesson.arguments, seed=1)
        process = server.host
    try:
        session = Session(lesson, server)
        session.open()
        terminal = next(name for name in lesson.terminals if not lesson.is_shell(name))
        keys = (f"there{number}" for number in range(100))  # a cluster's node has some of them
        key = next(each for each in keys if session.submit(terminal, f"SET {each} 1")[0].text == "OK\n")
        os.kill(process.pid, signal.SIGKILL)
        session.submit(terminal, "PING")
        assert session.submit(terminal, f"GET {key}")[0].text == '"1"\n'
        assert len(server.notices()) == 1
        session.next()  # what the lesson does itself finds the servers as they were
        assert session.state.step == 1
        if lesson.on_machines:  # what it does itself may end the first server
            running = [name for name in lesson.terminals if server.machines.find(lesson.server_of(name)).running]
            terminal = next(name for name in running if not lesson.is_shell(name))
        assert session.submit(terminal, "PING")[0].text == "PONG\n"
    finally:
        server.close()


WAITING = """---
id: waiting
title: Waiting
chapter: 6
order: 1
minutes: 5
wrong_idea: none
servers:
  redis01: {address: 172.16.6.18, config: {protected-mode: "no", enable-debug-command: "yes"}}
  redis02: {address: 172.16.6.57, config: {protected-mode: "no"}}
terminals:
  redis01: {server: redis01}
  redis02: {server: redis02}
---

## One

```redis redis01
172.16.6.18:6379> SET before 1
OK
172.16.6.18:6379> BLPOP nothing 3000
(nil)
172.16.6.18:6379> DEBUG SLEEP 3000
OK
172.16.6.18:6379> SET k v EX 1
OK
```

## Two

Nothing more.
"""


def test_what_the_course_types_and_does_again_takes_no_time(tmp_path):
    """The commands wait for longer than any test is given; so do the undo and the way back to where it was."""
    lesson, seen = parse_lesson(WAITING, "waiting.md"), []
    progress = Progress(tmp_path / "progress.json")

    def then(line):
        def look(controller):
            (reply,) = controller.machines.world.inspect_all("redis01", [([b"INFO", b"server"], 0)])
            seen.append(int(info_fields(reply)["uptime_in_seconds"]))
            return line

        return look

    text = converse(lesson, ":run", then(":undo"), then(":quit"), progress=progress, left=True)
    assert "(nil)" in text and seen[0] >= 6000
    assert 3000 <= seen[1] <= seen[0], "DEBUG SLEEP changes nothing, so SET was taken back"
    text = converse(lesson, "EXISTS before k", then(":reset"), then(":quit"), progress=progress, left=True)
    assert "(integer) 1" in text
    assert seen[2] >= 3000 > seen[3]


@pytest.mark.parametrize(
    "line, learner, course",
    [
        ("BLPOP q 5", 0, 6),
        ("BLMPOP 5 1 q LEFT", 0, 6),
        ("BLPOP q 0", 0, 0),
        ("XREAD BLOCK 5000 STREAMS s $", 0, 6),
        ("DEBUG SLEEP 5", 0, 6),
        ("WAIT 1 5000", 6, 6),
        ("WAITAOF 1 1 5000", 6, 6),
        ("WAIT 1 70000", 0, 71),
        ("BLPOP q much", 0, 0),
        ("GET k", 0, 0),
    ],
)
def test_a_learner_sees_commands_wait_except_for_replicas(line, learner, course):
    argv = line.encode().split()
    assert (skipped(argv, False, False), skipped(argv, False, True)) == (learner, course)
    assert skipped(argv, True, True) == course


def in_laboratory(room):
    """Return the history as the laboratory opens it: the time of the world stands still meanwhile."""
    room.world.hold(True)
    return History.decode(room.world.history())


def test_time_stands_still_while_the_laboratory_is_open(room):
    room.a.call("SET", "k", "1", "PX", "100000")
    history = in_laboratory(room)
    before = room.world.mark(), room.a.call("PTTL", "k")
    began = time.monotonic()
    wait_until(lambda: time.monotonic() > began + 0.5, "half a second")
    # Each call takes the world a few milliseconds of its own time, and the clock on the wall none.
    assert before[1] - room.a.call("PTTL", "k") < 100
    room.world.hold(False)
    wait_until(lambda: before[1] - room.a.call("PTTL", "k") > 500, "time that goes on")
    assert history.place <= before[0]


def test_the_lesson_goes_on_from_a_branch(room):
    room.a.call("SET", "k", "1")
    place = room.world.mark()
    room.a.call("SET", "k", "2")
    history = in_laboratory(room)
    history.goto(place)
    history.do(actions.OpenClient("laboratory", "a"))
    history.do(actions.SendCommand("laboratory", (b"SET", b"k", b"other")))
    history.do(actions.Cut("a", "b", "silent"))
    history.run(history.world.now_us + 1_000_000)
    digest, lines = history.digest(), history.line_until_here()
    left = room.world.continue_from(*lines)
    assert left <= place
    again = History.decode(room.world.history())
    assert again.branch_name.startswith("undo ") and not again.warning
    assert digest == History.decode(history.encode()).digest()
    room.world.hold(False)
    terminal = room.connect("a")
    assert terminal.call("GET", "k") == b"other"
    terminal.call("SET", "here", "1")
    room.world.pass_time(1)
    assert room.world.inspect_all("b", [([b"EXISTS", b"here"], 0)]) == [0], "the cut is kept"
    pid = room.world.pid
    os.kill(pid, signal.SIGKILL)
    assert room.world.inspect_all("a", [([b"GET", b"k"], 0)]) == [b"other"], "the next process has repeated it"
    terminal.close()


def test_the_lesson_goes_on_from_an_earlier_moment(room):
    room.a.call("SET", "k", "1")
    place = room.world.mark()
    room.a.call("SET", "k", "2")
    history = in_laboratory(room)
    history.goto(place)
    room.world.continue_from(*history.line_until_here())
    room.world.hold(False)
    assert room.world.inspect_all("a", [([b"GET", b"k"], 0)]) == [b"1"]
    assert room.a.call("GET", "k") == b"1"


def test_a_branch_that_does_not_run_here_changes_nothing(room):
    room.a.call("SET", "k", "1")
    history = in_laboratory(room)
    lines, end = history.line_until_here()
    with pytest.raises(HostError, match="does not run the same"):
        room.world.continue_from(lines, end | {"hash": "0" * 64})
    impossible = {"steps": end["steps"], "at": end["at"], "do": "Crash", "with": ["nobody"]}
    with pytest.raises(HostError, match="does not run the same"):
        room.world.continue_from([*lines, impossible], end)
    room.world.hold(False)
    assert room.a.call("GET", "k") == b"1"
    assert History.decode(room.world.history()).branch_name == "main"
