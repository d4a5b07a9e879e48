"""What replication tells observers: every decision, with its reason and values."""

from engine.effects import Dial, Hangup, Send
from engine.node import Node
from engine.observe import events
from engine.protocol.resp import encode_command
from tests.replication.test_node import NOW, REPLID, ask, follow, new_node

SECOND = 1_000_000


def watched() -> tuple[Node, list[events.Event]]:
    node = new_node()
    seen: list[events.Event] = []
    node.observe(seen.append)
    return node, seen


def of(seen: list[events.Event], kind: type) -> list:
    return [event for event in seen if type(event) is kind]


def attach(node: Node, link: int, line: str, now: int = NOW) -> bytes:
    """Have a replica ask on a link of its own; returns what it is sent."""
    node.opened(link, f"127.0.0.1:{link}", "tcp", now)
    node.received(link, encode_command(b"REPLCONF listening-port 7001 capa eof capa psync2".split()), now)
    node.end_round(now)
    node.received(link, encode_command(line.encode().split()), now)
    return b"".join(e.data for e in node.end_round(now) if isinstance(e, Send) and e.link == link)


def test_a_partial_resynchronization_is_refused_and_granted_with_reasons() -> None:
    node, seen = watched()
    node.replication.need_backlog()
    for number in range(3):
        ask(node, f"SET key {number}")
    replid, offset = node.replication.replid.decode(), node.replication.offset
    assert b"+FULLRESYNC" not in attach(node, 2, f"PSYNC {replid} 20")
    (granted,) = of(seen, events.PsyncDecided)
    assert granted.granted and granted.peer == "127.0.0.1:7001"
    assert (granted.asked_id, granted.asked_offset, granted.size_bytes) == (replid, 20, offset - 19)
    assert all(condition.holds for condition in granted.conditions)
    assert [event.how for event in of(seen, events.ReplicaAttached)] == ["partial"]
    attach(node, 3, f"PSYNC {replid} {offset + 2}")
    attach(node, 4, f"PSYNC {'f' * 40} 1")
    attach(node, 5, "PSYNC ? -1")
    refused = of(seen, events.PsyncDecided)[1:]
    assert [event.granted for event in refused] == [False] * 3
    assert [event.conditions[-1].text for event in refused] == [
        f"offset {offset + 2} is past the end of the backlog, {offset + 1}",
        "this node has no second ID",
        "127.0.0.1:7001 names no history: it asks for any",
    ]
    assert [event.conditions[-1].rule.split()[0] for event in refused] == [
        "server.repl_backlog->histlen", "server.replid2", "server.replid",
    ]  # fmt: skip
    assert not any(event.conditions[-1].holds for event in refused)
    assert [event.how for event in of(seen, events.ReplicaAttached)[1:]] == ["full"] * 3


def test_a_replica_tells_of_its_link_and_its_history() -> None:
    node, seen = watched()
    own = node.replication.replid.decode()
    link = follow(node)
    assert [event.role for event in of(seen, events.RoleChanged)] == ["slave"]
    states = [event.state for event in of(seen, events.LinkStateChanged)]
    assert states == ["connect", "connecting", "handshake", "sync", "connected"]
    asked = of(seen, events.ResyncRequested)[0]
    assert (asked.asked_id, asked.asked_offset) == (own, 1)  # a master's data is a history, if only its own
    (finished,) = of(seen, events.ResyncFinished)
    assert (finished.how, finished.replid, finished.offset) == ("full", REPLID.decode(), 0)
    node.received(link, encode_command([b"SELECT", b"0"]), NOW)
    seen.clear()
    node.closed(link, NOW)
    link = next(effect.link for effect in node.end_round(NOW) if isinstance(effect, Dial))
    assert of(seen, events.LinkStateChanged)[0].reason == "I/O error reading from master"
    node.opened(link, "127.0.0.1:7000", "dialled", NOW)
    for answer in (b"+PONG\r\n", b"+OK\r\n", b"+OK\r\n", b"+CONTINUE %b\r\n" % (b"b" * 40)):
        node.received(link, answer, NOW)
    asked = of(seen, events.ResyncRequested)[0]
    assert (asked.asked_id, asked.asked_offset) == (REPLID.decode(), 24)
    (changed,) = of(seen, events.ReplicationIdChanged)
    assert (changed.replid, changed.replid2, changed.second_offset) == ("b" * 40, REPLID.decode(), 24)
    assert of(seen, events.ResyncFinished)[0].how == "partial"
    seen.clear()
    ask(node, "REPLICAOF NO ONE")
    assert of(seen, events.RoleChanged)[0].role == "master"
    assert of(seen, events.ReplicationIdChanged)[0].replid2 == "b" * 40


