"""Validation and conversion of the input from the other end of a replication link.

The other end may be another implementation, an attacker, or a program that is not a Redis server. This module is
the only place where its bytes become text and numbers: lines have Redis's maximum length, numbers fit in
64 bits, an ID is 40 printable characters. A violation raises `PeerError` with the text for the log,
and closes the link.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from engine.protocol import conversation
from engine.protocol.numbers import parse_integer, strtoll
from engine.protocol.resp import RequestLimits

REPLID_BYTES = 40
REPLY_BYTES_MAX = 255  # of a reply in the handshake; as in Redis, the rest counts as the next reply
HEADER_BYTES_MAX = 1023  # of the line that announces a snapshot
LINE_TIMEOUT_US = 5_000_000  # for the rest of an incomplete line
# The bytes of a stream are added to its master's initial offset: the sum must fit in 64 bits for the lifetime of a
# link.
OFFSET_MAX = 1 << 62
# The limit for a master's stream: `proto-max-bulk-len` applies to clients only.
MASTER_LIMITS = RequestLimits(bulk_max=(1 << 63) - 1)

_NEWLINES = re.compile(rb"(?:\n+|(?:\r\n)+)*")


class PeerError(Exception):
    """The other end violated the protocol; the text is for the log."""


class Announcement(NamedTuple):
    """The format of a snapshot: with its size, or with an end marker (then the size is 0)."""

    size_bytes: int
    mark: bytes


class Identity(NamedTuple):
    """The history of a saved snapshot."""

    replid: bytes
    offset: int
    stream_db: int


def shown(data: bytes) -> str:
    """Return bytes from the other end as text for the log."""
    return data.decode("utf-8", "replace")


def printable(data: bytes | bytearray) -> str:
    """Return bytes from the other end with a dot for each unprintable byte."""
    return "".join(chr(byte) if 32 <= byte <= 126 else "." for byte in data)


def take_line(buffer: bytearray, longest: int) -> bytes | None:
    """Take a line without its line break from a buffer; None if it is incomplete. As in Redis, a NUL ends it."""
    if len(buffer) >= longest and buffer.find(b"\n", 0, longest) < 0:
        line: bytes | None = bytes(buffer[:longest])
        del buffer[:longest]
    else:
        line = conversation.take_line(buffer)
    return None if line is None else line.partition(b"\0")[0]


def take_reply(buffer: bytearray) -> bytes | None:
    """Take a master's reply to the handshake from a buffer; None if it is incomplete."""
    return take_line(buffer, REPLY_BYTES_MAX)


def take_newlines(buffer: bytearray) -> bytes:
    """Take the empty lines at the start of a buffer: keepalives of a master that has nothing to send yet."""
    match = _NEWLINES.match(buffer)
    newlines = bytes(match[0]) if match is not None else b""
    del buffer[: len(newlines)]
    return newlines


def is_replid(text: bytes) -> bool:
    """Return whether a text can be a replication ID."""
    return len(text) == REPLID_BYTES and all(33 <= byte <= 126 for byte in text)


def full_resync(line: bytes) -> tuple[bytes, int]:
    """Return the ID and the offset of `+FULLRESYNC <id> <offset>`."""
    words = line.split(b" ")
    offset = parse_integer(words[2]) if len(words) == 3 else None
    if offset is None or not is_replid(words[1]) or not 0 <= offset <= OFFSET_MAX:
        raise PeerError("Master replied with wrong +FULLRESYNC syntax.")
    return words[1], offset


def continued_id(line: bytes) -> bytes | None:
    """Return the ID of `+CONTINUE [<id>]`; None if there is none."""
    replid = line[10:]
    if len(replid) != REPLID_BYTES:
        return None
    if not is_replid(replid):
        raise PeerError("Master replied with wrong +CONTINUE syntax.")
    return replid


def announcement(line: bytes) -> Announcement:
    """Parse the line before a snapshot."""
    if line[:1] == b"-":
        raise PeerError(f"MASTER aborted replication with an error: {shown(line[1:])}")
    if line[:1] != b"$":
        raise PeerError(
            f"Bad protocol from MASTER, the first byte is not '$' (we received '{shown(line)}'), "
            "are you sure the host and port are right?"
        )
    if line.startswith(b"$EOF:") and len(line) >= 5 + REPLID_BYTES:
        return Announcement(0, line[5 : 5 + REPLID_BYTES])
    size = parse_integer(line[1:])
    if size is None or size <= 0:
        raise PeerError(f"Bad bulk count from MASTER: '{shown(line)}'")
    return Announcement(size, b"")


def identity(aux: Mapping[bytes, bytes]) -> Identity | None:
    """Return the history in the fields of a snapshot; None if there is none to continue."""
    replid, offset = aux.get(b"repl-id", b""), parse_integer(aux.get(b"repl-offset", b""))
    db = stream_db(aux)
    if offset is None or not 0 <= offset <= OFFSET_MAX or db == -1 or not is_replid(replid):
        return None
    return Identity(replid, offset, db)


def stream_db(aux: Mapping[bytes, bytes]) -> int:
    """Return the database that is selected in the stream after a snapshot; it need not exist here."""
    return strtoll(aux.get(b"repl-stream-db", b"0"))


__all__ = [
    "HEADER_BYTES_MAX",
    "LINE_TIMEOUT_US",
    "MASTER_LIMITS",
    "REPLID_BYTES",
    "REPLY_BYTES_MAX",
    "Announcement",
    "Identity",
    "PeerError",
    "announcement",
    "continued_id",
    "full_resync",
    "identity",
    "printable",
    "shown",
    "stream_db",
    "take_line",
    "take_newlines",
]
