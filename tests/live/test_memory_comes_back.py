"""When a busy server is left alone it gives memory back, and loses nothing over it."""

import gc
import pickle
import subprocess
import sys

import pytest

from engine.live import memory
from engine.live.memory import BUSY_CALLS, FREED_BYTES, LOOK_S, QUIET_CALLS, QUIET_LOOKS, ProcessMemory, tidy
from engine.protocol.numbers import format_fraction
from tests.inprocess import InProcess
from tests.waiting import PATIENCE_S

PING = b"*1\r\n$4\r\nPING\r\n"


class Watched:
    """A node whose memory is watched by a clock of the test's own."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.node = InProcess()
        self.memory = ProcessMemory()
        self.now_s = 100.0
        self.tidied = 0
        patch.setattr(memory.time, "monotonic", lambda: self.now_s)
        patch.setattr(memory, "tidy", self._tidy)

    def _tidy(self, node: object) -> None:
        self.tidied += 1

    def look(self, calls: int = 0) -> int:
        """Let the time between two looks pass, with so many calls; returns how often memory was tidied up so far."""
        self.node.send(1, PING * calls + b"\r\n")
        self.now_s += LOOK_S
        self.memory.cron(self.node.node)
        return self.tidied


def test_memory_is_tidied_up_once_after_a_busy_time(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    assert [watched.look() for _ in range(5)] == [0] * 5, "nothing has happened"
    assert [watched.look(BUSY_CALLS) for _ in range(5)] == [0] * 5, "it is busy"
    quiet = [watched.look(QUIET_CALLS) for _ in range(QUIET_LOOKS + 3)]
    assert quiet == [0] * (QUIET_LOOKS - 1) + [1] * 4


def test_memory_is_tidied_up_after_much_data_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.node.run(1, b"SET", b"k", b"x" * FREED_BYTES)
    assert [watched.look() for _ in range(5)] == [0] * 5
    watched.node.run(1, b"DEL", b"k")
    assert [watched.look() for _ in range(5)][-1] == 1


def test_what_follows_the_end_of_the_data_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.node.run(1, b"SET", b"k", b"x" * FREED_BYTES)
    assert [watched.look() for _ in range(5)] == [0] * 5, "it is quiet"
    watched.node.run(1, b"FLUSHALL")
    assert [watched.look() for _ in range(QUIET_LOOKS + 3)] == [0] * QUIET_LOOKS + [1] * 3


def test_the_interpreter_of_scripts_is_closed_after_a_busy_time_and_scripts_run_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(monkeypatch)
    node = watched.node
    node.run(1, b"SET", b"k", b"x" * FREED_BYTES)
    digest = node.run(1, b"SCRIPT", b"LOAD", b"return ARGV[1]")[0][1:]
    counter = b"#!lua name=l\nlocal n = 0 redis.register_function('f', function() n = n + 1 return n end)"
    node.run(1, b"FUNCTION", b"LOAD", counter)
    assert node.run(1, b"FCALL", b"f", b"0") == [b":1"]
    assert [watched.look() for _ in range(5)] == [0] * 5
    assert node.node.scripting._eval is not None
    watched.look(BUSY_CALLS)
    assert [watched.look() for _ in range(QUIET_LOOKS)][-1] == 1
    assert node.node.scripting._eval is None
    tidy(node.node)
    node.take(1)
    assert node.run(1, b"EVALSHA", digest, b"0", b"x") == [b"$x"]
    assert node.run(1, b"FCALL", b"f", b"0") == [b":2"], "what a library has in its variables is kept"


def test_statistics_that_are_reset_do_not_keep_memory_from_being_tidied_up(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.look(5 * BUSY_CALLS)
    watched.node.run(1, b"CONFIG", b"RESETSTAT")
    watched.look(BUSY_CALLS)
    assert [watched.look() for _ in range(QUIET_LOOKS)][-1] == 1


def test_memory_is_not_tidied_up_under_a_command_that_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.look(5 * BUSY_CALLS)
    watched.node.node.suspension.depth = 1
    assert [watched.look() for _ in range(5)] == [0] * 5
    watched.node.node.suspension.depth = 0
    assert [watched.look() for _ in range(QUIET_LOOKS)][-1] == 1


def test_giving_memory_back_makes_nothing_that_is_kept() -> None:
    memory.return_memory()
    gc.collect()
    before = len(gc.get_objects())
    memory.return_memory()
    assert len(gc.get_objects()) <= before


def test_the_collections_of_a_database_are_emptied_and_not_replaced() -> None:
    node = InProcess()
    db = node.node.space[0]
    held = (db.positions, db.members, db.free, db.values, db.accesses, db.expires, db.sizes, db.due)
    for number in range(1000):
        node.run(1, b"SET", b"%d" % number, b"x", b"EX", b"10")
    node.run(1, b"RPUSH", b"l", b"x")
    node.run(1, b"DEL", *[b"%d" % number for number in range(1000)])
    db.check()
    node.run(1, b"FLUSHALL")
    db.check()
    now = (db.positions, db.members, db.free, db.values, db.accesses, db.expires, db.sizes, db.due)
    assert all(one is other and not one for one, other in zip(held, now, strict=True))


def test_nothing_is_lost_when_memory_is_tidied_up() -> None:
    node = InProcess()
    node.run(1, b"CONFIG", b"SET", b"slowlog-log-slower-than", b"0")
    node.run(1, b"ZADD", b"z", b"0.3", b"a")
    node.run(1, b"ZRANGE", b"z", b"0", b"-1", b"WITHSCORES")
    node.run(1, b"EVAL", b"return redis.call('PING')", b"0")
    node.run(1, b"FUNCTION", b"LOAD", b"#!lua name=l\nredis.register_function('f', function() return 7 end)")
    node.run(1, b"ACL", b"SETUSER", b"u", b"on", b"nopass", b"-@all", b"+auth")
    node.run(2, b"AUTH", b"u", b"x")
    node.run(2, b"GET", b"k")
    requests = (
        [b"SLOWLOG", b"GET", b"-1"],
        [b"ACL", b"LOG"],
        [b"FUNCTION", b"LIST", b"WITHCODE"],
        [b"FCALL", b"f", b"0"],
        [b"EVALSHA", node.run(1, b"SCRIPT", b"LOAD", b"return redis.call('PING')")[0][1:], b"0"],
    )
    node.run(1, b"CONFIG", b"SET", b"slowlog-log-slower-than", b"-1")
    before = [node.run(1, *request) for request in requests]
    state = pickle.loads(pickle.dumps(node.node.stats.commands))
    assert format_fraction.cache_info().currsize
    tidy(node.node)
    assert not format_fraction.cache_info().currsize
    assert {name: stats.histogram() for name, stats in node.node.stats.commands.items()} == {
        name: stats.histogram() for name, stats in state.items()
    }
    assert [node.run(1, *request) for request in requests] == before


SCATTERED = """
from tests.inprocess import InProcess
from engine.live.memory import tidy

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

node = InProcess()
node.run(1, b"CONFIG", b"SET", b"slowlog-log-slower-than", b"0")
started = rss()
for turn in range(128):
    for start in range(4):
        node.run(1, b"MSET", *[b"%d:%d:%d" % (turn, start, i) for i in range(1000)])
    node.run(1, b"SET", b"slow", b"%d" % turn)
loaded = rss()
node.run(1, b"CONFIG", b"SET", b"slowlog-log-slower-than", b"-1")
node.run(1, b"FLUSHALL")
tidy(node.node)
print(loaded - started, rss() - started)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_small_objects_that_are_kept_do_not_hold_what_lay_around_them() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCATTERED], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    loaded, left = map(int, ran.stdout.split())
    assert loaded > 30_000_000
    assert left < loaded // 4
