"""What masters and replicas send that no master or replica should: the link is all that it may cost."""

import time
import tracemalloc

import pytest

from engine import effects as fx
from engine.node import Node
from engine.protocol.resp import encode_command
from engine.replication.peer import OFFSET_MAX, REPLY_BYTES_MAX
from engine.replication.replica import HANDSHAKE, UNREAD_BYTES_MAX, UNSENT_BYTES_MAX
from tests.replication.test_node import NOW, REPLID, NoFork, ask, follow, new_node
from tests.replication.test_transfer import MARK, SNAPSHOT, answer, logged, transferring
from tests.share import share
from tests.world import QuietWorld

FULL = b"+FULLRESYNC %b 0\r\n" % REPLID
SECOND = 1_000_000


def dialled(node: Node) -> int:
    """Have a node follow a master, and let the connection stand; returns the link."""
    link = next(effect.link for effect in ask(node, "REPLICAOF 127.0.0.1 7000") if isinstance(effect, fx.Dial))
    node.opened(link, "127.0.0.1:7000", "dialled", NOW)
    return link


def greeted(node: Node) -> int:
    """Shake hands up to the reply to PSYNC; returns the link."""
    link = dialled(node)
    node.received(link, b"+PONG\r\n+OK\r\n+OK\r\n", NOW)
    node.end_round(NOW)
    assert node.replica.link_state == "handshake"
    return link


def rounds(node: Node, now: int = NOW) -> list[fx.Effect]:
    """Let the node do what is due, a round at a time; returns all effects."""
    effects = list(node.end_round(now))
    while node.deadline() <= now:
        node.wake(now)
        effects += node.end_round(now)
    return effects


def sent(effects: list, link: int) -> list[bytes]:
    return [effect.data for effect in effects if isinstance(effect, fx.Send) and effect.link == link]


def check_it_works(node: Node) -> None:
    """Whatever the peer did: clients are served, as a replica and after a promotion."""
    for _ in range(2):
        assert answer(node, "PING") == b"+PONG\r\n"
        assert answer(node, "PUBLISH channel message") == b":0\r\n"
        assert b"master_repl_offset" in answer(node, "INFO replication")
        assert answer(node, "ROLE")[:1] == b"*"
        assert b"id=" in answer(node, "CLIENT LIST")
        ask(node, "REPLICAOF NO ONE")
    assert answer(node, "SET works 1") == b"+OK\r\n"
    assert answer(node, "FLUSHALL") == b"+OK\r\n"


# --- the handshake ----------------------------------------------------------------------------------------------


def test_the_introduction_leaves_at_once_after_the_reply_to_ping() -> None:
    node = new_node()
    for setting in ("masterauth secret", "masteruser me", "replica-announce-ip 10.0.0.1", "replica-announce-port 7"):
        ask(node, f"CONFIG SET {setting}")
    link = dialled(node)
    assert sent(node.end_round(NOW), link) == [encode_command([b"PING"])]
    node.received(link, b"-NOAUTH Authentication required.\r\n", NOW)
    introduction = ["AUTH me secret", "REPLCONF listening-port 7", "REPLCONF ip-address 10.0.0.1"]
    introduction += ["REPLCONF capa eof capa psync2"]
    expected = b"".join(encode_command(line.encode().split()) for line in introduction)
    assert sent(node.end_round(NOW), link) == [expected]
    for reply in (b"+OK\r\n", b"-ERR port\r\n", b"-ERR address\r\n"):
        node.received(link, reply, NOW)
        assert not sent(node.end_round(NOW), link)
    node.received(link, b"-ERR capa\r\n", NOW)
    (asked,) = sent(node.end_round(NOW), link)
    assert asked.startswith(b"*3\r\n$5\r\nPSYNC\r\n")


