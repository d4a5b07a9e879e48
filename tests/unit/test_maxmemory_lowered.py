"""Keys that no longer fit go when maxmemory is set, not with the next command."""

from tests.inprocess import InProcess


def test_lowering_maxmemory_evicts() -> None:
    server = InProcess()
    server.run(1, b"CONFIG", b"SET", b"notify-keyspace-events", b"Ee", b"maxmemory-policy", b"allkeys-lru")
    server.run(2, b"PSUBSCRIBE", b"*")
    server.run(1, b"SET", b"foo", b"bar")
    assert server.run(1, b"CONFIG", b"SET", b"maxmemory", b"1") == [b"+OK"]
    assert server.node.deadline() <= server.now_us
    server.node.wake(server.now_us)
    server.settle()
    assert server.take(2) == [[b"*", b"$pmessage", b"$*", b"$__keyevent@0__:evicted", b"$foo"]]
