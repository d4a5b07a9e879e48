"""The end of a server: what is on its disk is all that anybody got to see."""

from engine import effects as fx
from engine.config import Config
from engine.node import Node
from engine.persistence.rdb.loader import Loader
from engine.persistence.rdb.objects import RdbLimits
from engine.protocol.resp import encode_command
from tests.world import QuietWorld

NOW = 1_700_000_000_000_000
SECOND_US = 1_000_000
REPLICA, CLIENT, OTHER = 1, 2, 3


class Master:
    """A node with save points, a replica that has all of its stream, and two clients."""

    def __init__(self) -> None:
        config = Config()
        config.repl_ping_replica_period = 1
        config.enable_debug_command = "yes"
        self.node = Node(config, 1, NOW)
        self.world = QuietWorld()
        self.node.attach(self.world)
        self.node.start(NOW)
        self.now = NOW
        for link in (REPLICA, CLIENT, OTHER):
            self.node.opened(link, f"127.0.0.1:{link}", "tcp", NOW)
        self.receive(b"PSYNC ? -1", REPLICA)
        self.node.end_round(NOW)
        self.wake(1)
        self.node.snapshot(self.node.master.snapshot, None, self.now)
        self.receive(b"REPLCONF ACK 0", REPLICA)
        self.node.end_round(self.now)

    def receive(self, commands: bytes, link: int = CLIENT) -> None:
        data = b"".join(encode_command(line.split()) for line in commands.splitlines())
        self.node.received(link, data, self.now)

    def wake(self, seconds: float) -> None:
        self.now += int(seconds * SECOND_US)
        self.node.wake(self.now)

    def end_when_acknowledged(self) -> None:
        """Have a signal end it, two seconds later: its replica lacks a part of the stream at first."""
        self.node.signal("term", self.now)
        self.node.end_round(self.now)
        assert not self.node.exiting
        self.receive(b"REPLCONF ACK 1000000", REPLICA)
        self.wake(2)
        assert self.node.exiting

    def settle(self) -> dict[int, bytes]:
        """End the round; returns what was sent to each link. The exit comes last."""
        effects = self.node.end_round(self.now)
        assert isinstance(effects[-1], fx.Exit)
        assert not any(isinstance(effect, fx.Exit) for effect in effects[:-1])
        sent: dict[int, bytes] = {}
        for effect in effects:
            if isinstance(effect, fx.Send):
                sent[effect.link] = sent.get(effect.link, b"") + effect.data
        return sent

    def saved(self) -> tuple[int, int]:
        """Return the offset and the number of keys in the snapshot on the disk."""
        node = Node(Config(), 1, self.now)
        node.attach(QuietWorld())
        loader = Loader(node.space, RdbLimits(), self.now // 1000)
        loader.feed(self.world.files["dump.rdb"])
        loader.finish()
        return int(loader.aux[b"repl-offset"]), loader.keys_loaded


def test_no_ping_follows_the_snapshot_of_a_shutdown() -> None:
    master = Master()
    master.receive(b"SET key value\nSHUTDOWN NOW")
    master.wake(2)
    stream = master.settle()[REPLICA]
    assert b"SET" in stream and b"ping" not in stream
    assert master.saved() == (master.node.replication.offset, 1)


def test_no_ping_follows_the_snapshot_that_a_replica_was_waited_for() -> None:
    master = Master()
    master.receive(b"SET key value")
    master.end_when_acknowledged()
    assert REPLICA not in master.settle()
    assert master.saved() == (master.node.replication.offset, 1)


def test_what_expires_in_the_last_cron_is_in_the_snapshot_and_in_the_stream() -> None:
    master = Master()
    master.receive(b"SET gone value PX 1500\nSET kept value\nDEBUG PAUSE-CRON 1")
    master.node.signal("term", master.now)
    master.receive(b"DEBUG PAUSE-CRON 0")
    master.receive(b"REPLCONF ACK 1000000", REPLICA)
    master.wake(2)
    assert b"DEL" in master.settle()[REPLICA].upper()
    assert master.saved() == (master.node.replication.offset, 1)


def test_nothing_is_heard_once_a_server_ends() -> None:
    master = Master()
    master.receive(b"SET a 1\nSHUTDOWN NOW\nSET b 2")
    master.receive(b"SET c 3", OTHER)
    master.node.opened(OTHER + 1, "127.0.0.1:4", "tcp", master.now)
    master.receive(b"SET d 4", OTHER + 1)
    master.node.signal("term", master.now)
    sent = master.settle()
    assert sent[CLIENT] == b"+OK\r\n" and OTHER not in sent and OTHER + 1 not in sent
    assert master.saved() == (master.node.replication.offset, 1)
    assert master.world.files["dump.rdb"].count(b"\x01a") == 1


def test_who_waits_for_replicas_asks_them_nothing_more() -> None:
    master = Master()
    master.receive(b"SET a 1\nWAIT 1 0")
    master.receive(b"SHUTDOWN NOW", OTHER)
    assert b"GETACK" not in master.settle()[REPLICA]
    assert master.saved() == (master.node.replication.offset, 1)


def test_a_restart_saves_first_and_a_crash_does_not() -> None:
    master = Master()
    master.receive(b"SET a 1\nDEBUG RESTART 20")
    exit_ = master.node.end_round(master.now)[-1]
    assert exit_ == fx.Exit(0, restart=True, delay_us=20_000)
    assert master.saved()[1] == 1
    master = Master()
    master.receive(b"SET a 1\nDEBUG CRASH-AND-RECOVER")
    assert master.settle() == {}
    assert master.saved()[1] == 0  # the snapshot that was made for the replica