def test_the_table_of_the_handshake_has_a_step_for_every_reply() -> None:
    kinds = {kind for row in HANDSHAKE.values() for kind in row}
    for row in HANDSHAKE.values():
        assert row.keys() == kinds
        assert all(callable(step.action) for step in row.values())
    # The handshake goes on after a refused option, and never by itself after PSYNC.
    for state in ("receive-port-reply", "receive-ip-reply", "receive-capa-reply"):
        assert all(step.goes_on for step in HANDSHAKE[state].values())
    assert not any(step.goes_on for step in HANDSHAKE["receive-psync-reply"].values())


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        (b"-ERR no\r\n", "Error reply to PING from master: '-ERR no'"),
        (b"\n", "Error reply to PING from master: ''"),
        (b"-MISCONF " + b"x" * 600 + b"\r\n", "Error reply to PING from master: '-MISCONF " + "x" * 246 + "'"),
        (b"\xff\xfe\r\n", "Error reply to PING from master: '��'"),
        (b"+PONG\r\n-WRONGPASS no\r\n", "Unable to AUTH to MASTER: -WRONGPASS no"),
        (b"+PONG\r\n+OK\r\n-ERR \xff\r\n", "does not understand REPLCONF listening-port: -ERR �"),
    ],
)
def test_odd_replies_are_logged_and_end_the_handshake_where_they_must(replies: bytes, said: str) -> None:
    node = new_node()
    ask(node, "CONFIG SET masterauth secret")
    node.received(dialled(node), replies, NOW)
    assert said in logged(node.end_round(NOW))
    check_it_works(node)


def test_a_reply_longer_than_redis_reads_counts_as_several() -> None:
    node = new_node()
    link = dialled(node)
    node.received(link, b"+" + b"x" * (3 * REPLY_BYTES_MAX - 1), NOW)
    assert sent(node.end_round(NOW), link)[-1].startswith(b"*3\r\n$5\r\nPSYNC")
    assert not node.replica.conversation.buffer
    node.received(link, b"x" * REPLY_BYTES_MAX * 1000, NOW)
    assert "Bad protocol from MASTER" in logged(node.end_round(NOW))
    check_it_works(node)


@pytest.mark.parametrize("had", [b"", b"+PO", b"+PONG\r\n+O", b"+PONG\r\n+OK\r\n+OK\r\n+FULL"])
def test_a_reply_has_to_be_complete_in_time(had: bytes) -> None:
    node = new_node()
    link = dialled(node)
    if had:
        node.received(link, had, NOW)
    node.wake(NOW + 6 * SECOND)
    effects = node.end_round(NOW + 6 * SECOND)
    assert (fx.Hangup(link) in effects) is bool(had)
    assert ("Failed to read response from the server" in logged(effects)) is bool(had)


@pytest.mark.parametrize(
    "reply",
    [
        b"+FULLRESYNC\r\n",
        b"+FULLRESYNC %b\r\n" % REPLID,
        b"+FULLRESYNC %b 0\r\n" % REPLID[1:],
        b"+FULLRESYNC %b 0\r\n" % (b"\xff" * 40),
        b"+FULLRESYNC %b 0\xff\r\n" % REPLID,
        b"+FULLRESYNC %b -1\r\n" % REPLID,
        b"+FULLRESYNC %b 99999999999999999999\r\n" % REPLID,
        b"+FULLRESYNC %b %d\r\n" % (REPLID, OFFSET_MAX + 1),
        b"+FULLRESYNC %b %b\r\n" % (REPLID, b"9" * 5000),
    ],
)
def test_a_full_resynchronization_that_names_no_history_ends_the_link(reply: bytes) -> None:
    node = new_node()
    ask(node, "SET old 1")
    link = greeted(node)
    node.received(link, reply, NOW)
    effects = node.end_round(NOW)
    assert fx.Hangup(link) in effects and "wrong +FULLRESYNC syntax" in logged(effects)
    assert answer(node, "GET old") == b"$1\r\n1\r\n"
    check_it_works(node)


