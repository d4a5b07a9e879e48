"""The messages of the cluster bus.

Every message has the same header of 2256 bytes: who sends it, which slots the sender serves, its epochs and offset.
What follows depends on the type:

    PING PONG MEET   what the sender knows of some other nodes, 104 bytes each, and extensions
    FAIL             the name of a node that the majority of masters cannot reach
    PUBLISH          a channel and a message, also PUBLISHSHARD
    UPDATE           the slots of another node, whose epoch is greater than what the receiver claimed
    MODULE           a message between modules
    AUTH_REQUEST, AUTH_ACK, MFSTART: nothing

    0         4         8   10    12    14     16            24           32      40      80       2128    2168
    | "RCmb" | length  | 1 | port | type | count | current epoch | config epoch | offset | sender | slots | master |
    | ip     | number of extensions | 30 unused | other port | bus port | flags | state | message flags | …
    2168     2214                   2216        2246         2248       2250    2252    2253            2256

Numbers are big-endian; bit n of the slots is bit n % 8 of byte n / 8. Names and addresses are padded with NULs. What
a peer sends is not trusted: `decode` raises `BadMessageError` for everything that does not fit its own length.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#cluster-bus
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

PING = 0
PONG = 1
MEET = 2
FAIL = 3
PUBLISH = 4
AUTH_REQUEST = 5
AUTH_ACK = 6
UPDATE = 7
MFSTART = 8
MODULE = 9
PUBLISHSHARD = 10
NAMES = (
    "ping",
    "pong",
    "meet",
    "fail",
    "publish",
    "auth-req",
    "auth-ack",
    "update",
    "mfstart",
    "module",
    "publishshard",
)

VERSION = 1
SIGNATURE = b"RCmb"
SLOTS_BYTES = 16384 // 8
NO_SLOTS = bytes(SLOTS_BYTES)
NAME_BYTES = 40

# Message flags, in the first of their three bytes.
PAUSED = 1 << 0  # the master has paused its clients for a manual failover
FORCE_ACK = 1 << 1  # vote even though the master is up
HAS_EXTENSIONS = 1 << 2

# Types of extensions.
HOSTNAME = 0
HUMAN_NODENAME = 1
FORGOTTEN_NODE = 2
SHARD_ID = 3

_HEADER = struct.Struct(">4sIHHHHQQQ40s2048s40s46sH30xHHHB3s")
HEADER_BYTES = _HEADER.size
_GOSSIP = struct.Struct(">40sII46sHHHHH")
GOSSIP_BYTES = _GOSSIP.size
_EXTENSION = struct.Struct(">IHH")
_LENGTHS = struct.Struct(">II")
_UPDATE = struct.Struct(">Q40s2048s")
_MODULE = struct.Struct(">QIB")
_START = struct.Struct(">4sI")
_FORGOTTEN = struct.Struct(">40sQ")
_ADDRESS = re.compile(r"[!#-+\--~]*")  # printable, without `"` and `,`


class BadMessageError(Exception):
    """A message that contradicts itself; the text is for the log."""


def type_name(kind: int) -> str:
    """Return the name of a type of message."""
    return NAMES[kind] if kind < len(NAMES) else "unknown"


def _text(field_bytes: bytes) -> str:
    return field_bytes.partition(b"\0")[0].decode("latin-1")


def _address(field_bytes: bytes) -> str:
    """Return an address, or "" for what could be none: it stands between blanks in nodes.conf."""
    text = _text(field_bytes)
    return text if _ADDRESS.fullmatch(text) else ""


def _name(field_bytes: bytes) -> str:
    return "" if field_bytes[:1] == b"\0" else field_bytes.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace")


class Gossip(NamedTuple):
    """What the sender of a PING, PONG or MEET knows of another node."""

    name: str
    ping_sent_s: int  # since 1970; 0: no ping is under way
    pong_received_s: int
    ip: str
    port: int  # for clients, of the kind that the bus uses (TCP or TLS)
    bus_port: int
    flags: int
    other_port: int  # for clients, of the other kind


class Extension(NamedTuple):
    """An addition to a PING, PONG or MEET; `data` is padded to a multiple of eight bytes."""

    kind: int
    data: bytes

    @property
    def text(self) -> str:
        """The text up to the first NUL (HOSTNAME, HUMAN_NODENAME)."""
        return self.data.partition(b"\0")[0].decode("utf-8", "surrogateescape")

    @property
    def name(self) -> str:
        """The name it begins with (FORGOTTEN_NODE, SHARD_ID)."""
        return _name(self.data[:NAME_BYTES].ljust(NAME_BYTES, b"\0"))

    @property
    def ttl_s(self) -> int:
        """For how long the node is to stay forgotten (FORGOTTEN_NODE)."""
        return int.from_bytes(self.data[NAME_BYTES : NAME_BYTES + 8], "big")


def text_extension(kind: int, text: str) -> Extension:
    """Return an extension with a text (HOSTNAME, HUMAN_NODENAME)."""
    return Extension(kind, text.encode("utf-8", "surrogateescape") + b"\0")


def forgotten_extension(name: str, ttl_s: int) -> Extension:
    """Return an extension that names a forgotten node."""
    return Extension(FORGOTTEN_NODE, _FORGOTTEN.pack(_bytes(name), ttl_s))


@dataclass(slots=True)
class Message:
    """A message: its header, and what its type adds. What a type does not have stays empty."""

    kind: int
    sender: str = ""
    port: int = 0  # for clients, of the kind that the bus uses
    other_port: int = 0
    bus_port: int = 0
    current_epoch: int = 0
    config_epoch: int = 0  # of the sender, or of its master
    offset: int = 0
    slots: bytes = NO_SLOTS  # of the sender, or of its master
    master: str = ""  # "" for a master
    ip: str = ""  # "": the one that the message comes from
    flags: int = 0
    state: int = 0  # 0: the sender takes the cluster to be up
    message_flags: bytes = bytes(3)
    version: int = VERSION
    gossip: list[Gossip] = field(default_factory=list)
    extensions: list[Extension] = field(default_factory=list)
    about: str = ""  # FAIL, UPDATE: the node that it is about
    channel: bytes = b""  # PUBLISH, PUBLISHSHARD
    payload: bytes = b""  # PUBLISH, PUBLISHSHARD, MODULE
    about_epoch: int = 0  # UPDATE
    about_slots: bytes = NO_SLOTS  # UPDATE
    module: int = 0  # MODULE: the module's ID and its own type of message
    module_kind: int = 0

    def encode(self) -> bytes:
        """Return the message's bytes."""
        kind = self.kind
        count = number = 0
        message_flags = self.message_flags
        if kind in (PING, PONG, MEET):
            count, number = len(self.gossip), len(self.extensions)
            parts = [
                _GOSSIP.pack(
                    _bytes(seen.name),
                    seen.ping_sent_s & 0xFFFFFFFF,
                    seen.pong_received_s & 0xFFFFFFFF,
                    _bytes(seen.ip)[:45],
                    seen.port,
                    seen.bus_port,
                    seen.flags,
                    seen.other_port,
                    0,
                )
                for seen in self.gossip
            ]
            for extension in self.extensions:
                size = len(extension.data) + -len(extension.data) % 8
                parts.append(_EXTENSION.pack(_EXTENSION.size + size, extension.kind, 0))
                parts.append(extension.data.ljust(size, b"\0"))
            if number:
                message_flags = bytes((message_flags[0] | HAS_EXTENSIONS,)) + message_flags[1:]
            body = b"".join(parts)
        elif kind == FAIL:
            body = _bytes(self.about).ljust(NAME_BYTES, b"\0")
        elif kind in (PUBLISH, PUBLISHSHARD):
            body = _LENGTHS.pack(len(self.channel), len(self.payload)) + self.channel + self.payload
        elif kind == UPDATE:
            body = _UPDATE.pack(self.about_epoch, _bytes(self.about), self.about_slots)
        elif kind == MODULE:
            body = _MODULE.pack(self.module, len(self.payload), self.module_kind) + self.payload
        else:
            body = b""
        header = _HEADER.pack(
            SIGNATURE,
            HEADER_BYTES + len(body),
            self.version,
            self.port,
            kind,
            count,
            self.current_epoch,
            self.config_epoch,
            self.offset & 0xFFFFFFFFFFFFFFFF,
            _bytes(self.sender),
            self.slots,
            _bytes(self.master),
            _bytes(self.ip)[:45],
            number,
            self.other_port,
            self.bus_port,
            self.flags,
            self.state,
            message_flags,
        )
        return header + body


