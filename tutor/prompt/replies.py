"""Reply parsing for clients: bytes in any fragments to reply values, RESP2 and RESP3.

The values are those of `engine.protocol.resp`, so that a reply has one form on both sides of a connection. hiredis,
which parses requests for the server, cannot be used here: it returns a status and a bulk string as the same `bytes`
and a double as a `float`, while redis-cli shows the three differently and a double with the server's own digits.

A reader scans each byte only once, except for the end of an incomplete line, so a reply of any size costs O(size) in
any fragments.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from typing import Any

from engine.protocol.errors import ReplyError
from engine.protocol.resp import NULL_ARRAY as NULL_ARRAY
from engine.protocol.resp import Attribute, BigNumber, MapReply, NullArray, Push, SetReply, Status, Verbatim

Reply = Any


class Double(float):
    """A RESP3 double with the digits that came over the wire."""

    __slots__ = ("text",)
    text: bytes

    def __new__(cls, text: bytes) -> "Double":
        """Read `text`; ValueError if it is no double."""
        self = super().__new__(cls, text)
        self.text = text
        return self


class NotRespError(Exception):
    """The server sent something that is not RESP. The text is redis-cli's."""


class Incomplete:
    """No whole reply has arrived yet. Use the instance `INCOMPLETE`."""


INCOMPLETE = Incomplete()

_AGGREGATES = {b"*": list, b"%": MapReply, b"~": SetReply, b">": Push, b"|": MapReply}


class _Open:
    """An aggregate whose elements are still arriving."""

    __slots__ = ("items", "kind", "missing")

    def __init__(self, kind: bytes, missing: int) -> None:
        self.kind = kind
        self.missing = missing
        self.items: list[Reply] = _AGGREGATES[kind]()


class ReplyParser:
    """Incremental reader: `feed` bytes, then `next` until it returns `INCOMPLETE`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0
        self._searched = 0  # no line end before this place
        self._open: list[_Open] = []
        self._attributes: dict[int, MapReply] = {}  # by depth: they precede the value they belong to

    def feed(self, data: bytes) -> None:
        """Add bytes from the wire."""
        if self._position > 65536:
            del self._buffer[: self._position]
            self._searched = max(0, self._searched - self._position)
            self._position = 0
        self._buffer += data

    def pending(self) -> bytes:
        """Return and drop the bytes after the last whole reply: what follows is not RESP."""
        rest = bytes(self._buffer[self._position :])
        self._buffer.clear()
        self._position = self._searched = 0
        return rest

    def next(self) -> Reply:
        """Return the next reply, errors included as `ReplyError` values; `INCOMPLETE` if there is none.

        Raises NotRespError for bytes that are not RESP; the reader is of no use after that.
        """
        while True:
            value = self._item()
            if value is INCOMPLETE:
                return value
            if isinstance(value, _Open):
                if value.missing:
                    self._open.append(value)
                    continue
                value = value.items
            while True:
                if value is not _ATTRIBUTES:
                    value = self._attributed(value)
                if not self._open:
                    if value is _ATTRIBUTES:
                        break
                    if self._position == len(self._buffer):
                        self._buffer.clear()
                        self._position = self._searched = 0
                    return value
                top = self._open[-1]
                if value is not _ATTRIBUTES:
                    top.items.append(value)
                    top.missing -= 1
                if top.missing:
                    break
                self._open.pop()
                value = top.items
                if top.kind == b"|":
                    self._attributes[len(self._open)] = top.items  # type: ignore[assignment]
                    value = _ATTRIBUTES

    def _attributed(self, value: Reply) -> Reply:
        attributes = self._attributes.pop(len(self._open), None) if self._attributes else None
        if attributes is None:
            return value
        return Attribute(dict(zip(attributes[::2], attributes[1::2], strict=True)), value)

    def _line(self) -> bytes | None:
        buffer = self._buffer
        end = buffer.find(b"\r\n", max(self._position, self._searched))
        if end < 0:
            self._searched = max(self._position, len(buffer) - 1)
            return None
        line = bytes(buffer[self._position : end])
        self._position = end + 2
        return line

    def _item(self) -> Reply:
        start = self._position
        line = self._line()
        if line is None:
            if start < len(self._buffer) and self._buffer[start] not in b"-+:,_#$=*%~>|(":
                raise _bad_type(self._buffer[start : start + 1])
            return INCOMPLETE
        kind, rest = line[:1], line[1:]
        match kind:
            case b"$" | b"=" | b"!":
                length = _length(rest)
                if length < 0:
                    return None
                end = self._position + length
                if len(self._buffer) < end + 2:
                    self._position = start
                    self._searched = start
                    return INCOMPLETE
                body = bytes(self._buffer[self._position : end])
                self._position = end + 2
                if kind == b"=":
                    return Verbatim(body[4:], body[:3])
                return ReplyError(body) if kind == b"!" else body
            case b"+":
                return Status(rest)
            case b":":
                try:
                    return int(rest)
                except ValueError:
                    raise NotRespError("Protocol error, got bad integer value") from None
            case b"-":
                return ReplyError(rest)
            case b"*" | b"%" | b"~" | b">" | b"|":
                count = _length(rest)
                if count < 0:
                    return NULL_ARRAY
                return _Open(kind, count * 2 if kind in (b"%", b"|") else count)
            case b"_":
                return None
            case b",":
                try:
                    return Double(rest)
                except ValueError:
                    raise NotRespError("Bad double value") from None
            case b"#":
                if rest not in (b"t", b"f", b"T", b"F"):
                    raise NotRespError("Bad bool value")
                return rest in (b"t", b"T")
            case b"(":
                return BigNumber(rest)
        raise _bad_type(kind)


_ATTRIBUTES = object()


def _bad_type(kind: bytes | bytearray) -> NotRespError:
    shown = chr(kind[0]) if 32 <= kind[0] < 127 else f"\\x{kind[0]:02x}"
    return NotRespError(f'Protocol error, got "{shown}" as reply type byte')


def _length(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise NotRespError("Bad multi-bulk length" if not text else "Bad bulk string length") from None


def elements(reply: Reply) -> list[Reply] | None:
    """Return the elements of an aggregate reply (a map's keys and values in turn), or None for anything else."""
    if isinstance(reply, (list, tuple)):
        return list(reply) if isinstance(reply, tuple) else reply
    if isinstance(reply, dict):
        return [item for pair in reply.items() for item in pair]
    return None


def is_nil(reply: Reply) -> bool:
    """Tell whether a reply is null, of either form."""
    return reply is None or isinstance(reply, NullArray)
