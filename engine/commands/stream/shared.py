"""Shared by stream commands: parsing IDs, the format of entries in replies, reporting changes.

https://redis.io/docs/latest/commands/?group=stream
"""

import re
from typing import Final

from engine.keyspace.databases import NOTIFY_STREAM
from engine.protocol.errors import ReplyError, c_text
from engine.protocol.resp import Reply
from engine.server.context import Context
from engine.values.pending import Id
from engine.values.stream import MAX_ID, MIN_ID, Row, next_id, previous_id

INVALID_ID: Final = b"ERR Invalid stream ID specified as stream command argument"

_UINT64_MAX: Final = 2**64 - 1
_STRTOULL: Final = re.compile(rb"[ \t\n\v\f\r]*([+-]?)([0-9]+)\Z")
_ID_BYTES: Final = 127


def _unsigned(text: bytes) -> int | None:
    """Parse half of an ID. Accepts canonical integers and what else C's strtoull accepts (space, signs, zeros)."""
    if text.isdigit() and len(text) < 20:
        return int(text)
    match = _STRTOULL.match(text)
    if match is None:
        return None
    value = int(match[2])
    if value > _UINT64_MAX:
        return None
    if match[1] == b"-":
        canonical = not text.startswith((b"-0", b" ", b"\t", b"\n", b"\v", b"\f", b"\r")) and value <= 2**63
        return None if canonical else -value & _UINT64_MAX
    return value


def parse_id(arg: bytes, missing: int = 0) -> Id | None:
    """Parse an ID (`missing` replaces an absent sequence number); None if it is invalid."""
    if len(arg) > _ID_BYTES:
        return None
    if b"\0" in arg:
        arg = arg.partition(b"\0")[0]
    first, dash, second = arg.partition(b"-")
    ms = _unsigned(first)
    if ms is None:
        return None
    if not dash:
        return ms, missing
    sequence = _unsigned(second)
    return None if sequence is None else (ms, sequence)


def strict_id(arg: bytes) -> Id:
    """Parse an ID; `-` and `+` are invalid."""
    id = parse_id(arg)
    if id is None:
        raise ReplyError(INVALID_ID)
    return id


def loose_id(arg: bytes, missing: int = 0) -> Id:
    """Parse an ID, `-` (the smallest) or `+` (the largest)."""
    if arg == b"-":
        return MIN_ID
    if arg == b"+":
        return MAX_ID
    id = parse_id(arg, missing)
    if id is None:
        raise ReplyError(INVALID_ID)
    return id


def range_start(arg: bytes) -> Id:
    """Parse the start of a range: an ID, or after a parenthesis the next one."""
    if arg[:1] != b"(" or len(arg) == 1:
        return loose_id(arg)
    id = strict_id(arg[1:])
    if id == MAX_ID:
        raise ReplyError(b"ERR invalid start ID for the interval")
    return next_id(id)


def range_end(arg: bytes) -> Id:
    """Parse the end of a range: an ID, or after a parenthesis the previous one."""
    if arg[:1] != b"(" or len(arg) == 1:
        return loose_id(arg, _UINT64_MAX)
    id = parse_id(arg[1:], _UINT64_MAX)
    if id is None:
        raise ReplyError(INVALID_ID)
    if id == MIN_ID:
        raise ReplyError(b"ERR invalid end ID for the interval")
    return previous_id(id)


def entries_reply(entries: list[tuple[Id, Row]]) -> list[Reply]:
    """Return entries in the format of replies: ID, then fields and values."""
    return [[b"%d-%d" % id, row] for id, row in entries]


def changed(ctx: Context, key: bytes, event: bytes, dirty: int = 1) -> None:
    """Report a change of groups, consumers or counters, without notifying watching and tracking clients.

    Redis signals a modified key only when its entries change.
    """
    ctx.db.space.dirty += dirty
    ctx.db.resized(key)
    ctx.db.notify(NOTIFY_STREAM, event, key)


def no_such_group(key: bytes, name: bytes) -> ReplyError:
    """Return the error for a group that does not exist in a stream."""
    return ReplyError(b"NOGROUP No such consumer group '%b' for key name '%b'" % (c_text(name), c_text(key)))
