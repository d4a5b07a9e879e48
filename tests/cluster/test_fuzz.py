"""Messages of the bus that make no sense, a small part: `python -m tests.cluster.fuzz` sends a million."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.cluster import messages as ms
from engine.cluster import state as st
from engine.cluster.messages import BadMessageError, Extension, Framing, Gossip, Message, decode
from tests.cluster.fuzz import Attacked, attack, begins_no_message

PIECES = some.lists(some.integers(0, 4000), max_size=4)
NAMES = some.one_of(some.text("0123456789abcdef", min_size=40, max_size=40), some.text(max_size=40), some.just(""))
GOSSIP = some.builds(
    Gossip,
    *[NAMES, some.integers(0, 2**32 - 1), some.integers(0, 2**32 - 1), some.text(max_size=20)],
    *[some.integers(0, 65535)] * 4,
)
EXTENSIONS = some.builds(Extension, some.integers(0, 9), some.binary(max_size=64))
MESSAGES = some.builds(
    Message,
    kind=some.integers(0, 12),
    sender=NAMES,
    current_epoch=some.integers(0, 2**64 - 1),
    config_epoch=some.integers(0, 2**64 - 1),
    offset=some.integers(-(2**63), 2**63 - 1),
    slots=some.integers(0, 2**16384 - 1).map(st.to_bytes),
    master=NAMES,
    flags=some.integers(0, 65535),
    message_flags=some.binary(min_size=3, max_size=3),
    gossip=some.lists(GOSSIP, max_size=4),
    extensions=some.lists(EXTENSIONS, max_size=3),
    about=NAMES,
    about_epoch=some.integers(0, 2**64 - 1),
    channel=some.binary(max_size=9),
    payload=some.binary(max_size=9),
)
CHANGES = some.lists(some.tuples(some.integers(0, 5000), some.integers(0, 255)), max_size=6)


def stream_of(messages: list[Message], changes: list[tuple[int, int]]) -> bytes:
    stream = bytearray(b"".join(message.encode() for message in messages))
    for at, byte in changes:
        if at < len(stream):
            stream[at] = byte
    return bytes(stream)


@given(some.lists(MESSAGES, min_size=1, max_size=3), CHANGES, PIECES, some.booleans())
@settings(max_examples=60, deadline=None)
def test_a_node_survives_and_hangs_up_on_who_sends_no_messages(
    messages: list[Message], changes: list[tuple[int, int]], sizes: list[int], dialled: bool
) -> None:
    attacked = Attacked(1)
    node = attacked.node
    assert node.cluster is not None
    known = node.cluster.state.myself.name
    stream = stream_of(messages, changes).replace(b"\0" * 40, known.encode(), 1 if dialled else 0)
    node.opened(1000, "10.0.0.7:1", "bus", attacked.target.now, "10.0.0.9:2")
    for size in [*sizes, len(stream)]:
        if 1000 in node.links and stream:
            attacked.send(1000, stream[:size])  # it raises an error if it stays connected to who sends no messages
        stream = stream[size:]
    attacked.target.now += 3_000_000
    attacked.settle()
    attacked.check()


@given(MESSAGES, CHANGES)
@settings(max_examples=100, deadline=None)
def test_what_is_decoded_is_encoded_and_decoded_again(message: Message, changes: list[tuple[int, int]]) -> None:
    data = stream_of([message], changes)
    messages: list[Message] = []
    with contextlib.suppress(BadMessageError):
        messages += map(decode, Framing().feed(data))
    for each in messages:
        if each.version == ms.VERSION and each.kind < len(ms.NAMES):
            assert decode(each.encode()).encode() == each.encode()


@given(some.binary(max_size=64), PIECES)
@settings(max_examples=50, deadline=None)
def test_bytes_that_are_no_message_end_the_connection(data: bytes, sizes: list[int]) -> None:
    attacked = Attacked(1)
    attacked.node.opened(1000, "10.0.0.7:1", "bus", attacked.target.now, "10.0.0.9:2")
    if data:
        attacked.send(1000, data)
    assert (1000 in attacked.node.links) is not begins_no_message(data)[0]


@pytest.mark.long
def test_thousands_of_messages() -> None:
    counts = attack(7, 3000)
    assert counts.rejected and counts.disconnected and counts.damaged
