"""Replication, told to a node step by step."""

import pytest

from engine.config import Config
from engine.effects import Dial, Exit, Hangup, Log, Send, Snapshot
from engine.keyspace.databases import EXPIRE_DELETE, EXPIRE_HIDE
from engine.node import Node
from engine.persistence.rdb.loader import Loader
from engine.persistence.rdb.objects import RdbLimits
from engine.protocol.resp import encode_command
from engine.replication.master import ReplicaLink
from tests.inprocess import InProcess
from tests.world import QuietWorld

NOW = 1_700_000_000_000_000
REPLID = b"a" * 40


def new_node() -> Node:
    node = Node(Config(), 1, NOW)
    node.attach(QuietWorld())
    node.opened(1, "127.0.0.1:1", "tcp", NOW)
    return node


def ask(node: Node, line: str) -> list[object]:
    node.received(1, encode_command(line.encode().split()), NOW)
    return list(node.end_round(NOW))


def follow(node: Node) -> int:
    """Have a node follow a master that sends an empty snapshot; returns the link to it."""
    link = next(effect.link for effect in ask(node, "REPLICAOF 127.0.0.1 7000") if isinstance(effect, Dial))
    node.opened(link, "127.0.0.1:7000", "dialled", NOW)
    empty = b"".join(Node(Config(), 2, NOW).persistence.chunks())
    for answer in (b"+PONG\r\n", b"+OK\r\n", b"+OK\r\n", b"+FULLRESYNC %b 0\r\n" % REPLID):
        node.received(link, answer, NOW)
    node.received(link, b"$%d\r\n%b" % (len(empty), empty), NOW)
    node.end_round(NOW)
    assert node.replica.state == "connected"
    return link


def test_a_killed_link_to_the_master_is_dialled_anew() -> None:
    node = new_node()
    link = follow(node)
    effects = ask(node, "CLIENT KILL TYPE master")
    assert Hangup(link) in effects
    assert [effect.port for effect in effects if isinstance(effect, Dial)] == [7000]
    assert node.replica.state == "connecting"


def test_a_replica_waits_for_its_masters_deletions_after_a_pause_too() -> None:
    node = new_node()
    assert node.space.expire_mode == EXPIRE_DELETE
    follow(node)
    for line in ("CLIENT PAUSE 10000 WRITE", "CLIENT UNPAUSE"):
        ask(node, line)
        assert node.space.expire_mode == EXPIRE_HIDE
    ask(node, "REPLICAOF NO ONE")
    assert node.space.expire_mode == EXPIRE_DELETE


def test_a_smaller_backlog_drops_the_oldest_bytes() -> None:
    node = new_node()
    node.replication.need_backlog()
    for number in range(1000):
        ask(node, f"SET k{number} {'x' * 100}")
    backlog = node.replication.backlog
    assert backlog is not None
    end = backlog.end
    ask(node, "CONFIG SET repl-backlog-size 20000")
    backlog.check()
    assert (backlog.length, backlog.end) == (20000, end)
    assert node.replication.offset == end - 1


def test_a_continued_stream_goes_on_in_its_database() -> None:
    node = new_node()
    link = follow(node)
    node.received(link, encode_command([b"SELECT", b"9"]) + encode_command([b"INCR", b"x"]), NOW)
    offset = node.replication.offset
    node.closed(link, NOW)
    link = next(effect.link for effect in node.end_round(NOW) if isinstance(effect, Dial))
    node.opened(link, "127.0.0.1:7000", "dialled", NOW)
    for answer in (b"+PONG\r\n", b"+OK\r\n", b"+OK\r\n", b"+CONTINUE\r\n"):
        node.received(link, answer, NOW)
    node.received(link, encode_command([b"INCR", b"x"]), NOW)
    assert node.space.databases[9].held(b"x") == 2
    assert node.replication.offset == offset + len(encode_command([b"INCR", b"x"]))


def test_a_replica_adds_no_ping_to_its_masters_stream() -> None:
    node = new_node()
    follow(node)
    ask(node, "REPLCONF capa eof capa psync2")
    ask(node, f"PSYNC {REPLID.decode()} 1")
    offset = node.replication.offset
    for second in range(20):
        node.wake(NOW + second * 1_000_000)
        node.end_round(NOW + second * 1_000_000)
    assert node.master.replicas
    assert node.replication.offset == offset


def test_a_snapshot_for_a_replica_is_taken_at_its_offset() -> None:
    """What other clients change later in the same round must not be in the snapshot: it is in the stream too."""
    node = new_node()
    world = QuietWorld()
    node.attach(world)
    node.opened(2, "127.0.0.1:2", "tcp", NOW)
    node.received(2, encode_command(b"PSYNC ? -1".split()), NOW)
    node.received(1, encode_command(b"INCR counter".split()), NOW)
    node.end_round(NOW)
    taken = Node(Config(), 2, NOW)
    taken.attach(QuietWorld())
    loader = Loader(taken.space, RdbLimits.of(taken.config))
    loader.feed(world.files[node.persistence.path])
    loader.finish()
    replica = next(iter(node.master.replicas.values()))
    assert isinstance(replica.replica, ReplicaLink)
    assert b"INCR" in b"".join(replica.replica.pending)
    assert not len(taken.space.databases[0])


