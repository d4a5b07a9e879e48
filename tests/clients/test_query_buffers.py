"""What a client counts for its requests: equal clients count the same, however their bytes arrived."""

import re

import pytest

from engine.protocol.resp import encode_command
from tests.inprocess import InProcess

SECOND_US = 1_000_000
SET, LARGE, LARGER = (encode_command([b"SET", b"k", b"x" * size]) for size in (10, 40_000, 300_000))


def sizes(node: InProcess, link: int) -> dict[bytes, int]:
    """Return what CLIENT LIST shows of a client's memory."""
    line = node.run(99, b"CLIENT", b"LIST", b"ID", b"%d" % node.node.links[link].id)[0]
    return {name: int(size) for name, size in re.findall(rb"(qbuf|qbuf-free|\w+-mem)=(\d+)", line)}


def ticks(node: InProcess, count: int) -> None:
    """Let tenths of a second pass."""
    for _ in range(count):
        node.now_us += SECOND_US // 10
        node.node.wake(node.now_us)
        node.settle()


@pytest.mark.parametrize(
    "data",
    [
        SET * 3000,
        LARGE,
        LARGE + SET,
        LARGER + LARGE,
        SET + LARGER[:-1],
        LARGER[:1000],
        LARGER + LARGE[:50],
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\n" + b"x" * 19_000,
        b"*2\r\n$131072\r\n" + b"v" * 131_072,
        encode_command([b"MULTI"]) + SET * 3 + LARGE,
        encode_command([b"MSET"] + [b"x" * 40_000, b"y"] * 5),
        encode_command([b"BLPOP", b"q", b"0"]) + SET * 2000 + LARGER[:1000],
        encode_command([b"DEL"] + [b"k"] * 100_000)[:-3],
        b"SET k " + b"x" * 50_000,
    ],
)
def test_equal_clients_count_the_same_however_their_bytes_arrived(data: bytes) -> None:
    node = InProcess()
    links = {1: len(data), 2: 65_536, 3: 16_384, 4: 16_383, 5: 1000, 6: len(data) - 1}
    for link, size in links.items():
        for at in range(0, len(data), size):
            node.send(link, data[at : at + size])
    for tenths in (0, 10, 40):  # nobody is idle, all are not yet, all have been
        ticks(node, tenths)
        counted = [sizes(node, link) for link in links]
        assert counted == counted[:1] * len(links)


def test_room_for_requests_is_what_a_real_server_reserves() -> None:
    node = InProcess()
    node.send(1, SET)
    assert sizes(node, 1)[b"qbuf-free"] == 20_474
    node.send(1, LARGE[:-2])
    assert (sizes(node, 1)[b"qbuf"], sizes(node, 1)[b"qbuf-free"]) == (40_000, 40_954 - 40_000)
    node.send(1, LARGE[-2:])
    assert sizes(node, 1)[b"qbuf-free"] == 40_954
    ticks(node, 1)
    node.send(1, SET)
    assert sizes(node, 1)[b"qbuf-free"] == 40_954, "needed since the last look"
    ticks(node, 1)
    node.send(1, SET)
    assert sizes(node, 1)[b"qbuf-free"] == 20_474
    ticks(node, 40)
    assert sizes(node, 1)[b"qbuf-free"] == 0


def test_requests_that_wait_are_counted() -> None:
    node = InProcess()
    node.run(1, b"BLPOP", b"q", b"0")
    node.send(1, SET * 3)
    assert sizes(node, 1)[b"qbuf"] == 3 * len(SET)
    node.run(2, b"RPUSH", b"q", b"x")
    assert sizes(node, 1)[b"qbuf"] == 0
