"""The wire: reply values to RESP2 and RESP3 bytes, request bytes to argument lists.

Replies. Handlers return plain values and never think of the protocol version: `bytes` is a bulk string, `int` an
integer, `None` null, `float` a double, `bool` a boolean, `list`/`tuple` an array, `dict` a map, `ReplyError` an
error, and the small classes below what has no Python twin. RESP2 clients get Redis's flattened forms.

Requests. Well-formed pipelines are parsed in C by hiredis, whole batches at a time. hiredis was made for replies, so
it takes more than Redis takes from clients (`+x` for an argument) and trusts array lengths. Two checks close the
gap: no batch with a suspiciously long count reaches it, and the bytes of a batch must equal the canonical length of
what came out. Everything else (inline commands, incomplete remainders, all errors) goes through `Request`, our own
incremental parser, which knows Redis's limits and error texts.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import re
from collections.abc import Callable
from math import copysign, inf
from typing import Any

import hiredis

from engine.errors import ReplyError
from engine.numbers import format_fraction

Reply = Any
Argv = list[bytes]


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
    """A set: an array in RESP2. (Not a Python set: those have no stable order.)"""

    __slots__ = ()


class MapReply(list[Any]):
    """A map given as a flat list of keys and values, for maps whose keys repeat or are not hashable."""

    __slots__ = ()


class Push(list[Any]):
    """An out-of-band message; an array in RESP2."""

    __slots__ = ()


class BigNumber(bytes):
    """An integer of any size, in decimal; a bulk string in RESP2."""

    __slots__ = ()


class Attribute:
    """A reply with attributes before it (RESP3 only; RESP2 drops them)."""

    __slots__ = ("attributes", "reply")

    def __init__(self, attributes: dict[bytes, Reply], reply: Reply) -> None:
        self.attributes = attributes
        self.reply = reply


class NullArray:
    """The null array: `*-1` in RESP2, null in RESP3. Use the instance `NULL_ARRAY`."""

    __slots__ = ()


class NoReply:
    """Nothing to send now: the client was blocked, or everything has been sent. Use `NO_REPLY`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NO_REPLY"


class RawReply(bytes):
    """Bytes that are already in the client's protocol."""

    __slots__ = ()


OK = Status(b"OK")
PONG = Status(b"PONG")
QUEUED = Status(b"QUEUED")
NULL_ARRAY = NullArray()
NO_REPLY = NoReply()


_EXACT = float(2**62)  # integers up to here are printed as such


def format_double(value: float) -> bytes:
    """Return a text that reads back as the same double, in Redis's spelling (`3`, `0.1`, `1e+20`, `inf`)."""
    if value.is_integer() and -_EXACT <= value <= _EXACT:
        return b"%d" % value if value or copysign(1.0, value) > 0 else b"-0"
    if value != value:
        return b"nan"
    if value in (inf, -inf):
        return b"inf" if value > 0 else b"-inf"
    return format_fraction(value)


Encoder = Callable[[Any], bytes]


def _encode_error(value: ReplyError) -> bytes:
    return b"-%b\r\n" % value.text.replace(b"\r", b" ").replace(b"\n", b" ")


# Headers of bulk strings by length, with the line end of what stands before them.
_HEADERS = [b"\r\n$%d\r\n" % size for size in range(1024)]
_header_of = _HEADERS.__getitem__


def _sequence(kind: bytes, count: int, items: Any, encoders: "dict[type, Encoder]") -> bytes:
    """Encode an aggregate. Lists of nothing but bytes, the usual ones, are put together in C: four times as fast."""
    size = len(items)
    if size == 2 and type(items[0]) is bytes:
        # Pairs within arrays, such as entries of streams: half the time.
        first, second = items
        if type(second) is bytes:
            return b"%b%d\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (kind, count, len(first), first, len(second), second)
        return b"%b%d\r\n$%d\r\n%b\r\n%b" % (kind, count, len(first), first, encoders[type(second)](second))
    if size > 4 and list(map(type, items)).count(bytes) == size:
        lengths = list(map(len, items))
        if lengths.count(lengths[0]) == size:
            header = b"\r\n$%d\r\n" % lengths[0]
            return b"%b%d%b%b\r\n" % (kind, count, header, header.join(items))
        if max(lengths) < 1024:
            parts = [b""] * (2 * size)
            parts[::2] = map(_header_of, lengths)
            parts[1::2] = items
            return b"%b%d%b\r\n" % (kind, count, b"".join(parts))
    return b"%b%d\r\n" % (kind, count) + b"".join([encoders[type(item)](item) for item in items])


def _array2(value: Any) -> bytes:
    return _sequence(b"*", len(value), value, _RESP2)


def _array3(value: Any) -> bytes:
    return _sequence(b"*", len(value), value, _RESP3)


