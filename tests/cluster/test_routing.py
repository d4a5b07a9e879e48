"""Where commands run: the redirections of each kind, and what needs none."""

from typing import Any

import pytest

from engine.cluster import state as st
from engine.cluster.state import ClusterNode
from engine.keyspace.slots import SLOTS, key_slot
from engine.protocol.resp import encode_command
from tests.inprocess import InProcess, Parsed

MINE, THEIRS = "{a}", "{b}"  # the hash tags of keys in slots that we serve, and that another node does
A, B = key_slot(b"a"), key_slot(b"b")
MOVED = b"-MOVED %d 10.0.0.2:7001" % B
CROSSSLOT = b"-CROSSSLOT Keys in request don't hash to the same slot"
TRYAGAIN = b"-TRYAGAIN Multiple keys request during rehashing of slot"
DOWN = b"-CLUSTERDOWN The cluster is down"


class RoutingNode(InProcess):
    """A master that knows another: all slots but one are its own."""

    def __init__(self, **configuration: Any) -> None:
        super().__init__(cluster_enabled=True, databases=1, port=7000, **configuration)
        cluster = self.node.cluster
        assert cluster is not None
        assert cluster.start() == []
        cluster.loaded()
        self.cluster = cluster
        self.other = self.add("b" * 40, "10.0.0.2", 7001, st.MASTER)
        for slot in range(SLOTS):
            cluster.state.assign(slot, self.other if slot == B else cluster.state.myself)
        cluster.state.ok = True
        self.settle()

    def add(self, name: str, ip: str, port: int, flags: int) -> ClusterNode:
        state = self.cluster.state
        peer = state.new_peer(name, flags, 0)
        peer.ip, peer.port, peer.bus_port = ip, port, port + 10000
        state.add(peer)
        return peer

    def do(self, text: str, client: int = 1) -> Parsed:
        """Give a command, its words separated by blanks; returns the one reply."""
        replies = self.run(client, *text.encode().split())
        assert len(replies) == 1
        return replies[0]


@pytest.fixture
def node() -> RoutingNode:
    return RoutingNode()


@pytest.mark.parametrize(
    "text",
    [
        "GET {b}", "SET {b} v", "MGET {b}1 {b}2", "DEL {b}", "EVAL return{} 1 {b}", "WATCH {b}",
        "BLPOP {b} 0", "XREAD STREAMS {b} 0", "SORT {b}", "ZUNION 1 {b}", "SPUBLISH {b} m", "SSUBSCRIBE {b}",
        "OBJECT ENCODING {b}", "MIGRATE h 1 {b} 0 9", "RESTORE-ASKING {b} 0 x", "FCALL f 1 {b}",
    ],
)  # fmt: skip
def test_another_node_serves_the_slot(node: RoutingNode, text: str) -> None:
    assert node.do(text) == MOVED


@pytest.mark.parametrize("text", ["PING", "DBSIZE", "SCAN 0", "KEYS *", "PUBLISH {b} m", "CLUSTER KEYSLOT {b}"])
def test_commands_without_keys_run_everywhere(node: RoutingNode, text: str) -> None:
    assert not str(node.do(text)).startswith("b'-")


@pytest.mark.parametrize(
    "text",
    ["MGET {a} x", "MSET {a} 1 y 2", "SUNIONSTORE {a} x", "DEL {a} x", "SSUBSCRIBE {a} x", "LMOVE {a} x LEFT LEFT"],
)
def test_keys_of_several_slots(node: RoutingNode, text: str) -> None:
    assert node.do(text) == CROSSSLOT


def test_nobody_serves_the_slot(node: RoutingNode) -> None:
    node.cluster.state.release(B)
    assert node.do("GET {b}") == b"-CLUSTERDOWN Hash slot not served"


def test_the_cluster_is_down() -> None:
    node = RoutingNode()
    node.cluster.state.ok = False
    assert node.do("GET {a}") == DOWN
    assert node.do("PING") == b"+PONG"
    assert node.run(1, b"SSUBSCRIBE", b"{a}")[0][1] == b"$ssubscribe"
    node.node.config.cluster_allow_reads_when_down = True
    assert node.do("GET {a}", 2) == b"$-1"
    assert node.do("SET {a} v", 2) == b"-CLUSTERDOWN The cluster is down and only accepts read commands"
    node.node.config.cluster_allow_pubsubshard_when_down = False
    assert node.do("SPUBLISH {a} m", 2) == DOWN


def test_a_slot_that_moves_away(node: RoutingNode) -> None:
    assert node.do("SET {a}1 v") == b"+OK"
    node.cluster.state.migrating[A] = node.other
    ask = b"-ASK %d 10.0.0.2:7001" % A
    assert node.do("GET {a}1") == b"$v"
    assert node.do("GET {a}2") == ask
    assert node.do("SET {a}2 v") == ask
    assert node.do("MGET {a}2 {a}3") == ask
    assert node.do("MGET {a}1 {a}2") == TRYAGAIN
    assert node.do("SPUBLISH {a} m") == b":0"
    assert node.do("MIGRATE h 1 {a}2 0 9") == b"+NOKEY"


