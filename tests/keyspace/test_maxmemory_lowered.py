"""Keys that no longer fit go when maxmemory is set, not with the next command."""

import pytest

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
    limit = server.node.memory.used() - 40_000
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
    before = server.node.memory.used()
    server.node.config.maxmemory = 1 << 40
    server.node.conditions.update()
    client = server.node.links[1]
    client.reply(b"x" * 1000)
    assert server.node.memory.used() == before + 1009
    server.settle()
    assert server.node.memory.used() == before


@pytest.mark.parametrize("policy", [b"volatile-random", b"volatile-lru", b"volatile-lfu", b"volatile-ttl"])
def test_a_key_whose_time_to_live_was_often_renewed_is_found_to_be_evicted(policy: bytes) -> None:
    server = InProcess()
    server.run(1, b"CONFIG", b"SET", b"maxmemory-policy", policy)
    for seconds in range(2, 900):  # every time that it had is remembered for a while
        server.run(1, b"SET", b"k", b"x", b"EX", b"%d" % seconds)
    server.run(1, b"CONFIG", b"SET", b"maxmemory", b"%d" % (server.node.memory.used() - 1))
    assert server.run(1, b"SET", b"other", b"x") == [b"+OK"]
    assert server.run(1, b"KEYS", b"*") == [[b"*", b"$other"]]


def test_renewing_one_time_to_live_costs_the_same_among_many_keys() -> None:
    server = InProcess()
    db = server.node.space.databases[0]
    server.run(1, b"MSET", *[b"%d" % (i // 2) for i in range(4000)])
    for when in range(3000):
        db.set_expire(b"0", server.now_us // 1000 + 1_000_000 + when)
        assert len(db.due) <= 2 * len(db.expires) + 1024
    db.forget_past_times()
    assert db.due == [(server.now_us // 1000 + 1_000_000 + 2999, b"0")]


def test_tls_connections_beyond_maxclients_are_closed_without_a_word() -> None:
    server = InProcess(maxclients=0)
    for link, kind in ((1, "tcp"), (2, "tls")):
        server.inbox[link] = b""
        server.node.opened(link, f"127.0.0.1:{link}", kind, server.now_us)
    server.settle()
    assert server.take(1) == [b"-ERR max number of clients reached", b"-HUNGUP"]
    assert server.take(2) == [b"-HUNGUP"]