def test_the_largest_offset_leaves_room_for_the_stream() -> None:
    node = new_node()
    link = greeted(node)
    node.received(link, b"+FULLRESYNC %b %d\r\n$%d\r\n%b" % (REPLID, OFFSET_MAX, len(SNAPSHOT), SNAPSHOT), NOW)
    node.received(link, encode_command([b"PING"]), NOW)
    assert b":%d\r\n" % (OFFSET_MAX + 14) in answer(node, "ROLE")
    check_it_works(node)


@pytest.mark.parametrize("reply", [b"+CONTINUE %b\r\n" % (b"\xff" * 40), b"+CONTINUE\xff\r\n", b"+CONTINUE\r\n"])
def test_a_continuation_is_only_taken_of_a_history_and_under_an_id(reply: bytes) -> None:
    node = new_node()
    link = greeted(node)
    node.received(link, reply, NOW)
    assert (node.replica.state == "connected") is not (b"\xff" * 40 in reply)
    node = new_node()
    node.replica.has_history = False
    link = dialled(node)
    node.replica.has_history = False
    node.received(link, b"+PONG\r\n+OK\r\n+OK\r\n" + reply, NOW)
    assert fx.Hangup(link) in node.end_round(NOW)
    check_it_works(node)


def test_a_master_without_psync_is_asked_by_sync_and_never_continued() -> None:
    for reply, said in (
        (b"-ERR unknown command\r\n", "Master does not support PSYNC or is in error state (reply: -ERR unknown comm"),
        (b"-NOPERM no\r\n", "Unexpected reply to PSYNC from master: -NOPERM no"),
        (b"hello\r\n", "Unexpected reply to PSYNC from master: hello"),
    ):
        node = new_node()
        link = greeted(node)
        node.received(link, b"\n\n" + reply, NOW)
        effects = node.end_round(NOW)
        assert said in logged(effects) and "Retrying with SYNC..." in logged(effects)
        assert sent(effects, link) == [b"SYNC\r\n"]
        node.received(link, b"$%d\r\n%b%b" % (len(SNAPSHOT), SNAPSHOT, encode_command([b"SET", b"a", b"1"])), NOW)
        assert answer(node, "GET a") == b"$1\r\n1\r\n"
        node.wake(NOW + 2 * SECOND)
        assert not sent(node.end_round(NOW + 2 * SECOND), link)  # it knows no ACKs
        node.closed(link, NOW)
        node.end_round(NOW)
        assert not node.replica.has_history
        check_it_works(node)


# --- the snapshot -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["disabled", "swapdb"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"$0\r\n", "Bad bulk count from MASTER: '0'"),
        (b"$-5\r\n", "Bad bulk count from MASTER: '-5'"),
        (b"$abc\r\n", "Bad bulk count from MASTER: 'abc'"),
        (b"$99999999999999999999\r\n", "Bad bulk count from MASTER"),
        (b"$" + b"9" * 5000, "Bad bulk count from MASTER: '999"),
        (b"x" * 5000, "Bad protocol from MASTER, the first byte is not '$' (we received 'xxx"),
        (b"$EOF:%b\r\n%b" % (MARK, MARK), "MASTER"),
        (b"$EOF:short\r\n", "Bad bulk count from MASTER"),
    ],
)
def test_a_snapshot_that_is_none_leaves_the_data(mode: str, data: bytes, said: str) -> None:
    node, link = transferring(mode, replid=b"b" * 40)
    node.received(link, data, NOW)
    effects = node.end_round(NOW)
    assert said.replace("count from MASTER: '", "count from MASTER: '$") in logged(effects)
    assert fx.Hangup(link) in effects
    assert answer(node, "GET old") == b"$1\r\n1\r\n"
    check_it_works(node)


def test_a_snapshot_that_ends_before_its_size_takes_no_memory_for_the_rest() -> None:
    node, link = transferring("swapdb")
    filler = b"x" * (1 << 20)
    stream = encode_command([b"SET", b"after", b"1"])
    node.received(link, b"$%d\r\n%b" % (len(SNAPSHOT) + 32 * len(filler), SNAPSHOT), NOW)
    tracemalloc.start()
    try:
        for _ in range(31):
            node.received(link, filler, NOW)
        assert tracemalloc.get_traced_memory()[0] < 8 << 20
    finally:
        tracemalloc.stop()
    node.received(link, filler + stream, NOW)
    assert node.replica.state == "connected"
    assert answer(node, "GET after") == b"$1\r\n1\r\n"
    check_it_works(node)