def test_refused_writes_name_their_conditions() -> None:
    node, seen = watched()
    ask(node, "CONFIG SET min-replicas-to-write 1")
    ask(node, "SET key value")
    (refused,) = of(seen, events.WriteRefused)
    assert (refused.command, refused.error[:10]) == ("set", "NOREPLICAS")
    assert "0 of 0 replicas" in refused.conditions[-1].text
    ask(node, "CONFIG SET min-replicas-to-write 0")
    follow(node)
    ask(node, "SET key value")
    assert of(seen, events.WriteRefused)[-1].error.startswith("READONLY")


def test_a_silent_replica_is_dropped_with_the_reason_and_the_backlog_after_it() -> None:
    node, seen = watched()
    ask(node, "CONFIG SET repl-backlog-ttl 5")
    node.replication.need_backlog()
    attach(node, 2, f"PSYNC {node.replication.replid.decode()} 1")
    node.received(2, encode_command(b"REPLCONF ACK 0".split()), NOW)
    node.end_round(NOW)
    assert [(event.offset, event.behind_bytes) for event in of(seen, events.Acknowledged)] == [(0, 0)]
    gone = False
    for seconds in range(1, 90):
        node.wake(NOW + seconds * SECOND)
        gone |= Hangup(2) in node.end_round(NOW + seconds * SECOND)
    assert gone
    assert "repl-timeout" in of(seen, events.ReplicaDetached)[0].reason
    assert "repl-backlog-ttl" in of(seen, events.BacklogFreed)[0].reason


def test_damaged_data_leaves_the_old_data_with_swapdb() -> None:
    for mode, kept in (("swapdb", b"$3\r\nold\r\n"), ("disabled", b"$-1\r\n")):
        node, seen = watched()
        ask(node, f"CONFIG SET repl-diskless-load {mode}")
        ask(node, "SET key old")
        link = next(e.link for e in ask(node, "REPLICAOF 127.0.0.1 7000") if isinstance(e, Dial))
        node.opened(link, "127.0.0.1:7000", "dialled", NOW)
        for answer in (b"+PONG\r\n", b"+OK\r\n", b"+OK\r\n", b"+FULLRESYNC %b 0\r\n" % REPLID):
            node.received(link, answer, NOW)
        node.received(link, b"$20\r\nREDIS0011 nonsense!!", NOW)
        assert Hangup(link) in node.end_round(NOW)
        assert "Failed trying to load" in of(seen, events.LinkStateChanged)[-2].reason
        assert Send(1, kept) in ask(node, "GET key")


def test_a_wait_tells_how_it_ended_even_if_it_was_over_at_once() -> None:
    node, seen = watched()
    ask(node, "WAIT 0 100")
    for line in ("MULTI", "WAIT 1 100", "EXEC"):
        ask(node, line)
    ask(node, "WAIT 1 100")
    node.wake(NOW + SECOND)
    node.end_round(NOW + SECOND)
    told = [(event.wanted, event.reached, event.reason) for event in of(seen, events.WaitAnswered)]
    assert told == [
        (0, 0, "enough replicas have it already"),
        (1, 0, "a transaction cannot wait"),
        (1, 0, "the time is up"),
    ]
