"""What stream commands have in common: reading IDs, the form of entries in replies, reporting changes.

https://redis.io/docs/latest/commands/?group=stream
"""

import re

from engine.client import Client
from engine.errors import ReplyError
from engine.keyspace import NOTIFY_STREAM
from engine.resp import Argv, Reply
from engine.values.pending import Id
from engine.values.stream import MAX_ID, MIN_ID, Row, next_id, previous_id

INVALID_ID = b"ERR Invalid stream ID specified as stream command argument"

_UINT64_MAX = 2**64 - 1
_STRTOULL = re.compile(rb"[ \t\n\v\f\r]*([+-]?)([0-9]+)\Z")
_ID_BYTES = 127


def _unsigned(text: bytes) -> int | None:
    """Read half an ID. Canonical integers are, beyond them whatever C's strtoull takes (space, signs, zeros)."""
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
    """Return the ID that a text is (`missing` for a sequence number that is not given), or None."""
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
    """Read an ID; `-` and `+` are none."""
    id = parse_id(arg)
    if id is None:
        raise ReplyError(INVALID_ID)
    return id


def loose_id(arg: bytes, missing: int = 0) -> Id:
    """Read an ID, `-` (the smallest) or `+` (the greatest)."""
    if arg == b"-":
        return MIN_ID
    if arg == b"+":
        return MAX_ID
    id = parse_id(arg, missing)
    if id is None:
        raise ReplyError(INVALID_ID)
    return id


def range_start(arg: bytes) -> Id:
    """Read the start of a range: an ID or, after a parenthesis, the one before it."""
    if arg[:1] != b"(" or len(arg) == 1:
        return loose_id(arg)
    id = strict_id(arg[1:])
    if id == MAX_ID:
        raise ReplyError(b"ERR invalid start ID for the interval")
    return next_id(id)


def range_end(arg: bytes) -> Id:
    """Read the end of a range: an ID or, after a parenthesis, the one after it."""
    if arg[:1] != b"(" or len(arg) == 1:
        return loose_id(arg, _UINT64_MAX)
    id = parse_id(arg[1:], _UINT64_MAX)
    if id is None:
        raise ReplyError(INVALID_ID)
    if id == MIN_ID:
        raise ReplyError(b"ERR invalid end ID for the interval")
    return previous_id(id)


def entries_reply(entries: list[tuple[Id, Row]]) -> list[Reply]:
    """Return entries as clients get them: ID, then fields and values."""
    return [[b"%d-%d" % id, row] for id, row in entries]


def changed(ctx: Client, key: bytes, event: bytes, dirty: int = 1) -> None:
    """Report a change that watchers and trackers are not told of: of groups, consumers and counters.

    Redis signals a modified key only when its entries change.
    """
    ctx.db.space.dirty += dirty
    ctx.db.resized(key)
    ctx.db.notify(NOTIFY_STREAM, event, key)


def no_such_group(key: bytes, name: bytes) -> ReplyError:
    """The error for a group that a stream does not have."""
    return ReplyError(b"NOGROUP No such consumer group '%b' for key name '%b'" % (name, key))


def subcommand_syntax(argv: Argv) -> ReplyError:
    """The error for arguments of a subcommand that do not fit."""
    return ReplyError(
        b"ERR unknown subcommand or wrong number of arguments for '%b'. Try %b HELP."
        % (argv[1][:128], argv[0].upper())
    )