def with_field(name: bytes, value: bytes) -> bytes:
    """Return the snapshot with another field; its checksum is left out."""
    field = b"\xfa%c%b\x80%b%b" % (len(name), name, len(value).to_bytes(4, "big"), value)
    return SNAPSHOT[:9] + field + SNAPSHOT[9:-8] + bytes(8)


@pytest.mark.parametrize("mode", ["disabled", "swapdb"])
@pytest.mark.parametrize("name", [b"repl-stream-db", b"repl-offset", b"repl-id", b"ctime", b"used-mem", b"%\xff"])
@pytest.mark.parametrize("value", [b"99", b"-1", b"9" * 5000, b"\xff" * 40, b""])
def test_odd_fields_of_a_snapshot_change_nothing(mode: str, name: bytes, value: bytes) -> None:
    node, link = transferring(mode, held="")
    data = with_field(name, value)
    node.received(link, b"$%d\r\n%b%b" % (len(data), data, encode_command([b"SET", b"a", b"1"])), NOW)
    assert node.replica.state == "connected"
    assert answer(node, "GET a") == b"$1\r\n1\r\n"
    assert answer(node, "GET key:1") == b"$5\r\nvalue\r\n"
    node.closed(link, NOW)
    node.end_round(NOW)
    check_it_works(node)
    node = new_node()
    node.world.files["dump.rdb"] = data
    node.config.replicaof = node.config.replicaof or type("Address", (), {"host": "127.0.0.1", "port": 7000})()
    node.start(NOW)
    assert answer(node, "GET key:1") == b"$5\r\nvalue\r\n"
    check_it_works(node)


def test_with_swapdb_functions_that_do_not_compile_leave_data_and_functions() -> None:
    node, link = transferring("swapdb", replid=b"b" * 40)
    library = b"#!lua name=kept\nredis.register_function{function_name='f', callback=function() return 7 end, "
    library += b"flags={'no-writes'}}"
    node.scripting.load_library(library, replace=False)
    broken = b"#!lua name=broken\nthis is no Lua"
    data = SNAPSHOT[:9] + b"\xf5%c%b" % (len(broken), broken) + SNAPSHOT[9:-8] + bytes(8)
    node.received(link, b"$%d\r\n%b" % (len(data), data), NOW)
    effects = node.end_round(NOW)
    assert "Failed loading library, " in logged(effects)
    assert "Swapping active DB" not in logged(effects) and fx.Hangup(link) in effects
    assert answer(node, "GET old") == b"$1\r\n1\r\n"
    assert answer(node, "FCALL f 0") == b":7\r\n"
    check_it_works(node)


def test_an_aof_that_cannot_be_switched_on_after_a_transfer_is_tried_again_ten_times() -> None:
    for room_after in (3, 99):
        node = new_node()
        node.config.appendonly = True
        node.attach(NoFork())
        follow(node)
        node.end_round(NOW)
        said, ended = "", False
        for seconds in range(1, 12):
            if seconds == room_after:
                node.attach(QuietWorld())
            node.wake(NOW + seconds * SECOND)
            effects = node.end_round(NOW + seconds * SECOND)
            said += logged(effects)
            ended |= any(isinstance(effect, fx.Exit) for effect in effects)
        assert ended is (room_after == 99)
        assert said.count("Trying it again in one second.") == (8 if ended else 2)
        assert ("FATAL: this replica instance finished" in said) is ended


# --- the stream -------------------------------------------------------------------------------------------------

