"""The bytes of the bus: those of real nodes, understood and written again; and those that make no sense."""

from pathlib import Path
from random import Random

import pytest

from engine.cluster import messages as ms
from engine.cluster import state as st
from engine.cluster.messages import BadMessageError, Extension, Framing, Gossip, Message, decode

CAPTURED = Path(__file__).parent / "captured"
KINDS = [kind for kind in range(len(ms.NAMES)) if kind != ms.MODULE]
ALL = (1 << 16384) - 1


def captured(kind: int) -> bytes:
    return (CAPTURED / f"{ms.type_name(kind)}.bin").read_bytes()


@pytest.mark.parametrize("kind", KINDS, ids=ms.type_name)
def test_a_real_message_is_written_as_it_was_read(kind: int) -> None:
    data = captured(kind)
    message = decode(data)
    assert message.kind == kind
    assert message.encode() == data


@pytest.mark.parametrize("kind", KINDS, ids=ms.type_name)
def test_the_header_of_a_real_message_tells_of_its_sender(kind: int) -> None:
    message = decode(captured(kind))
    assert st.is_name(message.sender)
    assert message.port and message.bus_port and not message.other_port
    assert message.flags & (st.MASTER | st.REPLICA) and message.flags & st.MYSELF
    assert bool(message.flags & st.REPLICA) == bool(message.master)
    assert message.current_epoch >= message.config_epoch


def test_a_real_ping_tells_of_other_nodes() -> None:
    message = decode(captured(ms.PING))
    assert message.gossip
    for seen in message.gossip:
        assert st.is_name(seen.name) and seen.name != message.sender
        assert seen.ip == "127.0.0.1" and seen.port and seen.bus_port
        assert seen.pong_received_s > 1_700_000_000
        assert seen.flags & (st.MASTER | st.REPLICA)


def test_a_real_ping_has_names_and_the_shard_in_its_extensions() -> None:
    message = decode(captured(ms.PING))
    told = {extension.kind: extension for extension in message.extensions}
    number = told[ms.HUMAN_NODENAME].text.removeprefix("node-")
    assert told[ms.HOSTNAME].text == f"host-{number}.example.com"
    assert st.is_name(told[ms.SHARD_ID].name)


def test_real_messages_of_the_other_types() -> None:
    failed = decode(captured(ms.FAIL))
    assert st.is_name(failed.about) and failed.about != failed.sender
    published = decode(captured(ms.PUBLISH))
    assert (published.channel, published.payload) == (b"channel", b"a message")
    sharded = decode(captured(ms.PUBLISHSHARD))
    assert (sharded.channel, sharded.payload) == (b"x", b"to the shard")
    update = decode(captured(ms.UPDATE))
    assert st.is_name(update.about) and update.about_epoch
    assert st.from_bytes(update.about_slots)
    assert not decode(captured(ms.AUTH_REQUEST)).message_flags[0] & ms.FORCE_ACK


def test_what_is_written_is_read_as_it_was() -> None:
    rng = Random(1)
    for _ in range(300):
        kind = rng.randrange(len(ms.NAMES))
        message = Message(kind, "a" * 40, 7000, 7001, 17000, rng.getrandbits(64), rng.getrandbits(64))
        message.offset = rng.getrandbits(62)
        message.slots = st.to_bytes(rng.getrandbits(16384))
        message.ip, message.flags, message.state = "10.0.0.1", rng.getrandbits(10), rng.randrange(2)
        if kind in (ms.PING, ms.PONG, ms.MEET):
            message.gossip = [
                Gossip(f"{number:040x}", number, number + 1, "::1", 1, 2, 3, 4) for number in range(rng.randrange(9))
            ]
            message.extensions = [Extension(rng.randrange(9), bytes(8 * rng.randrange(1, 9)))]
            message.message_flags = bytes((ms.HAS_EXTENSIONS, 0, 0))
        elif kind in (ms.FAIL, ms.UPDATE):
            message.about = "b" * 40
        elif kind in (ms.PUBLISH, ms.PUBLISHSHARD):
            message.channel, message.payload = rng.randbytes(rng.randrange(99)), rng.randbytes(rng.randrange(99))
        elif kind == ms.MODULE:
            message.module, message.module_kind, message.payload = 1, 2, rng.randbytes(rng.randrange(99))
        data = message.encode()
        assert decode(data) == message
        assert ms.length_of(data[:8]) == len(data)