def _flat(value: dict[Any, Any]) -> list[Any]:
    items: list[Any] = [None] * (2 * len(value))
    items[::2] = value
    items[1::2] = value.values()
    return items


def _dict2(value: dict[Any, Any]) -> bytes:
    return _sequence(b"*", 2 * len(value), _flat(value), _RESP2)


def _dict3(value: dict[Any, Any], kind: bytes = b"%") -> bytes:
    return _sequence(kind, len(value), _flat(value), _RESP3)


def _bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def _header3(kind: bytes, halve: bool = False) -> Encoder:
    def encode(value: Any) -> bytes:
        return _sequence(kind, len(value) // 2 if halve else len(value), value, _RESP3)

    return encode


_COMMON: dict[type, Encoder] = {
    bytes: _bulk,
    bytearray: lambda value: b"$%d\r\n%b\r\n" % (len(value), bytes(value)),
    int: lambda value: b":%d\r\n" % value,
    Status: lambda value: b"+%b\r\n" % value,
    ReplyError: _encode_error,
    NoReply: lambda value: b"",
    RawReply: bytes,
}

_RESP2: dict[type, Encoder] = _COMMON | {
    type(None): lambda value: b"$-1\r\n",
    NullArray: lambda value: b"*-1\r\n",
    bool: lambda value: b":1\r\n" if value else b":0\r\n",
    float: lambda value: _bulk(format_double(value)),
    list: _array2,
    tuple: _array2,
    SetReply: _array2,
    MapReply: _array2,
    Push: _array2,
    dict: _dict2,
    Verbatim: lambda value: _bulk(value.text),
    BigNumber: _bulk,
    Attribute: lambda value: encode2(value.reply),
}

_RESP3: dict[type, Encoder] = _COMMON | {
    type(None): lambda value: b"_\r\n",
    NullArray: lambda value: b"_\r\n",
    bool: lambda value: b"#t\r\n" if value else b"#f\r\n",
    float: lambda value: b",%b\r\n" % format_double(value),
    list: _array3,
    tuple: _array3,
    SetReply: _header3(b"~"),
    MapReply: _header3(b"%", halve=True),
    Push: _header3(b">"),
    dict: _dict3,
    Verbatim: lambda value: b"=%d\r\n%b:%b\r\n" % (len(value.text) + 4, value.format, value.text),
    BigNumber: lambda value: b"(%b\r\n" % value,
    Attribute: lambda value: _dict3(value.attributes, b"|") + encode3(value.reply),
}


# By protocol version: an encoder for each type of reply value.
ENCODERS: tuple[dict[type, Encoder], ...] = ({}, {}, _RESP2, _RESP3)


def encode2(value: Reply) -> bytes:
    """Encode a reply value for a RESP2 client."""
    return _RESP2[type(value)](value)


def encode3(value: Reply) -> bytes:
    """Encode a reply value for a RESP3 client."""
    return _RESP3[type(value)](value)


def encode_command(argv: Argv) -> bytes:
    """Encode a command as clients and replication streams send it: an array of bulk strings."""
    if len(argv) == 3:  # what most writes are
        first, second, third = argv
        return b"*3\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            len(first),
            first,
            len(second),
            second,
            len(third),
            third,
        )
    return b"*%d\r\n" % len(argv) + b"".join([b"$%d\r\n%b\r\n" % (len(a), a) for a in argv])


def canonical_length(argv: Argv) -> int:
    """Return the size in bytes of `encode_command(argv)` without building it; TypeError if not all are bytes."""
    total = 3 + len(str(len(argv))) + len(b"".join(argv))
    for arg in argv:
        n = len(arg)
        total += 6 if n < 10 else 7 if n < 100 else 5 + len(str(n))
    return total


# --- requests ---------------------------------------------------------------------------------------------------

INLINE_MAX = 64 * 1024
_MULTIBULK_MAX = 2**31 - 1
READ_AT_ONCE = 64 * 1024  # bytes; a longer request is parsed with more care and less speed
_LONG_COUNT = re.compile(rb"\*[0-9]{6}")


class ProtocolError(Exception):
    """A broken request: the client gets `-ERR Protocol error: <text>` and is hung up on."""


class Limits:
    """What a client may send: sizes in bytes. `authenticated` lifts the small limits for strangers."""

    __slots__ = ("authenticated", "bulk_max")

    def __init__(self, bulk_max: int = 512 * 1024 * 1024, authenticated: bool = True) -> None:
        self.bulk_max = bulk_max
        self.authenticated = authenticated


