"""Going back: a node is what it was, whatever happened since."""

import pickle

import pytest

from engine.config import Config
from engine.effects import Send
from engine.journal import Journal
from engine.node import Node
from engine.peek import peek
from engine.resp import encode_command
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
        return b"".join(effect.data for effect in self.journal.settled(self.now) if isinstance(effect, Send))

    def state(self) -> bytes:
        # Written twice: the first pickle shares objects by chance of how they were made.
        return pickle.dumps(
            pickle.loads(pickle.dumps(self.journal.node)).__getstate__()["space"].databases[0].entries
        )


def test_undo_brings_back_data_and_times_to_live() -> None:
    told = Told()
    told("SET k v PX 100000")
    told("RPUSH l a b c")
    place = told.journal.mark()
    for line in ("SET k w", "LPOP l", "SADD s 1 2 3", "FLUSHALL", "SET new 1"):
        told(line, 30_000_000)
    told.now = told.journal.rewind(place).now_us
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
    told.now = told.journal.rewind(place).now_us
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


def test_peek_leaves_no_trace() -> None:
    told = Told()
    for line in ("SET k v PX 60005", "LPUSH l a", "CONFIG SET slowlog-log-slower-than 0"):
        told(line)
    told("PING", 60_000_000)  # the clock of access times ticks
    node = told.journal.node
    told.now += 10_000_000
    before = pickle.dumps(node)
    looks = node.stopwatch
    assert peek(node, [b"GET", b"k"], now=told.now) is None
    assert peek(node, [b"LRANGE", b"l", b"0", b"-1"], now=told.now) == [b"a"]
    assert peek(node, [b"OBJECT", b"IDLETIME", b"l"], now=told.now) == 60
    assert peek(node, [b"RANDOMKEY"], now=told.now) == b"l"
    assert peek(node, [b"DBSIZE"]) == 2
    assert pickle.dumps(node) == before
    assert looks is node.stopwatch


@pytest.mark.parametrize(
    "line", ["SET k v", "BLPOP k 0", "SUBSCRIBE c", "CONFIG SET maxmemory 1", "FLUSHALL", "MULTI"]
)
def test_peek_refuses_what_changes_anything(line: str) -> None:
    with pytest.raises(ValueError, match="look"):
        peek(Told().journal.node, line.encode().split())
