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


def test_what_clients_are_told_of_evicted_keys_evicts_no_more() -> None:
    server = InProcess()
    server.run(1, b"CONFIG", b"SET", b"maxmemory-policy", b"allkeys-lru")
    names = [b"%d" % number + b"x" * 1000 for number in range(300)]
    for name in names:
        server.run(1, b"SET", name, b"x")
    for client in range(2, 12):
        server.run(client, b"HELLO", b"3")
        server.run(client, b"CLIENT", b"TRACKING", b"ON")
        for name in names:
            server.run(client, b"GET", name)
    limit = server.node.used_memory() - 40_000
    server.run(1, b"CONFIG", b"SET", b"maxmemory", b"%d" % limit)
    for _ in range(5):
        server.node.wake(server.now_us)
        server.settle()
        server.run(1, b"PING")
    (left,) = server.run(1, b"DBSIZE")
    assert left in {b":%d" % number for number in range(200, 300)}


def test_what_waits_for_clients_is_counted_until_it_has_left() -> None:
    server = InProcess()
    server.run(1, b"SET", b"big", b"x" * 100_000)
    before = server.node.used_memory()
    server.node.config.maxmemory = 1 << 40
    server.node.update_gated()
    client = server.node.clients[1]
    client.reply(b"x" * 1000)
    assert server.node.used_memory() == before + 1009
    server.settle()
    assert server.node.used_memory() == before