def altered(data: bytes, **fields: int) -> bytes:
    """Return a message with other numbers in its header; its length as it is."""
    places = {"count": (14, 2), "extensions": (2214, 2), "length": (4, 4), "channel": (2256, 4)}
    changed = bytearray(data)
    for name, value in fields.items():
        at, size = places[name]
        changed[at : at + size] = value.to_bytes(size, "big")
    return bytes(changed)


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        (ms.PING, {"count": 60000}, "Received invalid ping packet of length"),
        (ms.PONG, {"extensions": 60000}, "Received invalid pong packet with extension data that exceeds"),
        (ms.PING, {"extensions": 0}, "Received invalid ping packet of length"),
        (ms.PUBLISH, {"channel": 0xFFFFFFFF}, "Received invalid publish packet of length 2280 but expected length"),
    ],
)
def test_a_message_that_contradicts_itself(kind: int, fields: dict[str, int], reason: str) -> None:
    with pytest.raises(BadMessageError, match=reason):
        decode(altered(captured(kind), **fields))


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind not in (ms.PING, ms.PONG, ms.MEET)], ids=ms.type_name
)
def test_a_message_that_is_too_long(kind: int) -> None:
    data = captured(kind) + b"more"
    with pytest.raises(BadMessageError, match=f"Received invalid {ms.type_name(kind)} packet of length {len(data)}"):
        decode(altered(data, length=len(data)))


def test_an_extension_without_padding() -> None:
    message = Message(ms.PING, extensions=[Extension(ms.HOSTNAME, b"host")])
    data = bytearray(message.encode())
    data[ms.HEADER_BYTES : ms.HEADER_BYTES + 4] = (13).to_bytes(4, "big")
    with pytest.raises(BadMessageError, match=r"Received a ping packet without proper padding \(13 bytes\)"):
        decode(bytes(data))


def test_addresses_and_names_that_could_not_stand_in_a_file() -> None:
    message = Message(ms.PING, ip="10.0.0.1 master")
    message.gossip = [Gossip("c" * 40, 0, 0, "a\nb", 1, 2, 0, 0)]
    read = decode(message.encode())
    assert read.ip == "" and read.gossip[0].ip == ""


def test_messages_are_cut_out_of_the_stream_wherever_it_is_cut() -> None:
    stream = b"".join(captured(kind) for kind in KINDS)
    rng = Random(2)
    for _ in range(20):
        framing = Framing()
        found, at = [], 0
        while at < len(stream):
            size = rng.choice((1, 7, 500, 5000))
            found += list(framing.feed(stream[at : at + size]))
            at += size
        assert found == [captured(kind) for kind in KINDS]
        assert not len(framing)


@pytest.mark.parametrize("start", [b"RCmc\0\0\x10\0", b"*1\r\n$4\r\n", b"RCmb\0\0\x08\xcf"])
def test_what_begins_no_message(start: bytes) -> None:
    messages = Framing().feed(captured(ms.AUTH_ACK) + start)
    assert next(messages) == captured(ms.AUTH_ACK)
    with pytest.raises(BadMessageError, match="Bad message length or signature"):
        next(messages)


def test_sets_of_slots() -> None:
    assert st.to_bytes(1)[0] == 1 and st.to_bytes(1 << 16383)[-1] == 0x80
    assert st.from_bytes(st.to_bytes(ALL)) == ALL
    assert list(st.ranges(0)) == []
    assert list(st.ranges(ALL)) == [(0, 16383)]
    assert list(st.ranges(0b1011_0001)) == [(0, 0), (4, 5), (7, 7)]
    assert list(st.members(0b1011_0001)) == [0, 4, 5, 7]
