"""Damaged payloads that RESTORE takes: whatever is done with such a stream, the server answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import Config
from engine.effects import Send
from engine.node import Node
from engine.persistence.rdb.compression import crc64
from engine.protocol.resp import encode_command
from tests.differential.pair import StillWorld

NOW = 1_700_000_000_000_000  # µs

COMMANDS = """
    XINFO STREAM s FULL COUNT 0
    XRANGE s - +
    XREVRANGE s + - COUNT 3
    XREAD STREAMS s 0
    XREADGROUP GROUP g c STREAMS s >
    XREADGROUP GROUP g c STREAMS s 0
    XPENDING s g - + 10
    XDEL s 1-0 3-2 7-6
    XAUTOCLAIM s g e 0 0
    XCLAIM s g f 0 4-3 5-4 FORCE
    XACK s g 1-0 2-1
    XADD s * a b
    XADD s MINID 3 * f v
    COPY s t REPLACE
    DUMP s
    DEBUG DIGEST-VALUE s
    XTRIM s MAXLEN ~ 4
    XTRIM s MAXLEN 3
    XGROUP DELCONSUMER s g c
    XGROUP DESTROY s g
    XTRIM s MAXLEN 0
    DEL s
""".strip().splitlines()


def make_node(sanitize: str) -> Node:
    config = Config()
    config.sanitize_dump_payload = sanitize
    config.enable_debug_command = "yes"
    config.rdbcompression = False
    config.stream_node_max_entries = 3
    node = Node(config, 1, NOW)
    node.attach(StillWorld())
    node.opened(1, "127.0.0.1:1", "tcp", NOW)
    return node


def send(node: Node, *argv: bytes) -> bytes:
    node.received(1, encode_command(list(argv)), NOW)
    return b"".join(effect.data for effect in node.end_round(NOW) if isinstance(effect, Send))


def payload() -> bytes:
    node = make_node("no")
    for i in range(8):
        send(node, b"XADD", b"s", b"%d-%d" % (i + 1, i), b"f", b"v" * (i % 3), *([b"g", b"7"] if i % 3 == 0 else []))
    for line in ("XDEL s 2-1", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c COUNT 4 STREAMS s >"):
        send(node, *line.encode().split())
    dumped = send(node, b"DUMP", b"s")
    return dumped.partition(b"\r\n")[2][:-10]  # without line end and checksum


PAYLOAD = payload()


@pytest.mark.parametrize("sanitize", ["no", "yes"])
@settings(max_examples=60, deadline=None)
@given(
    damage=st.lists(st.tuples(st.integers(0, len(PAYLOAD) - 3), st.integers(0, 255)), max_size=3),
    order=st.permutations(COMMANDS),
)
def test_what_restore_takes_can_be_used(sanitize, damage, order):
    data = bytearray(PAYLOAD)
    for at, byte in damage:
        data[at] = byte
    data += crc64(bytes(data)).to_bytes(8, "little")
    node = make_node(sanitize)
    if send(node, b"RESTORE", b"s", b"0", bytes(data)) != b"+OK\r\n":
        return
    for command in order:
        assert b"internal error" not in send(node, *command.encode().split()), command