def test_a_slot_that_moves_here(node: RoutingNode) -> None:
    node.cluster.state.importing[B] = node.other
    assert node.do("GET {b}") == MOVED
    assert node.do("ASKING") == b"+OK"
    assert node.do("SET {b} v") == b"+OK"
    assert node.do("GET {b}") == MOVED  # for one command
    assert node.do("ASKING") == b"+OK"
    assert node.do("MGET {b} {b}2") == TRYAGAIN
    assert node.do("ASKING") == b"+OK"
    assert node.do("MGET {b} {b}") == [b"*", b"$v", b"$v"]
    assert node.do("ASKING") == b"+OK"
    assert node.do("MULTI") == b"+OK"
    assert node.do("GET {b}") == b"+QUEUED"
    assert node.do("EXEC") == [b"*", b"$v"]
    assert node.do("GET {b}") == MOVED


def test_transactions(node: RoutingNode) -> None:
    assert node.do("MULTI") == b"+OK"
    assert node.do("GET {b}") == MOVED
    assert node.do("EXEC") == b"-EXECABORT Transaction discarded because of previous errors."
    assert node.do("MULTI") == b"+OK"
    assert node.do("GET {a}") == b"+QUEUED"
    assert node.do("GET x") == b"+QUEUED"
    assert node.do("EXEC") == CROSSSLOT
    assert node.do("MULTI") == b"+OK"
    assert node.do("GET {a}") == b"+QUEUED"
    node.cluster.state.release(A)
    node.cluster.state.assign(A, node.other)
    assert node.do("EXEC") == b"-MOVED %d 10.0.0.2:7001" % A
    assert node.do("EXEC") == b"-ERR EXEC without MULTI"


def test_a_replica_serves_who_asks_for_it(node: RoutingNode) -> None:
    state = node.cluster.state
    for slot in list(st.members(state.myself.slots)):
        state.release(slot)
    node.cluster.ownership.set_master(node.other)
    node.settle()
    assert node.do("GET {b}") == MOVED
    assert node.do("READONLY") == b"+OK"
    assert node.do("GET {b}") == b"$-1"
    assert node.do("SET {b} v") == MOVED
    assert node.do("GET {a}") == b"-CLUSTERDOWN Hash slot not served"
    assert node.do("READWRITE") == b"+OK"
    assert node.do("GET {b}") == MOVED
    assert node.run(2, b"SSUBSCRIBE", b"{b}")[0][1] == b"$ssubscribe"


@pytest.mark.parametrize(
    ("script", "keys", "reply"),
    [
        (b"return redis.call('get', KEYS[1])", b"{a}", b"$-1"),
        (
            b"return redis.pcall('get', '{b}').err",
            b"{a}",
            b"$ERR Script attempted to access a non local key in a cluster node",
        ),
        (b"return redis.call('set', 'x', 1)", b"{a}", b"+OK"),
        (
            b"#!lua\nreturn redis.pcall('set', 'x', 1).err",
            b"{a}",
            b"$ERR Script attempted to access keys that do not hash to the same slot",
        ),
        (b"#!lua flags=allow-cross-slot-keys\nreturn redis.call('set', 'x', 1)", b"{a}", b"+OK"),
        (
            b"#!lua flags=no-cluster\nreturn 1",
            b"{a}",
            b"-ERR Can not run script on cluster, 'no-cluster' flag is set.",
        ),
    ],
)
def test_scripts(node: RoutingNode, script: bytes, keys: bytes, reply: bytes) -> None:
    assert node.run(1, b"EVAL", script, b"1", keys) == [reply]


def test_a_script_while_the_cluster_is_down(node: RoutingNode) -> None:
    node.cluster.state.ok = False
    reply = node.run(1, b"EVAL", b"return redis.pcall('get', 'x').err", b"0")
    assert reply == [b"$ERR Script attempted to execute a command while the cluster is down"]


def test_a_pipeline_runs_each_command_where_it_belongs(node: RoutingNode) -> None:
    requests = [
        b"SET {a} v",
        b"GET {a}",
        b"GET {b}",
        b"PING",
        b"MGET {a} x",
        b"GET",
        b"BITFIELD {b} GET u8 0",
        b"GET {a}",
    ]
    node.run(1, b"PING")
    node.send(1, b"".join(encode_command(request.split()) for request in requests))
    wrong = b"-ERR wrong number of arguments for 'get' command"
    assert node.take(1) == [b"+OK", b"$v", MOVED, b"+PONG", CROSSSLOT, wrong, MOVED, b"$v"]