ODD = [
    "SUBSCRIBE a",
    "PSUBSCRIBE *",
    "SSUBSCRIBE a",
    "WATCH key",
    "MULTI",
    "CLIENT TRACKING ON",
    "CLIENT TRACKING ON BCAST",
    "CLIENT REPLY ON",
    "CLIENT KILL TYPE master",
    "CLIENT KILL TYPE MASTER SKIPME no",
    "CLIENT NO-EVICT ON",
    "MONITOR",
    "HELLO 3",
    "HELLO 3 AUTH default x",
    "AUTH x",
    "RESET",
    "QUIT",
    "SELECT 9999",
    "SYNC",
    "PSYNC ? -1",
    "REPLCONF ACK 99999999999999999999",
    "REPLCONF GETACK",
    "REPLICAOF NO ONE",
    "REPLICAOF 127.0.0.1 7001",
    "FAILOVER",
    "BLPOP key 0",
    "BLMPOP 0 1 key LEFT",
    "BZPOPMIN key 0",
    "XREAD BLOCK 0 STREAMS key 0",
    "WAIT 1 0",
    "DEBUG SLEEP 0",
    "SCRIPT DEBUG SYNC",
    "BGSAVE",
    "CLUSTER INFO",
    "NOSUCHCOMMAND",
    "SET key",
]


@pytest.mark.parametrize("before", ["", "MULTI"])
@pytest.mark.parametrize("odd", ODD)
def test_odd_commands_of_a_master_leave_nothing_behind(odd: str, before: str) -> None:
    node = new_node()
    link = follow(node)
    lines = [before, odd, "EXEC" if before else "", "SET key value", "PING"]
    for data in (
        b"".join(encode_command(line.encode().split()) for line in lines if line),
        encode_command(b"BLPOP other 0".split()),
    ):
        node.received(link, data, NOW)
        for effect in node.end_round(NOW):
            assert not isinstance(effect, fx.Exit)
            if isinstance(effect, fx.Send) and effect.link == link:
                assert effect.data.startswith(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n")  # no reply goes to a master
            assert not isinstance(effect, fx.Log) or "Internal error" not in effect.text
    node.closed(link, NOW)
    node.end_round(NOW)
    assert not node.pubsub.channels and not node.pubsub.patterns and not node.pubsub.shard_channels
    assert not node.tracking.active and not node.conditions.tracked and not node.monitors.clients
    assert not any(db.watchers or db.blocked for db in node.space.databases)
    assert node.waiting.count == 0 and not node.master.replicas
    assert len(node.clients) == 1
    check_it_works(node)


def test_a_master_that_ends_its_own_link_is_dialled_anew() -> None:
    node = new_node()
    link = follow(node)
    node.received(link, encode_command([b"QUIT"]) + encode_command([b"SET", b"a", b"1"]), NOW)
    effects = node.end_round(NOW)
    assert fx.Hangup(link) in effects and any(isinstance(effect, fx.Dial) for effect in effects)
    assert node.replication.offset == len(encode_command([b"QUIT"]))
    assert answer(node, "GET a") == b"$-1\r\n"


def test_a_promotion_by_the_master_itself_ends_the_stream_and_keys_expire() -> None:
    node = new_node()
    link = follow(node)
    node.received(link, encode_command(b"REPLICAOF NO ONE".split()) + encode_command([b"SET", b"a", b"1"]), NOW)
    node.end_round(NOW)
    assert answer(node, "GET a") == b"$-1\r\n"
    ask(node, "SET a 1 PX 1")
    node.wake(NOW + SECOND)
    assert not node.space.databases[0]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"PING\r\n",
            "Protocol error (Master using the inline protocol. Desync?) from client: id=",
        ),
        (b"*1\r\n$-7\r\n", "Protocol error (invalid bulk length) from client: id="),
        (b"*1\r\n$99999999999999999999\r\n", "Protocol error (invalid bulk length)"),
        (b"*" + b"9" * 70_000, "Protocol error (too big mbulk count string)"),
        (b"*1\r\n$" + b"9" * 70_000, "Protocol error (too big bulk count string)"),
        (b"x" * 70_000, "Protocol error (too big inline request)"),
        (b"*9999999999\r\n", "Protocol error (invalid multibulk length)"),
        (b"*1\r\n:5\r\n", "Protocol error (expected '$', got ':')"),
    ],
)
def test_a_broken_stream_ends_the_link_and_is_not_continued(data: bytes, said: str) -> None:
    for pieces in ([data], [data[:3], data[3:]]):
        node = new_node()
        link = follow(node)
        for piece in pieces:
            node.received(link, piece, NOW)
        effects = node.end_round(NOW)
        assert said in logged(effects)
        assert "Connection with master lost." in logged(effects) and "Caching" not in logged(effects)
        assert fx.Hangup(link) in effects and any(isinstance(effect, fx.Dial) for effect in effects)
        assert not node.replica.has_history
        check_it_works(node)