def length_of(start: bytes | bytearray) -> int | None:
    """Return the length of the message that begins with these (at least eight) bytes; None if it is none."""
    signature, length = _START.unpack_from(start)
    return length if signature == SIGNATURE and length >= HEADER_BYTES else None


def decode(data: bytes) -> Message:
    """Return the message that these bytes are, all of them. Raises BadMessageError.

    A message of another version, or of an unknown type, has only its header.
    """
    (
        _,
        length,
        version,
        port,
        kind,
        count,
        current_epoch,
        config_epoch,
        offset,
        sender,
        slots,
        master,
        ip,
        number,
        other_port,
        bus_port,
        flags,
        state,
        message_flags,
    ) = _HEADER.unpack_from(data)
    message = Message(
        kind,
        _name(sender),
        port,
        other_port,
        bus_port,
        current_epoch,
        config_epoch,
        offset if offset < 1 << 63 else offset - (1 << 64),
        slots,
        _name(master),
        _address(ip),
        flags,
        state,
        message_flags,
        version,
    )
    if version != VERSION:
        return message
    if kind in (PING, PONG, MEET):
        expected = HEADER_BYTES + count * GOSSIP_BYTES
        if message_flags[0] & HAS_EXTENSIONS and expected <= length:
            expected = _decode_extensions(message, data, expected, number)
        if expected == length:
            message.gossip = [
                Gossip(_name(name), ping, pong, _address(ip), port, bus_port, flags, other_port)
                for name, ping, pong, ip, port, bus_port, flags, other_port, _ in _GOSSIP.iter_unpack(
                    data[HEADER_BYTES : HEADER_BYTES + count * GOSSIP_BYTES]
                )
            ]
    elif kind == FAIL:
        expected = HEADER_BYTES + NAME_BYTES
        if expected == length:
            message.about = _name(data[HEADER_BYTES:])
    elif kind in (PUBLISH, PUBLISHSHARD):
        begin = expected = HEADER_BYTES + _LENGTHS.size
        if expected <= length:
            channel, payload = _LENGTHS.unpack_from(data, HEADER_BYTES)
            expected += channel + payload
            if expected == length:
                message.channel, message.payload = data[begin : begin + channel], data[begin + channel :]
    elif kind == UPDATE:
        expected = HEADER_BYTES + _UPDATE.size
        if expected == length:
            message.about_epoch, about, message.about_slots = _UPDATE.unpack_from(data, HEADER_BYTES)
            message.about = _name(about)
    elif kind == MODULE:
        expected = HEADER_BYTES + _MODULE.size
        if expected <= length:
            message.module, size, message.module_kind = _MODULE.unpack_from(data, HEADER_BYTES)
            message.payload = data[expected:]
            expected += size
    elif kind in (AUTH_REQUEST, AUTH_ACK, MFSTART):
        expected = HEADER_BYTES
    else:
        expected = length
    if expected != length:
        raise BadMessageError(
            f"Received invalid {type_name(kind)} packet of length {length} but expected length {expected}"
        )
    return message