class Request:
    """An incomplete request: unread bytes, and how far its parsing has come. Plain data of the client's."""

    __slots__ = ("args", "args_bytes", "buffer", "bulk_length", "missing")

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.missing = 0  # arguments of a multibulk request still to come
        self.bulk_length = -1  # of the argument being read; -1 before its header
        self.args: Argv = []
        self.args_bytes = 0

    @property
    def begins(self) -> bool:
        """True where a new request begins, one that is no line."""
        return not self.missing and self.buffer[:1] == b"*"

    @property
    def memory(self) -> int:
        """What is held of it, in bytes."""
        return len(self.buffer) + self.args_bytes

    def next(self, limits: Limits) -> Argv | None:
        """Return the next complete request, or None when more bytes are needed.

        An empty list stands for a request without arguments (an empty line, `*0`), which Redis skips.
        """
        if not self.missing:
            if not self.buffer:
                return None
            if self.buffer[0] != 42:  # '*'
                return self._inline()
            line = self._line(0, b"too big mbulk count string")
            if line is None:
                return None
            count = _strict_integer(line[1:])
            if count is None or count > _MULTIBULK_MAX:
                raise ProtocolError(b"invalid multibulk length")
            if count > 10 and not limits.authenticated:
                raise ProtocolError(b"unauthenticated multibulk length")
            if count <= 0:
                return []
            self.missing = count
            self.args = []
        return self._arguments(limits)

    def _arguments(self, limits: Limits) -> Argv | None:
        buffer = self.buffer
        while self.missing:
            if self.bulk_length < 0:
                line = self._line(0, b"too big bulk count string", consume=False)
                if line is None:
                    return None
                if line[:1] != b"$":
                    raise ProtocolError(b"expected '$', got '%b'" % line[:1])
                del buffer[: len(line) + 2]
                length = _strict_integer(line[1:])
                if length is None or length < 0 or length > limits.bulk_max:
                    raise ProtocolError(b"invalid bulk length")
                if length > 16384 and not limits.authenticated:
                    raise ProtocolError(b"unauthenticated bulk length")
                self.bulk_length = length
            if len(buffer) < self.bulk_length + 2:
                return None
            self.args.append(bytes(memoryview(buffer)[: self.bulk_length]))
            self.args_bytes += self.bulk_length
            del buffer[: self.bulk_length + 2]
            self.bulk_length = -1
            self.missing -= 1
        args, self.args = self.args, []
        self.args_bytes = 0
        return args

    def _line(self, start: int, too_big: bytes, consume: bool = True) -> bytes | None:
        end = self.buffer.find(b"\r", start)
        if end < 0:
            if len(self.buffer) > INLINE_MAX:
                raise ProtocolError(too_big)
            return None
        if end + 1 >= len(self.buffer):
            return None
        line = bytes(self.buffer[start:end])
        if consume:
            del self.buffer[: end + 2]
        return line

    def _inline(self) -> Argv | None:
        end = self.buffer.find(b"\n")
        if end < 0 or self.buffer.find(b"\0", 0, end) >= 0:  # Redis looks for the end no further than a NUL
            if len(self.buffer) > INLINE_MAX:
                raise ProtocolError(b"too big inline request")
            return None
        line = bytes(self.buffer[:end]).removesuffix(b"\r")
        del self.buffer[: end + 1]
        args = split_args(line)
        if args is None:
            raise ProtocolError(b"unbalanced quotes in request")
        return args


def _strict_integer(text: bytes) -> int | None:
    """Read a decimal as Redis's string2ll does: no spaces, no plus, no leading zeros, 64 bits."""
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or len(digits) > 19 or (digits[0] == 48 and len(text) > 1):
        return None
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


_ESCAPES = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_SPACE = frozenset(b" \n\r\t\v\f\0")
_HEX = frozenset(b"0123456789abcdefABCDEF")


def split_args(line: bytes) -> Argv | None:
    r"""Split a line into arguments, with "double" (\n \xff …) and 'single' quotes; None if they do not match."""
    args: Argv = []
    line = line.partition(b"\0")[0]  # Redis reads it as a C string
    if b'"' not in line and b"'" not in line:
        return line.split()
    i, n = 0, len(line)
    while True:
        while i < n and line[i] in b" \n\r\t\v\f":
            i += 1
        if i >= n:
            return args
        current = bytearray()
        quote = 0
        while True:
            c = line[i] if i < n else 0
            if quote:
                if i >= n:
                    return None
                if (
                    c == 92
                    and quote == 34
                    and i + 3 < n
                    and line[i + 1] == 120
                    and {line[i + 2], line[i + 3]} <= _HEX
                ):
                    current.append(int(line[i + 2 : i + 4], 16))
                    i += 3
                elif c == 92 and quote == 34 and i + 1 < n:
                    i += 1
                    current.append(_ESCAPES.get(line[i], line[i]))
                elif c == 92 and quote == 39 and line[i + 1 : i + 2] == b"'":
                    i += 1
                    current.append(39)
                elif c == quote:
                    # the closing quote must be followed by a space or the end
                    if i + 1 < n and line[i + 1] not in _SPACE:
                        return None
                    i += 1
                    break
                else:
                    current.append(c)
            elif i >= n or c in _SPACE:
                break
            elif c in (34, 39):
                quote = c
            else:
                current.append(c)
            i += 1
        args.append(bytes(current))