class NoFork(QuietWorld):
    """A world without room for another process."""

    def run_now(self, node, effect):
        if isinstance(effect, Snapshot):
            return OSError(11, "Resource temporarily unavailable")
        return super().run_now(node, effect)


def test_a_snapshot_that_cannot_be_started_is_an_error_for_the_replica_and_ends_its_link() -> None:
    for diskless in ("no", "yes"):
        node = new_node()
        node.attach(NoFork())
        ask(node, f"CONFIG SET repl-diskless-sync {diskless} repl-diskless-sync-delay 0")
        node.opened(2, "127.0.0.1:2", "tcp", NOW)
        for line in (b"REPLCONF capa eof", b"PSYNC ? -1"):
            node.received(2, encode_command(line.split()), NOW)
            effects = list(node.end_round(NOW))
        assert Send(2, b"-ERR BGSAVE failed, replication can't continue\r\n") in effects
        assert Hangup(2, flush=True) in effects
        said = [effect.text for effect in effects if isinstance(effect, Log)]
        assert said[-2:] == [
            "Can't save in background: fork: Resource temporarily unavailable",
            "BGSAVE for replication failed",
        ]
        assert not node.master.replicas and not node.master.snapshot
        node.attach(QuietWorld())  # there is room again
        node.opened(3, "127.0.0.1:3", "tcp", NOW)
        node.received(3, encode_command(b"PSYNC ? -1".split()), NOW)
        assert any(isinstance(e, Send) and e.data.startswith(b"+FULLRESYNC ") for e in node.end_round(NOW))


def test_a_replica_that_asks_for_what_is_answered_is_hung_up_on() -> None:
    node = new_node()
    for link, line in enumerate(("SET key value", "GET key", "PUBLISH channel message", "PING", "XINFO HELP"), 2):
        node.opened(link, f"127.0.0.1:{link}", "tcp", NOW)
        node.received(link, encode_command(b"PSYNC ? -1".split()), NOW)
        node.end_round(NOW)
        node.received(link, encode_command(line.encode().split()), NOW)
        effects = node.end_round(NOW)
        assert Hangup(link) in effects
        assert not any(isinstance(effect, Send) and effect.link == link for effect in effects)
        said = " ".join(effect.text for effect in effects if isinstance(effect, Log))
        name = line.lower().replace(" ", "|") if line == "XINFO HELP" else line.split()[0].lower()
        assert f"Replica generated a reply to command '{name}', disconnecting it: id=" in said
    assert Send(1, b"$-1\r\n") in ask(node, "GET key")
    assert not node.master.replicas


def test_an_acknowledgement_counts_what_was_applied_before_it_was_asked_for() -> None:
    ask_for_ack = encode_command([b"REPLCONF", b"GETACK", b"*"])
    before = encode_command([b"SELECT", b"0"]) + encode_command([b"SET", b"key", b"value"])
    for cut in (None, 5, len(before) + 3):
        node = new_node()
        link = follow(node)
        data = before + ask_for_ack
        for piece in (data[:cut], data[cut:]) if cut else (data,):
            node.received(link, piece, NOW)
        acks = [effect.data for effect in node.end_round(NOW) if isinstance(effect, Send) and effect.link == link]
        assert acks == [encode_command([b"REPLCONF", b"ACK", b"%d" % len(before)])]
        assert node.replication.offset == len(data)


def test_the_stream_is_passed_on_as_it_is_but_a_transaction_only_when_it_is_whole() -> None:
    node = new_node()
    link = follow(node)
    node.opened(2, "127.0.0.1:2", "tcp", NOW)
    node.received(2, encode_command([b"PSYNC", REPLID, b"1"]), NOW)
    node.end_round(NOW)
    single = encode_command([b"SELECT", b"0"]) + b"\r\n" + encode_command([b"SET", b"a", b"1"]) + b"\n*0\r\n"
    whole = b"".join(map(encode_command, ([b"MULTI"], [b"INCR", b"a"], [b"INCR", b"b"], [b"EXEC"])))
    sent = b""
    for place in range(len(single + whole)):
        node.received(link, (single + whole)[place : place + 1], NOW)
        sent += b"".join(
            effect.data for effect in node.end_round(NOW) if isinstance(effect, Send) and effect.link == 2
        )
        if place + 1 >= len(single):
            assert sent[-len(single + whole) :] == single + (whole if place + 1 == len(single + whole) else b"")
            assert node.replication.offset == len(sent) - sent.index(single)
    assert Send(1, b"$1\r\n2\r\n") in ask(node, "GET a")


