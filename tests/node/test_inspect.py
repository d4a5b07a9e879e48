"""What no command tells, read without a trace."""

from engine.inspection import INSPECTED_MAX, inspect
from engine.protocol.errors import ReplyError
from tests.inprocess import InProcess


def read(node: InProcess, what: bytes):
    return inspect(node.node, [b"INSPECT", what])


def test_transactions() -> None:
    node = InProcess()
    node.run(1, b"WATCH", b"a")
    client = read(node, b"transactions")[0][0]
    assert read(node, b"transactions") == [[client, b"watching", 0, [], [[0, b"a"]]]]
    node.run(1, b"MULTI")
    node.run(1, b"SET", b"a", b"x" * 1000)
    assert read(node, b"transactions") == [[client, b"open", 1, [[b"SET", b"a", b"x" * 64]], [[0, b"a"]]]]
    node.run(2, b"SET", b"a", b"1")
    assert read(node, b"transactions")[0][1] == b"spoiled"
    node.run(1, b"NOSUCH")
    assert read(node, b"transactions")[0][1] == b"refused"
    node.run(1, b"EXEC")
    assert read(node, b"transactions") == []


def test_subscriptions_are_told_in_part() -> None:
    node = InProcess()
    for link in range(1, 41):
        node.run(link, b"SUBSCRIBE", b"news", b"c%d" % link)
    node.run(50, b"PSUBSCRIBE", b"n*")
    found = read(node, b"subscriptions")
    assert [each[0] for each in found] == [b"channel"] * INSPECTED_MAX + [b"pattern"]
    assert found[0][1:3] == [b"news", 40]
    assert len(found[0][3]) == INSPECTED_MAX


def test_persistence_and_unknown_views() -> None:
    node = InProcess()
    node.run(1, b"SET", b"a", b"1")
    told = read(node, b"persistence")
    assert (told[b"aof"], told[b"changes"], told[b"saves"]) == (b"off", 1, 0)
    assert type(read(node, b"nothing")) is ReplyError


def test_looking_leaves_no_trace() -> None:
    node = InProcess()
    node.run(1, b"SET", b"a", b"1")
    before = node.run(1, b"INFO", b"commandstats")
    for what in (b"transactions", b"subscriptions", b"persistence"):
        read(node, what)
    after = node.run(1, b"INFO", b"commandstats")
    assert b"inspect" not in after[0]
    assert before[0].count(b"cmdstat") == after[0].count(b"cmdstat") - 1  # INFO's own
