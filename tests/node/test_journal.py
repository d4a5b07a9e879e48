"""Going back: a node is what it was, whatever happened since."""

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from engine.config import Config
from engine.effects import Exit, Send
from engine.inspection import inspect
from engine.journal import Journal
from engine.node import Node
from engine.protocol.resp import encode_command
from tests.world import QuietWorld

START_US = 1_700_000_000_000_000


class Told:
    """A journaled node with one client."""

    def __init__(self, cheap_us: int | None = None, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
        if monkeypatch is not None:
            monkeypatch.setattr("engine.journal.CHEAP_US", cheap_us)
        self.now = START_US
        self.journal = Journal(Node(Config(), 1, self.now))
        self.journal.attach(QuietWorld())
        self.journal.opened(1, "127.0.0.1:1", "tcp", self.now)

    def __call__(self, line: str, after_us: int = 1000) -> bytes:
        self.now += after_us
        self.journal.received(1, encode_command(line.encode().split()), self.now)
        if self.now >= self.journal.deadline():
            self.journal.wake(self.now)
        return b"".join(effect.data for effect in self.journal.end_round(self.now) if isinstance(effect, Send))

    def state(self) -> bytes:
        # Written twice: the first pickle shares objects by chance of how they were made.
        return pickle.dumps(
            pickle.loads(pickle.dumps(self.journal.node)).__getstate__()["space"].databases[0].__getstate__()[2:]
        )


def test_undo_brings_back_data_and_times_to_live() -> None:
    told = Told()
    told("SET k v PX 100000")
    told("RPUSH l a b c")
    place = told.journal.mark()
    for line in ("SET k w", "LPOP l", "SADD s 1 2 3", "FLUSHALL", "SET new 1"):
        told(line, 30_000_000)
    told.now = told.journal.rewind(place).clock.now_us
    assert told("GET k") == b"$1\r\nv\r\n"
    assert told("PTTL k", 0) == b":99998\r\n"
    assert told("LRANGE l 0 -1") == b"*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"
    assert told("EXISTS s new") == b":0\r\n"


def test_undo_brings_back_the_connection() -> None:
    told = Told()
    told("SELECT 3")
    told("MULTI")
    told("INCR x")
    place = told.journal.mark()
    assert told("EXEC") == b"*1\r\n:1\r\n"
    told("SELECT 0")
    told.now = told.journal.rewind(place).clock.now_us
    assert told("EXEC") == b"*1\r\n:1\r\n"
    assert told("GET x") == b"$1\r\n1\r\n"


@pytest.mark.parametrize("cheap_us", [-1, 1 << 60])
def test_replay_and_checkpoint_give_the_same(cheap_us: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(cheap_us, monkeypatch)
    places, states = [], []
    for number in range(40):
        told(f"SADD s {number}")
        told("SPOP s") if number % 3 == 0 else told(f"ZADD z {number} m{number}")
        told("SRANDMEMBER s 3")
        if number % 5 == 0:
            places.append(told.journal.mark())
            states.append((told.state(), told("SLOWLOG LEN"), told("INFO commandstats")))
            places[-1] = told.journal.mark()
            states[-1] = (told.state(),)
    for place, state in list(zip(places, states))[::-1]:
        told.journal.rewind(place)
        assert (told.state(),) == state


def test_a_forgotten_place_is_refused() -> None:
    told = Told()
    first = told.journal.mark()
    told.journal.keep_marks = 2
    for number in range(5):
        told(f"SET k {number}")
        told.journal.mark()
    with pytest.raises(LookupError):
        told.journal.rewind(first)


def test_inspecting_leaves_no_trace() -> None:
    told = Told()
    for line in ("SET k v PX 60005", "LPUSH l a", "CONFIG SET slowlog-log-slower-than 0"):
        told(line)
    told("PING", 60_000_000)  # the clock of access times ticks
    node = told.journal.node
    told.now += 10_000_000
    before = pickle.dumps(node)
    looks = node.clock.stopwatch
    assert inspect(node, [b"GET", b"k"], now=told.now) is None
    assert inspect(node, [b"LRANGE", b"l", b"0", b"-1"], now=told.now) == [b"a"]
    assert inspect(node, [b"OBJECT", b"IDLETIME", b"l"], now=told.now) == 60
    assert inspect(node, [b"RANDOMKEY"], now=told.now) == b"l"
    assert inspect(node, [b"DBSIZE"]) == 2
    assert pickle.dumps(node) == before
    assert looks is node.clock.stopwatch


@pytest.mark.parametrize(
    "line", ["SET k v", "BLPOP k 0", "SUBSCRIBE c", "CONFIG SET maxmemory 1", "FLUSHALL", "MULTI"]
)
def test_inspecting_refuses_what_changes_anything(line: str) -> None:
    with pytest.raises(ValueError, match="look"):
        inspect(Told().journal.node, line.encode().split())


class Disk:
    """A file of a journal, in memory."""

    size_bytes = 0

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, *record: Any) -> None:
        self.written.append(pickle.dumps(record))
        self.size_bytes += 1

    def records(self) -> Iterator[tuple[Any, ...]]:
        return map(pickle.loads, list(self.written))


class KillingWorld(QuietWorld):
    """A world that kills a script as soon as it lets others in; its clock jumps once, after `jumps_in` looks."""

    def __init__(self, journal: Journal, kills: bool) -> None:
        self.journal = journal
        self.kills = kills
        self.now = START_US
        self.jumps_in = -1

    def stopwatch(self) -> int:
        self.now += 1
        self.jumps_in -= 1
        if self.jumps_in == 0:
            self.now += 1_000_000
        return self.now

    def service(self, node: Node) -> None:
        if self.kills:
            self.journal.received(2, encode_command([b"SCRIPT", b"KILL"]), self.now)
        else:
            node.ending.exiting = True  # ends the script
            raise AssertionError("the replay goes on for longer than the script")


def test_a_script_that_was_killed_at_once_ends_in_the_next_process_too() -> None:
    disk = Disk()
    first = Journal(Node(Config(), 1, START_US), file=disk)
    world = KillingWorld(first, kills=True)
    first.attach(world)
    for link in (1, 2):
        first.opened(link, f"127.0.0.1:{link}", "tcp", START_US)
    first.received(1, encode_command([b"CONFIG", b"SET", b"busy-reply-threshold", b"500"]), START_US)
    world.jumps_in = 2  # the first look is where the command begins
    first.received(1, encode_command([b"EVAL", b"while true do end", b"0"]), START_US)
    first.received(1, encode_command([b"SET", b"k", b"v"]), START_US)
    following = Journal(Node(Config(), 1, START_US), file=disk)
    following.attach(KillingWorld(following, kills=False))
    following.resume()
    assert following.watch.place == first.watch.place
    assert following.node.stats.errors == first.node.stats.errors
    assert inspect(following.node, [b"GET", b"k"]) == b"v"


def test_a_shutdown_that_waited_for_replicas_does_not_end_the_next_process() -> None:
    told = Told()
    told("SET k v")
    node = told.journal.node
    node.shutdown.until_us = told.now + 10_000_000
    told.journal.interrupted(told.now)
    told.now += 20_000_000
    told.journal.wake(told.now)
    assert not [effect for effect in told.journal.end_round(told.now) if isinstance(effect, Exit)]
    assert told.journal.rewind(told.journal.place).shutdown.until_us == 0