def test_blocked_clients_are_redirected(node: RoutingNode) -> None:
    assert node.run(1, b"BLPOP", b"{a}", b"0") == []
    state = node.cluster.state
    state.release(A)
    state.assign(A, node.other)
    node.now_us += 200_000
    node.node.wake(node.now_us)
    node.settle()
    assert node.take(1) == [b"-MOVED %d 10.0.0.2:7001" % A]
    assert node.run(1, b"BLPOP", b"x", b"0") == []
    state.release(key_slot(b"x"))
    node.now_us += 200_000
    node.node.wake(node.now_us)
    node.settle()
    assert node.take(1) == [b"-CLUSTERDOWN Hash slot not served"]
    assert node.run(1, b"BLPOP", b"y", b"0") == []
    state.ok = False
    node.now_us += 200_000
    node.node.wake(node.now_us)
    node.settle()
    assert node.take(1) == [DOWN]


def test_shard_channels_end_with_the_slot(node: RoutingNode) -> None:
    node.run(1, b"SSUBSCRIBE", b"{a}")
    state = node.cluster.state
    state.release(A)
    state.assign(A, node.other)
    node.settle()
    assert node.take(1) == [[b"*", b"$sunsubscribe", b"${a}", b":0"]]


@pytest.mark.parametrize(
    ("kind", "hostname", "endpoint"),
    [("hostname", "b.example.com", b"b.example.com"), ("hostname", "", b"?"), ("unknown-endpoint", "", b"")],
)
def test_what_clients_are_told_to_connect_to(kind: str, hostname: str, endpoint: bytes) -> None:
    node = RoutingNode(cluster_preferred_endpoint_type=kind)
    node.other.hostname = hostname
    assert node.do("GET {b}") == b"-MOVED %d %b:7001" % (B, endpoint)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("SELECT 1", "ERR SELECT is not allowed in cluster mode"),
        ("SWAPDB 0 0", "ERR SWAPDB is not allowed in cluster mode"),
        ("REPLICAOF h 1", "ERR REPLICAOF not allowed in cluster mode."),
        ("CLUSTER ADDSLOTS 16384", "ERR Invalid or out of range slot"),
        (f"CLUSTER ADDSLOTS {A}", f"ERR Slot {A} is already busy"),
        (f"CLUSTER DELSLOTS {A} {A}", f"ERR Slot {A} specified multiple times"),
        ("CLUSTER ADDSLOTSRANGE 5 4", "ERR start slot number 5 is greater than end slot number 4"),
        ("CLUSTER ADDSLOTSRANGE 5 6 7", "ERR wrong number of arguments for 'cluster|addslotsrange' command"),
        (f"CLUSTER SETSLOT {A} IMPORTING {'b' * 40}", f"ERR I'm already the owner of hash slot {A}"),
        (f"CLUSTER SETSLOT {B} MIGRATING {'b' * 40}", f"ERR I'm not the owner of hash slot {B}"),
        (f"CLUSTER SETSLOT {A} MIGRATING x", "ERR I don't know about node x"),
        (f"CLUSTER SETSLOT {A} AWAY", "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP"),
        ("CLUSTER FORGET x", "ERR Unknown node x"),
        ("CLUSTER REPLICATE x", "ERR Unknown node x"),
        (f"CLUSTER REPLICATE {'b' * 40}", "ERR To set a master the node must be empty and without assigned slots."),
        ("CLUSTER FAILOVER", "ERR You should send CLUSTER FAILOVER to a replica"),
        ("CLUSTER FAILOVER NOW", "ERR syntax error"),
        ("CLUSTER MEET host 1", "ERR Invalid node address specified: host:1"),
        ("CLUSTER MEET 10.0.0.1 x", "ERR Invalid base port specified: x"),
        ("CLUSTER COUNTKEYSINSLOT 16384", "ERR Invalid slot"),
        ("CLUSTER GETKEYSINSLOT 1 -1", "ERR Invalid slot or number of keys"),
        (
            "CLUSTER SET-CONFIG-EPOCH 5",
            "ERR The user can assign a config epoch only when the node does not know any other node.",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(node: RoutingNode, text: str, error: str) -> None:
    assert node.do(text) == b"-" + error.encode()


def test_keys_of_a_slot(node: RoutingNode) -> None:
    for number in range(3):
        node.do(f"SET {{a}}{number} v")
    assert node.do(f"CLUSTER COUNTKEYSINSLOT {A}") == b":3"
    assert node.do(f"CLUSTER GETKEYSINSLOT {A} 2") == [b"*", b"${a}2", b"${a}1"]
    assert node.do(f"CLUSTER SETSLOT {A} NODE {'b' * 40}") == (
        b"-ERR Can't assign hashslot %d to a different node while I still hold keys for this hash slot." % A
    )
    node.do("FLUSHALL")
    assert node.do(f"CLUSTER SETSLOT {A} NODE {'b' * 40}") == b"+OK"
    assert node.do("GET {a}") == b"-MOVED %d 10.0.0.2:7001" % A


def test_keys_are_deleted_when_another_master_takes_their_slot(node: RoutingNode) -> None:
    node.do("SET {a} v")
    node.cluster.ownership.claimed(node.other, 99, node.other.slots | 1 << A)
    node.settle()
    assert node.do("DBSIZE") == b":0"
    assert node.do("GET {a}") == b"-MOVED %d 10.0.0.2:7001" % A
