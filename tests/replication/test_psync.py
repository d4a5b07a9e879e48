"""PSYNC's decision: ten thousand random requests, on nodes in random states.

Each is decided three times: by what the node does, by the explanation that was asked for before, and by the condition
of Redis's replication.c, written down here a second time.
"""

from engine.observe import events
from engine.protocol.resp import encode_command
from engine.replication.psync import FUNCTION, RULES, decide
from engine.values.rng import Rng
from tests.replication.test_events import NOW, ask, of, watched

STATES, REQUESTS = 100, 100


def granted_by_redis(node, replid: str, offset: int) -> bool:
    """masterTryPartialResynchronization, as one expression."""
    mine = node.replication
    own, second = mine.replid.decode().lower(), mine.replid2.decode().lower()
    if replid.lower() != own and (replid.lower() != second or offset > mine.second_replid_offset):
        return False
    backlog = mine.backlog
    return not (
        backlog is None
        or offset < backlog.first_offset
        or offset > backlog.first_offset + sum(map(len, backlog.pieces))
    )


def randomized(rng: Rng):
    """Return a node with a history: writes, promotions, backlogs that overflow, are freed, or never existed."""
    node, seen = watched()
    ask(node, "CONFIG SET repl-backlog-size 16384")
    for _ in range(1 + rng.below(6)):
        kind = rng.below(6)
        if kind < 3:
            if rng.below(5):
                node.replication.need_backlog()
            for _ in range(rng.below(30)):
                ask(node, f"SET key {'x' * rng.below(3000)}")
        elif kind == 3:
            ask(node, "REPLICAOF 127.0.0.1 7000")
            ask(node, "REPLICAOF NO ONE")
        elif kind == 4:
            ask(node, "DEBUG CHANGE-REPL-ID")
        elif node.replication.backlog is not None:
            node.replication.free_backlog()
    return node, seen


def request(rng: Rng, node) -> tuple[str, int]:
    """Return an ID and an offset, often at the edge of a rule."""
    mine = node.replication
    own, second = mine.replid.decode(), mine.replid2.decode()
    ids = (
        own,
        own,
        own.upper(),
        second,
        second,
        second.upper(),
        "f" * 40,
        "?",
        "?" + own,
        own[:39],
        own + "a",
        "0" * 40,
    )
    edges = [1, 0, -1, mine.offset, mine.second_replid_offset]
    if mine.backlog is not None:
        edges += [mine.backlog.first_offset, mine.backlog.end, mine.backlog.first_offset + mine.backlog.length // 2]
    near = edges[rng.below(len(edges))] + rng.below(3) - 1
    return ids[rng.below(len(ids))], near if rng.below(8) else rng.below(1 << 20)


def psync(node, link: int, replid: str, offset: int) -> None:
    node.opened(link, f"127.0.0.1:{link}", "tcp", NOW)
    node.received(link, encode_command(b"REPLCONF listening-port 7001 capa eof capa psync2".split()), NOW)
    node.end_round(NOW)
    node.received(link, encode_command([b"PSYNC", replid.encode(), b"%d" % offset]), NOW)
    node.end_round(NOW)
    node.closed(link, NOW)
    node.end_round(NOW)


def test_the_explanation_is_the_decision() -> None:
    rng, link = Rng(7), 100
    rules = dict.fromkeys(RULES, 0)
    partial = 0
    for _ in range(STATES):
        node, seen = randomized(rng)
        for _ in range(REQUESTS):
            replid, offset = request(rng, node)
            explained = decide(node.replication, replid.encode(), offset, "B", "A")
            expected = granted_by_redis(node, replid, offset)
            before = node.stats.sync_partial_ok, node.stats.sync_full
            seen.clear()
            link += 1
            psync(node, link, replid, offset)
            done = node.stats.sync_partial_ok - before[0], node.stats.sync_full - before[1]
            assert done == ((1, 0) if expected else (0, 1))
            assert explained.granted == expected
            (told,) = of(seen, events.PsyncDecided)
            assert told.granted == expected
            assert [condition.holds for condition in told.conditions] == [each.holds for each in explained.conditions]
            last = explained.conditions[-1]
            assert last.holds == expected
            for condition in explained.conditions:
                _, where = condition.rule.split(" · ")
                assert where == FUNCTION
                assert " not " not in condition.text and not condition.text.startswith("not ")
            looked = [condition.rule.split(" · ")[0] for condition in explained.conditions]
            assert looked == [rule for rule in RULES if rule in looked]
            assert explained.unused == RULES[RULES.index(looked[-1]) + 1 :]
            rules[looked[-1]] += 1
            partial += expected
    assert all(rules.values()) and partial > STATES * REQUESTS // 20, rules  # every rule has decided, both ways


def test_what_is_not_so_is_said_positively_with_names_and_values() -> None:
    node, _ = watched()
    node.replication.need_backlog()
    ask(node, "SET k v")
    replid = node.replication.replid
    end = node.replication.backlog.end

    def text(asked: bytes, offset: int) -> str:
        return decide(node.replication, asked, offset, "B", "A").conditions[-1].text

    assert text(replid, end + 32) == f"offset {end + 32} is past the end of the backlog, {end}"
    assert text(replid, 0) == "offset 0 is before the first byte of the backlog, 1"
    assert text(b"f" * 40, 1) == "A has no second ID"
    ask(node, "REPLICAOF 127.0.0.1 7000")
    ask(node, "REPLICAOF NO ONE")
    assert text(replid, end + 1) == f"offset {end + 1} is past {end}, where A left that history"
    assert text(b"f" * 40, 1) == f"the second ID of A is {replid.decode()}"