def test_the_limit_of_clients_for_values_does_not_bind_a_master() -> None:
    node = new_node()
    link = follow(node)
    node.config.proto_max_bulk_len = 1 << 20
    value = b"x" * (2 << 20)
    data = encode_command([b"SET", b"key", value])
    node.received(link, data[:40], NOW)
    for place in range(40, len(data), 1 << 16):
        node.received(link, data[place : place + (1 << 16)], NOW)
    assert answer(node, "STRLEN key") == b":%d\r\n" % len(value)


@pytest.mark.parametrize(
    "data",
    [
        b"\n" * 200_000,
        b"\r\n" * 200_000,
        (b"\n" + encode_command([b"PING"])) * 4000,
        b"\n*0\r\n" * 20_000,
        (encode_command([b"PING"]) + b"*0\r\n") * 4000,
        encode_command([b"PING"]) * 10_000 + b"\n",
        encode_command([b"REPLCONF", b"GETACK", b"*"]) * 10_000,
    ],
    ids=["LF", "CRLF", "LF and PING", "LF and *0", "PING and *0", "PING", "GETACK"],
)
@pytest.mark.parametrize("begun", [b"", b"*1\r\n$4\r\nPI"])
def test_a_flood_is_counted_to_the_byte(data: bytes, begun: bytes) -> None:
    """What it may cost is held by the fuzzer, which measures."""
    node = new_node()
    link = follow(node)
    node.received(link, begun, NOW)
    node.received(link, (b"NG\r\n" if begun else b"") + data, NOW)
    rounds(node)
    assert node.replication.offset == (len(begun) + 4 if begun else 0) + len(data)
    check_it_works(node)


