"""The values that stand for the types of replies that Python has no type of its own for.

They derive from the built-in types that they resemble, which a compiled class cannot do: this module is never
compiled.
"""

from typing import Any

Reply = Any


class Status(bytes):
    """A simple string, such as +OK."""

    __slots__ = ()


class Verbatim:
    """A verbatim string: text with a three-letter format; a bulk string in RESP2."""

    __slots__ = ("format", "text")

    def __init__(self, text: bytes, format: bytes = b"txt") -> None:
        self.text = text
        self.format = format


class SetReply(list[Any]):
    """A set: an array in RESP2. (Not a Python set, whose order is not stable.)"""

    __slots__ = ()


class MapReply(list[Any]):
    """A map as a flat list of keys and values, for maps with repeated or unhashable keys."""

    __slots__ = ()


class Push(list[Any]):
    """An out-of-band message; an array in RESP2."""

    __slots__ = ()


class BigNumber(bytes):
    """An integer of any size, in decimal; a bulk string in RESP2."""

    __slots__ = ()


class Attribute:
    """A reply preceded by attributes (RESP3 only; omitted in RESP2)."""

    __slots__ = ("attributes", "reply")

    def __init__(self, attributes: dict[bytes, Reply], reply: Reply) -> None:
        self.attributes = attributes
        self.reply = reply


class NullArray:
    """The null array: `*-1` in RESP2, null in RESP3. Use the instance `NULL_ARRAY`."""

    __slots__ = ()


class NoReply:
    """No reply now: the client was blocked, or everything has been sent already. Use `NO_REPLY`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NO_REPLY"


class RawReply(bytes):
    """Bytes that are already encoded in the client's protocol."""

    __slots__ = ()


OK = Status(b"OK")
PONG = Status(b"PONG")
QUEUED = Status(b"QUEUED")
NULL_ARRAY = NullArray()
NO_REPLY = NoReply()