def test_what_a_round_changes_reaches_each_replica_as_one_piece_and_none_twice() -> None:
    node = new_node()
    node.replication.need_backlog()
    replid = node.replication.replid
    for link in (2, 3):
        node.opened(link, f"127.0.0.1:{link}", "tcp", NOW)
    node.received(2, encode_command([b"PSYNC", replid, b"1"]), NOW)
    node.end_round(NOW)
    node.received(1, encode_command([b"SET", b"a", b"1"]), NOW)
    node.received(3, encode_command([b"PSYNC", replid, b"1"]), NOW)  # in the same round
    node.received(1, encode_command([b"SET", b"a", b"2"]), NOW)
    stream = b"".join(map(encode_command, ([b"SELECT", b"0"], [b"SET", b"a", b"1"], [b"SET", b"a", b"2"])))
    effects = node.end_round(NOW)
    assert [effect.data for effect in effects if isinstance(effect, Send) and effect.link == 2] == [stream]
    assert [effect.data for effect in effects if isinstance(effect, Send) and effect.link == 3] == [
        b"+CONTINUE\r\n" + stream
    ]


def test_a_read_only_replica_refuses_every_way_to_write_and_reads_past_the_checks() -> None:
    node = new_node()
    follow(node)
    assert node.conditions.needs_checks > 0
    readonly = b"-READONLY You can't write against a read only replica.\r\n"
    assert Send(1, b"$-1\r\n") in ask(node, "GET a")
    assert Send(1, readonly) in ask(node, "SET a 1")
    (refused,) = [e.data for e in ask(node, "EVAL return{redis.call('SET','a',1)} 0") if isinstance(e, Send)]
    assert refused.startswith(b"-READONLY You can't write against a read only replica. script: ")
    assert Send(1, b":0\r\n") in ask(node, "PUBLISH channel message")
    ask(node, "MULTI")
    assert Send(1, readonly) in ask(node, "SET a 1")
    assert any(isinstance(e, Send) and e.data.startswith(b"-EXECABORT") for e in ask(node, "EXEC"))
    ask(node, "REPLICAOF NO ONE")
    assert node.conditions.needs_checks == 0
    assert Send(1, b"+OK\r\n") in ask(node, "SET a 1")


def test_a_replica_may_want_the_functions_alone() -> None:
    node = InProcess()
    node.run(1, b"SET", b"a", b"1")
    node.run(1, b"FUNCTION", b"LOAD", b"#!lua name=l\nredis.register_function('f', function() return 1 end)")
    whole, functions, nothing = (
        b"".join(node.node.snapshot_chunks(kind)) for kind in ("rdb", "functions", "nothing")
    )
    assert b"register_function" in whole and b"\x00\x01a" in whole
    assert b"register_function" in functions and b"\x00\x01a" not in functions
    assert b"register_function" not in nothing and len(nothing) < len(functions)
    assert node.run(2, b"REPLCONF", b"rdb-filter-only", b"keys") == [b"-ERR Unsupported rdb-filter-only option: keys"]
    assert node.run(2, b"REPLCONF", b"rdb-filter-only", b"functions") == [b"+OK"]
    assert node.run(2, b"PSYNC", b"?", b"-1") == [b"-ERR Filtered replica requires EOF capability"]


@pytest.mark.parametrize("ignore", [False, True])
def test_a_replica_that_cannot_save_crashes_at_its_masters_write_or_ignores_it(ignore: bool) -> None:
    node = new_node()
    link = follow(node)
    ask(node, f"CONFIG SET replica-ignore-disk-write-errors {'yes' if ignore else 'no'}")
    ask(node, "BGSAVE")
    node.snapshot(node.persistence.saving, "Background saving error", NOW)
    assert b"-MISCONF" in b"".join(effect.data for effect in ask(node, "PING") if isinstance(effect, Send))
    node.received(link, encode_command([b"PING"]), NOW)
    node.received(link, encode_command([b"SET", b"k", b"v"]), NOW)
    effects = node.end_round(NOW)
    lines = [effect.text for effect in effects if isinstance(effect, Log)]
    assert lines.count("Replica is applying a command even though it is unable to write to disk.") == 1
    crashes = [effect.crash for effect in effects if isinstance(effect, Exit)]
    assert crashes == ([] if ignore else ["Replica was unable to write command to disk."])


def test_the_end_of_a_longer_pause_lets_a_failover_be_aborted_that_holds_writes_back() -> None:
    node = new_node()
    node.opened(2, "127.0.0.1:2", "tcp", NOW)
    node.received(2, encode_command(b"PSYNC ? -1".split()), NOW)
    node.end_round(NOW)
    assert Send(1, b"+OK\r\n") in ask(node, "FAILOVER")
    ask(node, "CLIENT PAUSE 1000 ALL")
    assert not any(isinstance(effect, Send) and effect.link == 1 for effect in ask(node, "FAILOVER ABORT"))
    node.wake(NOW + 2_000_000)
    assert Send(1, b"+OK\r\n") in node.end_round(NOW + 2_000_000)
    assert not node.failover.under_way