@pytest.mark.parametrize(
    "piece", share([b"\n" + encode_command([b"INCR", b"n"]), encode_command([b"INCR", b"n"]), b"\n*0\r\n"], 3)
)
def test_clients_are_served_while_a_flood_is_applied(piece: bytes) -> None:
    node = new_node()
    link = follow(node)
    data = piece * (2 * UNREAD_BYTES_MAX // len(piece))
    node.received(link, data, NOW)
    effects = node.end_round(NOW)
    assert fx.PauseReading(link) in effects
    assert node.deadline() <= NOW
    assert node.replication.offset < len(data) // 2
    assert answer(node, "PING") == b"+PONG\r\n"
    assert fx.ResumeReading(link) in rounds(node)
    assert node.replication.offset == len(data)
    assert node.deadline() > NOW


def test_what_a_master_sent_before_it_hung_up_is_applied_to_its_end() -> None:
    node = new_node()
    link = follow(node)
    data = encode_command([b"INCR", b"n"]) * 20_000
    node.received(link, data, NOW)
    node.closed(link, NOW)
    assert "Connection with master lost." in logged(rounds(node))
    assert answer(node, "GET n") == b"$5\r\n20000\r\n"
    assert node.replication.offset == len(data)
    assert node.replica.has_history
    check_it_works(node)


def test_a_master_that_reads_no_acknowledgements_gets_no_more_of_them() -> None:
    node = new_node()
    link = follow(node)
    ask_for_one = encode_command([b"REPLCONF", b"GETACK", b"*"])
    for unsent, answered in ((0, 1), (UNSENT_BYTES_MAX, 0), (0, 1)):
        node.output_pending(link, unsent, NOW)
        node.received(link, ask_for_one, NOW)
        assert len(sent(node.end_round(NOW), link)) == answered


def test_newlines_before_a_reply_and_a_snapshot_are_skipped_at_once() -> None:
    node = new_node()
    link = greeted(node)
    started = time.process_time()
    node.received(link, b"\n" * 1_000_000, NOW)
    node.received(link, FULL + b"\r\n" * 500_000 + b"$%d\r\n%b" % (len(SNAPSHOT), SNAPSHOT), NOW)
    assert time.process_time() - started < 30  # seconds for what takes milliseconds: one at a time would take minutes
    assert node.replica.state == "connected"


def test_while_clients_are_paused_the_master_has_to_wait_and_loses_nothing() -> None:
    node = new_node()
    link = follow(node)
    ask(node, "CLIENT PAUSE 1000 ALL")
    data = encode_command([b"SET", b"key", b"x" * 1000]) * 2000
    node.received(link, data, NOW)
    assert fx.PauseReading(link) in node.end_round(NOW)
    assert len(node.replica.stream.request.buffer) == len(data) >= UNREAD_BYTES_MAX
    node.wake(NOW + 2 * SECOND)
    assert fx.ResumeReading(link) in rounds(node, NOW + 2 * SECOND)
    assert node.replication.offset == len(data)


def test_a_fault_of_ours_costs_the_link_and_is_logged() -> None:
    node = new_node()
    link = follow(node)
    node.replica.stream.receive = None  # type: ignore[method-assign, assignment, union-attr]
    node.received(link, b"\n", NOW)
    effects = node.end_round(NOW)
    assert "Internal error in what the master sent: Traceback" in logged(effects)
    assert fx.Hangup(link) in effects
    check_it_works(node)


# --- replicas ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "REPLCONF",
        "REPLCONF ack",
        "REPLCONF listening-port 99999999999999999999",
        "REPLCONF listening-port -1",
        "REPLCONF ip-address \xff\xfe",
        f"REPLCONF ip-address {'x' * 300}",
        "REPLCONF capa \xff capa eof",
        "REPLCONF rdb-only 2",
        "REPLCONF rdb-filter-only '",
        "REPLCONF ACK 1",
        f"REPLCONF ACK {'9' * 5000}",
        "REPLCONF GETACK \xff",
        "PSYNC",
        "PSYNC \xff 1",
        f"PSYNC {'9' * 5000} {'9' * 5000}",
        "PSYNC ? 9223372036854775807",
        "PSYNC ?x -9223372036854775808",
    ],
)
def test_odd_words_of_a_replica_are_answered(line: str) -> None:
    node = new_node()
    node.opened(2, "127.0.0.1:2", "tcp", NOW)
    for part in (line, "PSYNC ? -1"):
        node.received(2, encode_command(part.encode("latin-1").split(b" ")), NOW)
        for effect in node.end_round(NOW):
            assert not isinstance(effect, fx.Log) or "Internal error" not in effect.text
    check_it_works(node)


def test_acknowledgements_may_claim_anything() -> None:
    node = new_node()
    node.replication.need_backlog()
    node.opened(2, "127.0.0.1:2", "tcp", NOW)
    node.received(2, encode_command([b"PSYNC", node.replication.replid, b"1"]), NOW)
    for ack in (b"-9223372036854775808", b"9223372036854775807", b"9223372036854775808", b"9" * 5000, b"x"):
        node.received(2, encode_command([b"REPLCONF", b"ACK", ack, b"FACK", ack]), NOW)
        node.end_round(NOW)
        assert answer(node, "ROLE").startswith(b"*3\r\n$6\r\nmaster\r\n")
    (replica,) = node.master.replicas.values()
    assert replica.replica.ack_offset == (1 << 63) - 1
    node.received(2, b"\xff" * 100 + b"\r\n", NOW)
    node.end_round(NOW)
    check_it_works(node)
