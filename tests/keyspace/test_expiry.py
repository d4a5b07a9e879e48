"""Times to live: when keys die, who is told, and what is propagated. The test moves the clock."""

import hiredis
import pytest

from engine.config import Config, MasterAddress
from engine.effects import Send
from engine.node import Node
from engine.protocol.resp import encode_command
from engine.replication.backlog import Backlog

START = 1_700_000_000_000_000


class World:
    def stopwatch(self):
        return 0

    def service(self, node):
        pass

    def run_now(self, node, effect):
        return None

    def facts(self):
        return {}


class Server:
    """A node whose clock stands still until it is moved; `stream` is what it propagated."""

    def __init__(self):
        self.now = START
        config = Config()
        config.repl_backlog_ttl = 0  # the backlog stays, although no replica comes
        self.node = Node(config, 1, START)
        self.node.attach(World())
        self.node.replication.backlog = Backlog(1 << 20, 0)
        self.node.propagation.update()
        self.node.master.feed = lambda db, argv: self.stream.append(b" ".join(argv).decode())
        self.stream = []
        for link in (1, 2):
            self.node.opened(link, "127.0.0.1:1", "tcp", START)

    def __call__(self, line, link=1):
        self.node.received(link, encode_command(line.encode().split()), self.now)
        reader = hiredis.Reader(replyError=str)
        for effect in self.node.end_round(self.now):
            if isinstance(effect, Send) and effect.link == link:
                reader.feed(effect.data)
        return reader.gets()

    def later(self, ms):
        self.now += ms * 1000

    def cron(self):
        self.node.wake(max(self.now, self.node.cron.due_us))
        self.now = max(self.now, self.node.clock.now_us)

    def propagated(self):
        stream, self.stream = self.stream, []
        return stream


@pytest.fixture
def server():
    return Server()


def test_a_key_lives_through_its_last_millisecond(server):
    server("SET k v PX 10")
    server.later(10)
    assert server("GET k") == b"v"
    assert server("PTTL k") == 0
    server.later(1)
    assert server("PTTL k") == -2
    assert server("GET k") is None
    assert server.propagated() == ["SET k v PXAT 1700000000010", "DEL k"]


def test_expired_keys_are_counted_until_they_are_met(server):
    server("SET k v PX 10")
    server.later(11)
    assert server("DBSIZE") == 1
    assert server("EXISTS k") == 0
    assert server("DBSIZE") == 0


def test_a_time_to_live_does_not_keep_the_key_once_more(server):
    server("SET a_longer_key x")
    for _ in range(3):
        server("EXPIRE a_longer_key 100")
    db = server.node.space[0]
    assert all(key is db.members[0] for key in (*db.expires, *(key for _, key in db.due)))


def test_cron_removes_keys_one_by_one(server):
    server("MSET a 1 b 2 c 3")
    server("PEXPIRE a 5")
    server("PEXPIRE b 5")
    server.propagated()
    server.later(1000)
    server.cron()
    assert sorted(server.propagated()) == ["DEL a", "DEL b"]
    assert server("DBSIZE") == 1


def test_a_command_that_meets_an_expired_key_makes_one_unit_with_it(server):
    server("SET k v PX 10")
    server.propagated()
    server.later(11)
    assert server("APPEND k w") == 1
    assert server.propagated() == ["MULTI", "DEL k", "APPEND k w", "EXEC"]


def test_scan_removes_expired_keys_outside_of_units(server):
    for key in "abc":
        server(f"SET {key} v PX 10")
    server.propagated()
    server.later(11)
    assert server("SCAN 0") == [b"0", []]
    assert sorted(server.propagated()) == ["DEL a", "DEL b", "DEL c"]


@pytest.mark.parametrize("command", ["EXPIRE k -1", "PEXPIREAT k 1", "GETEX k PXAT 1"])
def test_a_time_that_has_passed_deletes(server, command):
    server("SET k v")
    server.propagated()
    server(command)
    assert server.propagated() == ["DEL k"]
    assert server("EXISTS k") == 0


def test_times_to_live_are_propagated_as_absolute(server):
    server("SETEX k 10 v")
    server("EXPIRE k 20 GT")
    server("GETEX k EX 30")
    server("PERSIST k")
    server("SET k v EX 5 EX 6")
    assert server.propagated() == [
        "SET k v PXAT 1700000010000",
        "PEXPIREAT k 1700000020000 GT",
        "PEXPIREAT k 1700000030000",
        "PERSIST k",
        "SET k v PXAT 1700000006000",
    ]


def test_ttl_rounds_to_the_nearest_second(server):
    server("SET k v PX 1499")
    assert server("TTL k") == 1
    server("SET k v PX 1500")
    assert server("TTL k") == 2


def test_which_writes_keep_a_time_to_live(server):
    server("SET k 1 EX 100")
    for command in ("INCR k", "APPEND k 2", "SETRANGE k 0 3", "SETBIT k 1 1", "SET k 1 KEEPTTL", "INCRBYFLOAT k 1"):
        server(command)
        assert server("TTL k") == 100, command
    for command in ("SET k 1", "GETSET k 1", "MSET k 1"):
        server("EXPIRE k 100")
        server(command)
        assert server("TTL k") == -1, command


def test_watched_key_that_expires_fails_the_transaction(server):
    server("SET k v PX 10")
    server("WATCH k")
    server.later(11)
    server("MULTI")
    server("PING")
    assert server("EXEC") is None


def test_key_that_was_dead_when_watched_does_not(server):
    server("SET k v PX 10")
    server.later(11)
    server("WATCH k")
    assert server("GET k", link=2) is None
    server("MULTI")
    server("PING")
    assert server("EXEC") == [b"PONG"]


def test_flush_and_swap_touch_watched_keys(server):
    for command in ("FLUSHALL", "FLUSHDB", "SWAPDB 0 1"):
        server("SET k v")
        server("WATCH k")
        server(command, link=2)
        server("MULTI")
        server("PING")
        assert server("EXEC") is None, command


def test_books_are_kept(server):
    node = server.node
    for command in (
        "SET k v",
        "SET k 12",
        "SET k longer EX 5",
        "INCR n",
        "INCR n",
        "MSET k 1 n x",
        "DEL k",
        "RENAME n m",
    ):
        server(command)
        for db in node.space.databases:
            db.check()
        assert node.space.used == sum(db.counted_bytes() for db in node.space.databases)
        assert node.space.used == sum(db.size(key) for db in node.space.databases for key in db.positions)


@pytest.fixture
def writable_replica(server):
    def follow():
        server.node.config.replicaof = MasterAddress("127.0.0.1", 1)
        server.node.config.replica_read_only = False
        server.node.roles.update()
        return server

    return follow


def test_a_writable_replica_writes_in_the_place_of_an_expired_key(server, writable_replica):
    server("SET key 5 PX 10")
    server("SET other 5 PX 10")
    writable_replica()
    server.later(1000)
    assert server("INCR key") == 1
    assert server("SET other 1") == b"OK"
    assert server("DBSIZE") == 2
    server.node.space.databases[0].check()


def test_a_writable_replica_expires_keys_of_its_own(server, writable_replica):
    server("SET theirs 1 PX 10")
    writable_replica()
    server("SET mine 1 PX 10")
    server.later(1000)
    assert server("DBSIZE") == 2
    server.cron()
    assert server("DBSIZE") == 1
