"""The size of a client's reply buffer as a real server resizes it; and evicting while clients are told of it."""

import re

from tests.inprocess import InProcess

MS = 1000


def buffer(node: InProcess, link: int) -> tuple[int, int]:
    """Return its size and the most of it that was used of late."""
    line = node.run(99, b"CLIENT", b"LIST", b"ID", node_id(node, link))[0]
    found = re.search(rb" rbs=(\d+) rbp=(\d+) ", line)
    assert found
    return int(found[1]), int(found[2])


def node_id(node: InProcess, link: int) -> bytes:
    return b"%d" % node.node.links[link].id


def ticks(node: InProcess, count: int, each_ms: int = 100) -> None:
    for _ in range(count):
        node.now_us += each_ms * MS
        node.node.wake(node.now_us)
        node.settle()


def test_a_buffer_shrinks_while_it_is_idle_and_grows_while_it_is_full() -> None:
    node = InProcess()
    node.run(1, b"PING")
    assert buffer(node, 1) == (16384, 16384)
    node.run(99, b"DEBUG", b"REPLYBUFFER", b"PEAK-RESET-TIME", b"100")
    ticks(node, 3)
    assert buffer(node, 1) == (1024, 0)
    node.run(99, b"DEBUG", b"REPLYBUFFER", b"PEAK-RESET-TIME", b"never")
    node.run(1, b"SET", b"big", b"x" * 30_000)
    sizes = []
    for _ in range(6):
        node.run(1, b"GET", b"big")
        ticks(node, 1)
        sizes.append(buffer(node, 1)[0])
    assert sizes == [2048, 4096, 8192, 16384, 16384, 16384]
    stats = node.run(99, b"INFO", b"stats")[0]
    assert b"reply_buffer_expands:4" in stats and b"reply_buffer_shrinks:" in stats


def test_a_buffer_keeps_what_was_used_of_late() -> None:
    node = InProcess()
    node.run(99, b"DEBUG", b"REPLYBUFFER", b"PEAK-RESET-TIME", b"100")
    node.run(1, b"SET", b"a", b"x" * 3000)
    ticks(node, 1)
    node.run(99, b"DEBUG", b"REPLYBUFFER", b"PEAK-RESET-TIME", b"never")
    node.run(1, b"GET", b"a")
    ticks(node, 1)
    assert buffer(node, 1) == (3010, 3009)


def test_nothing_is_resized_where_that_is_forbidden() -> None:
    node = InProcess()
    node.run(99, b"DEBUG", b"REPLYBUFFER", b"RESIZING", b"0")
    node.run(1, b"PING")
    ticks(node, 80)
    assert buffer(node, 1)[0] == 16384
    assert node.run(1, b"DEBUG", b"REPLYBUFFER", b"NOSUCH", b"0")[0].startswith(b"-ERR unknown subcommand")


def test_telling_of_evicted_keys_evicts_no_more() -> None:
    node = InProcess(maxmemory_policy="allkeys-lru")
    readers = range(1, 11)
    for link in readers:
        node.run(link, b"HELLO", b"3")
        node.run(link, b"CLIENT", b"TRACKING", b"ON")
    for n in range(300):
        key = b"%d" % n + b"x" * 1000
        node.run(99, b"SET", key, b"x")
        for link in readers:
            node.run(link, b"GET", key)
    node.run(99, b"CONFIG", b"SET", b"maxmemory", b"%d" % (node.node.memory.used() - 40_000))
    ticks(node, 1)
    left = int(node.run(99, b"DBSIZE")[0][1:])
    assert 250 <= left < 290
    assert len(node.take(1)) == 300 - left


def test_a_client_is_evicted_for_what_it_asks_however_quickly_that_came() -> None:
    node = InProcess(maxmemory_clients=3_000_000)
    node.run(1, b"MSET", b"k", b"v", b"k2", b"v" * 1_000_000)
    assert node.run(1, b"GET", b"k") == [b"$v"]
    assert node.run(1, b"MSET", b"k", b"new", b"k2", b"v" * 3_000_000) == [b"-HUNGUP"]
    assert node.run(2, b"GET", b"k") == [b"$v"]


def test_the_log_names_each_client_that_is_evicted() -> None:
    node = InProcess(maxmemory_clients=3_000_000)
    node.run(1, b"CLIENT", b"SETNAME", b"large")
    node.run(2, b"PING")
    node.run(1, b"MSET", b"k", b"v", b"k2", b"v" * 3_000_000)
    node.run(2, b"PING")
    said = [line for line in node.logged if line.startswith("Evicting client: ")]
    assert len(said) == 1 and " name=large " in said[0]


def test_the_log_says_when_no_client_is_left_to_evict() -> None:
    node = InProcess(maxmemory_clients=3_000_000)
    node.run(1, b"CLIENT", b"NO-EVICT", b"ON")
    node.run(2, b"PING")
    node.send(1, b"*1\r\n$3000001\r\n" + b"v" * 3_000_000)
    assert node.run(2, b"PING") == [b"-HUNGUP"]
    assert node.logged[-1] == "Over client maxmemory after evicting all evictable clients"


def test_clients_are_kept_that_take_just_the_limit() -> None:
    node = InProcess()
    node.run(1, b"CLIENT", b"NO-EVICT", b"ON")
    node.run(2, b"PING")
    total = sum(client.memory().total for client in node.node.clients.values())
    node.node.config.maxmemory_clients = total
    assert node.run(2, b"PING") == [b"+PONG"]
    node.node.config.maxmemory_clients = total - 1
    assert node.run(2, b"PING")[-1] == b"-HUNGUP"