def _decode_extensions(message: Message, data: bytes, at: int, number: int) -> int:
    """Take the extensions that begin at an offset; returns the offset of their end. Raises BadMessageError."""
    for _ in range(number):
        if len(data) - at < _EXTENSION.size:
            raise BadMessageError(_exceeds(message, data))
        size, kind, _ = _EXTENSION.unpack_from(data, at)
        if size % 8:
            raise BadMessageError(
                f"Received a {type_name(message.kind)} packet without proper padding ({size} bytes)"
            )
        if not _EXTENSION.size <= size <= len(data) - at:
            raise BadMessageError(_exceeds(message, data))
        message.extensions.append(Extension(kind, data[at + _EXTENSION.size : at + size]))
        at += size
    return at


def _exceeds(message: Message, data: bytes) -> str:
    return (
        f"Received invalid {type_name(message.kind)} packet with extension data that exceeds total packet length "
        f"({len(data)})"
    )


class Framing:
    """Cuts the bytes of a link into messages."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add bytes, and yield the messages that are complete. Raises BadMessageError at what begins no message."""
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while len(buffer) - at >= _START.size:
                length = length_of(buffer[at : at + _START.size])
                if length is None:
                    at = len(buffer)
                    raise BadMessageError("Bad message length or signature received on the Cluster bus")
                if len(buffer) - at < length:
                    return
                begin, at = at, at + length
                yield bytes(memoryview(buffer)[begin:at])
        finally:
            del buffer[:at]