class BatchParser:
    """Whole batches of canonical requests, parsed in C. One for all clients of a node: it keeps nothing.

    hiredis reads replies, so it takes more than a request may be: other types than arrays of bulk strings, and counts
    that would have it reserve memory at once. What came in is therefore compared with the length that its result has
    when it is encoded, and anything that is not sure to be a request is left to `Request`.
    """

    def __init__(self) -> None:
        self._reader = hiredis.Reader()

    def parse(self, data: bytes) -> tuple[list[Argv], int]:
        """Return the complete requests at the head of `data`, and how many bytes they took.

        Anything but canonical multibulk requests ends the batch: the caller hands the rest to `Request`.
        """
        stars = data.count(b"*")
        if stars == 1:
            # One request, from a client that waits for each reply: splitting takes half of a reader's time. An
            # argument with a line's end in it does not come out even.
            parts = data.split(b"\r\n")
            argv = parts[2::2]
            if _ARRAY_LENGTH.get(parts[0]) == len(argv):
                i = 1
                for arg in argv:
                    if parts[i] != _BULK_LENGTH[len(arg) & 1023]:
                        break
                    i += 2
                else:
                    if i + 1 == len(parts) and not parts[i]:
                        return [argv], len(data)
        if len(data) <= READ_AT_ONCE:
            return self._parse_piece(data, stars)
        # A reader moves all that it still holds for each kilobyte that it has read: it is given little at once.
        batch: list[Argv] = []
        at = 0
        while at < len(data):
            piece = data[at : at + READ_AT_ONCE]
            found, used = self._parse_piece(piece, piece.count(b"*"))
            if not used:
                break
            batch += found
            at += used
        return batch, at

    def _parse_piece(self, data: bytes, stars: int) -> tuple[list[Argv], int]:
        if data[0] != 42 or data.find(b"\r", 0, 7) < 0 or (stars > 1 and _LONG_COUNT.search(data)):
            return [], 0
        if b"=" in data or b"~" in data or b">" in data:
            return self._parse_carefully(data)  # marks of types that read like requests
        batch = self._parse_whole(data) if data.endswith(b"\r\n") else None
        if batch is None:
            # A piece of a long pipeline ends within a request: what stands before that one may be whole.
            end = data.rfind(b"\r\n*") + 2
            head = data[:end]
            batch = self._parse_whole(head) if end > 2 else None
            if batch is None:
                return self._parse_carefully(data)
            return batch, end
        return batch, len(data)

    def _parse_whole(self, data: bytes) -> list[Argv] | None:
        """Return the requests that `data` consists of, or None when it is not made of canonical ones alone."""
        reader = self._reader
        batch: list[Argv] = []
        total = 0
        try:
            reader.feed(data)
            gets = reader.gets
            argv = gets()
            while argv:
                batch.append(argv)
                total += _ARRAY_HEADER[len(argv)] + len(b"".join(argv))  # joining refuses whatever is not bytes
                for arg in argv:
                    total += _BULK_HEADER[len(arg)]
                argv = gets()
        except (hiredis.HiredisError, TypeError, IndexError):
            total = -1
        if total == len(data) and not reader.has_data():
            return batch
        self._reader = hiredis.Reader()
        return None

    def _parse_carefully(self, data: bytes) -> tuple[list[Argv], int]:
        """Return what `parse` does, request by request, up to the first that is incomplete or strange."""
        reader = hiredis.Reader()
        batch: list[Argv] = []
        total = 0
        try:
            reader.feed(data)
            while argv := reader.gets():
                request = encode_command(argv)
                if not data.startswith(request, total):
                    break
                batch.append(argv)
                total += len(request)
        except (hiredis.HiredisError, TypeError, IndexError):
            pass
        return batch, total


def _header_costs(sizes: int, around: int) -> list[int]:
    return [around + len(str(size)) for size in range(sizes)]


_ARRAY_LENGTH = {b"*%d" % count: count for count in range(1, 64)}
_BULK_LENGTH = [b"$%d" % size for size in range(1024)]
_ARRAY_HEADER = _header_costs(4096, len(b"*\r\n"))  # what a request takes besides its arguments, by their number
_BULK_HEADER = _header_costs(READ_AT_ONCE + 1, len(b"$\r\n\r\n"))  # besides an argument's bytes, by their number
