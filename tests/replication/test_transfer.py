"""A master's snapshot on its way to a replica: announced, cut anywhere, loaded while it comes or from a file."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import effects as fx
from engine.config import Config
from engine.node import Node
from engine.protocol.resp import encode_command
from engine.replication.master import PIECE_BYTES, WAITING_BYTES_MAX
from engine.replication.replica import UNREAD_BYTES_MAX
from tests.replication.test_node import NOW, REPLID, ask, new_node
from tests.world import QuietWorld

pytestmark = pytest.mark.long

MARK = b"m" * 40
KEYS = 40
LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"


def snapshot(keys: int = KEYS) -> bytes:
    """Return a snapshot with some keys, none of them called `old`."""
    node = Node(Config(), 2, NOW)
    node.attach(QuietWorld())
    node.opened(1, "127.0.0.1:1", "tcp", NOW)
    for number in range(keys):
        ask(node, f"SET key:{number} value")
    return b"".join(node.persistence.chunks())


SNAPSHOT = snapshot()
SIZED = b"$%d\r\n%b" % (len(SNAPSHOT), SNAPSHOT)
MARKED = b"$EOF:%b\r\n%b%b" % (MARK, SNAPSHOT, MARK)


def transferring(mode: str, replid: bytes = REPLID, held: str = "SET old 1") -> tuple[Node, int]:
    """Return a node that a snapshot is about to be sent to, and the link."""
    node = new_node()
    ask(node, f"CONFIG SET repl-diskless-load {mode}")
    if held:
        ask(node, held)
    link = next(effect.link for effect in ask(node, "REPLICAOF 127.0.0.1 7000") if isinstance(effect, fx.Dial))
    node.opened(link, "127.0.0.1:7000", "dialled", NOW)
    for answer in (b"+PONG\r\n", b"+OK\r\n", b"+OK\r\n", b"+FULLRESYNC %b 0\r\n" % replid):
        node.received(link, answer, NOW)
    node.end_round(NOW)
    return node, link


def answer(node: Node, line: str) -> bytes:
    return b"".join(effect.data for effect in ask(node, line) if isinstance(effect, fx.Send) and effect.link == 1)


def logged(effects: list) -> str:
    return "\n".join(effect.text for effect in effects if isinstance(effect, fx.Log))


@given(
    mode=st.sampled_from(["disabled", "swapdb", "on-empty-db"]),
    announced=st.sampled_from([SIZED, MARKED]),
    cuts=st.lists(st.integers(0, len(MARKED) + 40), max_size=6),
)
def test_it_may_be_cut_anywhere_and_the_stream_follows(mode: str, announced: bytes, cuts: list[int]) -> None:
    node, link = transferring(mode, held="")
    stream = encode_command([b"SELECT", b"0"]) + encode_command([b"SET", b"after", b"1"])
    data = b"\n" + announced + stream
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(places):
        if start < end:
            node.received(link, data[start:end], NOW)
            node.end_round(NOW)
    assert node.replica.state == "connected"
    assert node.replication.offset == len(stream)
    assert answer(node, "DBSIZE") == b":%d\r\n" % (KEYS + 1)
    assert (node.world.files.get("dump.rdb") == SNAPSHOT) == (mode == "disabled")
    assert b"loading:0\r\nasync_loading:0" in answer(node, "INFO persistence")


@pytest.mark.parametrize("mode", ["swapdb", "on-empty-db"])
@pytest.mark.parametrize(
    "stream", [b"", encode_command([b"SELECT", b"0"])], ids=["nothing follows", "a stream follows"]
)
def test_the_end_of_a_large_value_is_noticed_however_little_comes_last(mode: str, stream: bytes) -> None:
    source = Node(Config(), 2, NOW)
    source.config.rdbcompression = False
    source.attach(QuietWorld())
    source.opened(1, "127.0.0.1:1", "tcp", NOW)
    ask(source, "SET large " + "x" * 3000)
    data = b"$EOF:%b\r\n%b%b" % (MARK, b"".join(source.persistence.chunks()), MARK) + stream
    for last in (len(data) - 1, len(data) - 40, len(data)):
        for cut in range(1, last, 29):
            node, link = transferring(mode, held="")
            for piece in (data[:cut], data[cut:last], data[last:]):
                if piece:
                    node.received(link, piece, NOW)
                    node.end_round(NOW)
            assert node.replica.state == "connected", (cut, last)
            assert node.replication.offset == len(stream)
            assert answer(node, "STRLEN large") == b":3000\r\n"


def test_with_swapdb_a_former_state_of_the_same_history_is_readable_meanwhile() -> None:
    node, link = transferring("swapdb")
    node.replication.replid = REPLID
    node.received(link, MARKED[:200], NOW)
    assert b"loading:0\r\nasync_loading:1" in answer(node, "INFO persistence")
    assert answer(node, "GET old") == b"$1\r\n1\r\n"
    assert answer(node, "GET key:1") == b"$-1\r\n"
    for refused in ("REPLICAOF NO ONE", "BGSAVE", "MULTI;BGSAVE;EXEC"):
        for part in refused.split(";"):
            last = answer(node, part)
        assert last.startswith((b"-LOADING", b"-EXECABORT"))
    assert answer(node, "CONFIG SET appendonly yes") == LOADING
    node.received(link, MARKED[200:], NOW)
    assert answer(node, "GET old") == b"$-1\r\n"
    assert answer(node, "GET key:1") == b"$5\r\nvalue\r\n"


def test_with_swapdb_another_history_is_hidden_and_comes_back_when_the_transfer_fails() -> None:
    node, link = transferring("swapdb", replid=b"b" * 40)
    node.received(link, MARKED[:200], NOW)
    assert b"loading:1\r\nasync_loading:0" in answer(node, "INFO persistence")
    assert answer(node, "GET old") == LOADING
    node.closed(link, NOW)
    effects = node.end_round(NOW)
    assert "Unexpected EOF reading RDB file" in logged(effects)
    assert "Discarding temporary DB" in logged(effects)
    assert [effect.port for effect in effects if isinstance(effect, fx.Dial)] == [7000]  # at once
    assert answer(node, "GET old") == b"$1\r\n1\r\n"
    assert answer(node, "DBSIZE") == b":1\r\n"


def test_on_empty_db_takes_a_file_where_there_is_data() -> None:
    for held, parser in (("", True), ("SET old 1", False)):
        node, link = transferring("on-empty-db", held=held)
        node.received(link, MARKED[:200], NOW)
        assert ("from master with EOF to parser" in logged(node.end_round(NOW))) is parser
        assert (answer(node, "GET old") == LOADING) is parser
        node.closed(link, NOW)
        left = [effect.path for effect in node.end_round(NOW) if isinstance(effect, fx.Unlink)]
        assert left == list(node.world.files) == ([] if parser else ["temp-1700000000.1.rdb"])
        assert answer(node, "DBSIZE") == (b":0\r\n" if parser else b":1\r\n")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"-ERR no\r\n", "MASTER aborted replication with an error: ERR no"),
        (b"hello\r\n", "Bad protocol from MASTER"),
        (MARKED[:-40] + b"x" * 40, "Replication stream EOF marker is broken"),
        (SIZED[:-1] + b"?", "Wrong RDB checksum"),
        (b"$20\r\nREDIS0011 nonsense!!", "Failed trying to load the MASTER synchronization DB from socket"),
    ],
)
def test_what_is_wrong_with_it_is_said_and_the_old_data_stays(data: bytes, said: str) -> None:
    node, link = transferring("swapdb", replid=b"b" * 40)
    node.received(link, data, NOW)
    assert said in logged(node.end_round(NOW))
    assert answer(node, "GET old") == b"$1\r\n1\r\n"
    assert node.conditions.load is None


class FullDisk(QuietWorld):
    def run_now(self, node, effect):
        if isinstance(effect, fx.Append):
            return OSError(28, "No space left on device")
        return super().run_now(node, effect)


def test_a_full_disk_fails_the_transfer_and_leaves_the_data() -> None:
    node, link = transferring("disabled")
    node.attach(FullDisk())
    node.received(link, SIZED, NOW)
    effects = node.end_round(NOW)
    assert "Write error or short write" in logged(effects) and "No space left on device" in logged(effects)
    assert fx.Hangup(link) in effects
    assert answer(node, "GET old") == b"$1\r\n1\r\n"


def test_the_masters_file_stays_as_our_own_unless_it_must_not() -> None:
    for removed in (False, True):
        node, link = transferring("disabled")
        node.received(1, encode_command([b"CONFIG", b"SET", b"save", b""]), NOW)
        ask(node, f"CONFIG SET rdb-del-sync-files {'yes' if removed else 'no'}")
        node.received(link, SIZED, NOW)
        assert (fx.Unlink("dump.rdb") in node.end_round(NOW)) is removed
        assert node.world.files == {"dump.rdb": SNAPSHOT}


class Serving(QuietWorld):
    """Has something happen while the data is loaded; counts for how long the node stalls."""

    def __init__(self):
        super().__init__()
        self.stalled_us = 0

    def service(self, node):
        self.happens()

    def run_now(self, node, effect):
        if isinstance(effect, fx.Stall):
            self.stalled_us += effect.duration_us
        return super().run_now(node, effect)


def test_what_happens_to_the_link_while_a_file_is_loaded_waits() -> None:
    node, link = transferring("disabled")
    world = Serving()
    node.attach(world)
    ask(node, "CONFIG SET loading-process-events-interval-bytes 1024")
    stream = encode_command([b"SELECT", b"0"]) + encode_command([b"SET", b"after", b"1"])
    seen = []

    def happens() -> None:
        if not seen:
            seen.extend(ask(node, "GET old"))
            node.received(link, stream, NOW)
            node.closed(link, NOW)

    world.happens = happens
    data = snapshot(300)
    node.received(link, b"$%d\r\n%b" % (len(data), data), NOW)
    effects = node.end_round(NOW)
    assert fx.Send(1, LOADING) in seen
    assert fx.Send(link, b"\n") in seen  # the master sees that we live
    assert "Connection with master lost." in logged(effects)
    assert answer(node, "GET after") == b"$1\r\n1\r\n"
    assert node.replication.offset == len(stream)


@pytest.mark.parametrize("mode", ["swapdb", "on-empty-db"])
def test_clients_are_served_between_the_keys_of_one_delivery(mode: str) -> None:
    node, link = transferring(mode, held="")
    world = Serving()
    node.attach(world)
    ask(node, "CONFIG SET loading-process-events-interval-bytes 1024 key-load-delay 1000000")
    data = b"$EOF:%b\r\n%b%b" % (MARK, snapshot(300), MARK)
    stream = encode_command([b"SELECT", b"0"]) + encode_command([b"SET", b"after", b"x" * UNREAD_BYTES_MAX])
    seen = []

    def happens() -> None:
        if not seen:
            seen.extend(ask(node, "CONFIG SET key-load-delay 0"))
            node.received(link, data[4000:], NOW)  # the rest comes meanwhile, and nothing after it
            node.received(link, stream, NOW)
            seen.extend(node.end_round(NOW))

    world.happens = happens
    node.received(link, data[:4000], NOW)
    assert fx.Send(1, b"+OK\r\n") in seen
    assert fx.PauseReading(link) in seen  # enough waits
    assert fx.ResumeReading(link) in node.end_round(NOW)
    assert 0 < world.stalled_us < 100_000_000
    assert node.replica.state == "connected"
    assert node.replication.offset == len(stream)
    assert answer(node, "DBSIZE") == b":301\r\n"


def test_a_node_that_is_told_to_end_while_it_loads_loads_no_more() -> None:
    node, link = transferring("swapdb")
    world = Serving()
    node.attach(world)
    ask(node, "CONFIG SET loading-process-events-interval-bytes 1024")
    world.happens = lambda: node.signal("term", NOW)
    node.received(link, b"$EOF:%b\r\n%b%b" % (MARK, snapshot(300), MARK), NOW)
    effects = node.end_round(NOW)
    assert isinstance(effects[-1], fx.Exit)
    assert "Discarding temporary DB" in logged(effects)
    assert "Finished with success" not in logged(effects)


def feeding(replicas: int) -> Node:
    """Return a master that sends a diskless snapshot to so many replicas, on links from 2."""
    node = new_node()
    ask(node, f"CONFIG SET repl-diskless-sync-max-replicas {replicas}")
    for link in range(2, 2 + replicas):
        node.opened(link, f"127.0.0.1:{link}", "tcp", NOW)
        for line in (b"REPLCONF capa eof capa psync2", b"PSYNC ? -1"):
            node.received(link, encode_command(line.split()), NOW)
            node.end_round(NOW)
    node.wake(NOW + 1_000_000)
    node.end_round(NOW + 1_000_000)
    assert node.master.snapshot
    return node


def test_a_diskless_snapshot_waits_for_the_slowest_replica() -> None:
    node = feeding(2)
    snapshot = node.master.snapshot
    node.snapshot_data(snapshot, b"x" * 100, NOW)
    node.end_round(NOW)
    node.output_pending(2, WAITING_BYTES_MAX + 1, NOW)
    assert fx.PauseSnapshot(snapshot) in node.end_round(NOW)
    node.output_pending(3, 0, NOW)
    assert not [effect for effect in node.end_round(NOW) if isinstance(effect, fx.ResumeSnapshot)]
    node.output_pending(2, 0, NOW)
    assert fx.ResumeSnapshot(snapshot) in node.end_round(NOW)
    node.output_pending(2, WAITING_BYTES_MAX + 1, NOW)
    node.end_round(NOW)
    node.closed(2, NOW)
    assert fx.ResumeSnapshot(snapshot) in node.end_round(NOW)


def test_a_replica_that_takes_nothing_of_its_snapshot_is_dropped() -> None:
    node = feeding(2)
    node.output_pending(2, WAITING_BYTES_MAX + 1, NOW + 1_000_000)
    node.output_pending(3, 100, NOW + 1_000_000)
    node.output_pending(3, 0, NOW + 2_000_000)
    effects = []
    for seconds in range(2, 70):
        node.wake(NOW + seconds * 1_000_000)
        effects += node.end_round(NOW + seconds * 1_000_000)
    assert fx.Hangup(2) in effects and fx.Hangup(3) not in effects
    assert "Disconnecting timedout replica (full sync): 127.0.0.1:2" in logged(effects)


def test_a_replica_that_only_shows_that_it_lives_is_kept() -> None:
    node = new_node()
    node.replication.need_backlog()
    for link in (2, 3):
        node.opened(link, f"127.0.0.1:{link}", "tcp", NOW)
        node.received(link, encode_command([b"PSYNC", node.replication.replid, b"1"]), NOW)
    effects = []
    for seconds in range(2, 100):
        node.received(2, b"\n", NOW + seconds * 1_000_000)
        node.wake(NOW + seconds * 1_000_000)
        effects += node.end_round(NOW + seconds * 1_000_000)
    assert fx.Hangup(3) in effects and fx.Hangup(2) not in effects


def test_nothing_is_evicted_while_data_is_loaded() -> None:
    node, link = transferring("swapdb")
    node.replication.replid = REPLID
    for line in ("maxmemory-policy allkeys-lru", "replica-ignore-maxmemory no"):
        ask(node, f"CONFIG SET {line}")
    node.received(link, MARKED[:200], NOW)
    node.config.maxmemory = 1
    node.conditions.update()
    assert answer(node, "GET old") == b"$1\r\n1\r\n"


def test_a_big_file_is_sent_piece_by_piece_as_each_replica_takes_it() -> None:
    node = new_node()
    node.wake(NOW)  # the cron is done with: none of its pings comes in between
    ask(node, "CONFIG SET repl-diskless-sync no")
    ask(node, "CONFIG SET rdbcompression no")
    node.received(1, encode_command([b"SET", b"big", b"x" * (3 * PIECE_BYTES)]), NOW)
    for link in (2, 3):
        node.opened(link, f"127.0.0.1:{link}", "tcp", NOW)
        node.received(link, encode_command([b"PSYNC", b"?", b"-1"]), NOW)
        node.end_round(NOW)
    node.snapshot(node.master.snapshot, None, NOW)
    sent = {2: b"", 3: b""}

    def go_on() -> None:
        for effect in node.end_round(NOW):
            if isinstance(effect, fx.Send) and effect.link in sent:
                sent[effect.link] += effect.data
                assert len(effect.data) <= PIECE_BYTES + 100

    go_on()
    node.output_pending(3, WAITING_BYTES_MAX + 1, NOW)  # the second is slow
    ask(node, "SET after 1")
    states = [client.replica.state for client in node.master.replicas.values()]
    assert states == ["send_bulk", "send_bulk"]
    for _ in range(3):
        assert node.deadline() <= NOW
        node.wake(NOW)
        go_on()
    stream = encode_command([b"SELECT", b"0"]) + encode_command([b"SET", b"after", b"1"])
    file = node.world.files["dump.rdb"]
    assert sent[2] == b"$%d\r\n%b%b" % (len(file), file, stream)
    assert node.deadline() > NOW  # nothing to do until the slow one has taken what it has
    assert sent[3] == sent[2][: len(sent[3])] and len(sent[3]) < 2 * PIECE_BYTES
    node.output_pending(3, 0, NOW)
    for _ in range(3):
        node.wake(NOW)
        go_on()
    assert sent[3] == sent[2]
