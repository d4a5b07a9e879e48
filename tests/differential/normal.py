"""What two servers' replies must have in common, where they cannot be equal to the byte.

Where Redis promises no order, replies are compared as bags; where it draws lots, or tells of the machine and of time,
only their shape is. Times to live may differ by what the comparison takes.
"""

import re
from collections.abc import Callable
from typing import Any

from engine.protocol.resp import Argv

UNORDERED = {
    *(b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF", b"HKEYS", b"HVALS", b"HGETALL", b"KEYS", b"SPOP", b"PUBSUB"),
    *(b"SCAN", b"SSCAN", b"HSCAN", b"ZSCAN"),
}
DRAWN = {b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER", b"RANDOMKEY"}
SCANS = {b"SCAN": 1, b"SSCAN": 2, b"HSCAN": 2, b"ZSCAN": 2}
TIMED = {b"TTL": 60, b"PTTL": 60_000, b"EXPIRETIME": 60, b"PEXPIRETIME": 60_000}
"""How far apart times may be: a minute, in the unit of the command."""


def _bag(reply: Any, pairs: bool = False) -> Any:
    if not isinstance(reply, list):
        return reply
    items = reply[1:]
    if pairs:
        items = [list(pair) for pair in zip(items[::2], items[1::2])]
    return [reply[0], *sorted(map(repr, items))]


def _shape(reply: Any) -> Any:
    return [reply[0], len(reply)] if isinstance(reply, list) else reply[:1]


def _kind(reply: Any) -> Any:
    """Return nothing but what kind of reply it is; how much of it there is depends on what happened before."""
    return reply[0] if isinstance(reply, list) else reply[:1]


def _without(*fields: bytes) -> Callable[[Any], Any]:
    """Keep of a map (in either protocol) what both must say."""

    def normal(reply: Any) -> Any:
        if not isinstance(reply, list):
            return reply
        pairs = zip(reply[1::2], reply[2::2])
        return [reply[0], *([key, value] for key, value in pairs if key[1:] not in fields)]

    return normal


_CLIENT_FIELDS = ("name", "db", "sub", "psub", "multi", "flags", "user")


def _clients(reply: Any) -> Any:
    """Return what CLIENT LIST and INFO say that does not depend on the server: addresses, ids and memory do."""
    if not isinstance(reply, bytes):
        return reply
    lines = reply.decode().splitlines()
    told = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
    return sorted(tuple(fields.get(name) for name in _CLIENT_FIELDS) for fields in told)


def _tracking_info(reply: Any) -> Any:
    if not isinstance(reply, list):
        return reply
    flags, redirect, prefixes = reply[2::2]
    return _bag(flags), redirect == b":-1", redirect == b":0", _bag(prefixes)


def _somebody(reply: Any) -> Any:
    """Return a client's id as that: each server has its own numbers."""
    return b":id" if isinstance(reply, bytes) and re.fullmatch(rb":[1-9]\d*", reply) else reply


def _moments(reply: Any) -> Any:
    """Return a reply about a stream without times and durations."""
    if not isinstance(reply, list):
        return b":time" if isinstance(reply, bytes) and re.fullmatch(rb":\d{12,}", reply) else reply
    items = [_moments(item) for item in reply]
    for at, item in enumerate(items[:-1]):
        if item in (b"$idle", b"$inactive") and items[at + 1] != b":-1":
            items[at + 1] = b":time"
    return items


def _pending(reply: Any) -> Any:
    """Return XPENDING's rows without how long each entry has waited."""
    if not isinstance(reply, list):
        return reply
    return [
        [*row[:3], b":idle", row[4]] if isinstance(row, list) and len(row) == 5 and row[3][:1] == b":" else row
        for row in reply
    ]


def _libraries(reply: Any) -> Any:
    """Return FUNCTION LIST in an order: libraries, their functions, and flags come in that of a hash table."""
    return sorted(map(repr, (_sorted(item) for item in reply))) if isinstance(reply, list) else reply


def _sorted(reply: Any) -> Any:
    return [reply[0], *sorted((_sorted(item) for item in reply[1:]), key=repr)] if isinstance(reply, list) else reply


NORMAL: dict[bytes, Callable[[Any], Any]] = {
    **dict.fromkeys((b"CLIENT ID", b"CLIENT GETREDIR"), _somebody),
    **dict.fromkeys((b"CLIENT INFO", b"CLIENT LIST"), _clients),
    b"CLIENT TRACKINGINFO": _tracking_info,
    b"HELLO": _without(b"server", b"version", b"id"),
    b"ROLE": _shape,
    **dict.fromkeys((b"TIME", b"LASTSAVE", b"INFO", b"SLOWLOG GET", b"SLOWLOG LEN", b"LATENCY LATEST"), _kind),
    **dict.fromkeys((b"LATENCY HISTORY", b"LATENCY HISTOGRAM", b"MEMORY USAGE", b"MEMORY STATS"), _kind),
    **dict.fromkeys((b"OBJECT REFCOUNT", b"OBJECT IDLETIME", b"FUNCTION DUMP", b"DUMP"), _kind),
    b"ACL GENPASS": lambda reply: (reply[:1], len(reply)),
    **dict.fromkeys((b"XINFO STREAM", b"XINFO GROUPS", b"XINFO CONSUMERS"), _moments),
    b"XPENDING": _pending,
    b"FUNCTION LIST": _libraries,
}
"""By command, in upper case; replies of other kinds than the usual one (errors) are left as they are."""


def normal(argv: Argv, reply: Any) -> Any:
    """Return a reply without the order that nobody promised, and without what was drawn by lot."""
    name = argv[0].upper()
    if isinstance(reply, bytes) and reply[:1] in (b"-", b"+"):
        for arg in argv:
            if b"\0" in arg:  # Redis puts arguments into errors and states as C strings, up to a NUL
                reply = reply.replace(arg, arg.partition(b"\0")[0])
        return reply
    special = NORMAL.get(name) or NORMAL.get(b" ".join([name, *argv[1:2]]).upper())
    if special is not None:
        return special(reply)
    if name in UNORDERED and isinstance(reply, list):
        if name in SCANS:
            pairs = name in (b"HSCAN", b"ZSCAN")
            return [reply[1], _bag(reply[2], pairs)] if len(reply) == 3 else reply
        return _bag(reply, name == b"HGETALL" or argv[1:2] == [b"NUMSUB"])
    if name in DRAWN:
        return _shape(reply)
    if name in (b"SORT", b"SORT_RO"):
        by = _after(argv, b"BY")
        if b"ALPHA" in argv and by:
            return _shape(reply)  # elements without a weight are not told apart, and LIMIT takes any of them
        unsorted = any(arg.lower() == b"nosort" or b"*" not in arg for arg in by)
        return _bag(reply) if unsorted else reply
    if name in (b"COMMAND", b"ACL", b"CONFIG") and argv[1:2] and argv[1].upper() in (b"LIST", b"CAT", b"GET"):
        return _bag(reply, name == b"CONFIG")
    return reply


def _after(argv: Argv, word: bytes) -> list[bytes]:
    return [argv[i + 1] for i, arg in enumerate(argv[:-1]) if arg.upper() == word]


def near(argv: Argv, ours: Any, theirs: Any) -> bool:
    """Return whether two times are so close that only the comparison lies between them."""
    apart = TIMED.get(argv[0].upper())
    if apart is None or not (isinstance(ours, bytes) and isinstance(theirs, bytes)):
        return False
    if ours[:1] != b":" or theirs[:1] != b":" or min(int(ours[1:]), int(theirs[1:])) < 0:
        return False
    return abs(int(ours[1:]) - int(theirs[1:])) <= apart


_MONITORED = re.compile(rb"\+\d+\.\d+ \[(\d+) (\S+)\] (.*)", re.DOTALL)


def told(reply: Any, leave_out: bytes = b"") -> Any:
    """Return what a client is told of others' doings: no time and address in a line of MONITOR, keys in any order.

    None for a line about the client at the address `leave_out`.
    """
    if isinstance(reply, bytes) and (line := _MONITORED.fullmatch(reply)):
        return (
            None
            if leave_out and line[2] == leave_out
            else b"+[%b %b] %b"
            % (
                line[1],
                b"lua" if line[2] == b"lua" else b"client",
                line[3],
            )
        )
    if isinstance(reply, list) and b"$invalidate" in reply[1:2]:
        return [*reply[:2], _bag(reply[2])]
    if isinstance(reply, list) and b"$__redis__:invalidate" in reply[2:3]:
        return [*reply[:3], *(_bag(item) for item in reply[3:])]
    return reply
