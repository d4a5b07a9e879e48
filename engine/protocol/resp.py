"""The protocol: encodes reply values as RESP2 and RESP3, and parses requests into argument lists.

Replies. Handlers return plain values and are independent of the protocol version: `bytes` is a bulk string, `int` an
integer, `None` null, `float` a double, `bool` a boolean, `list`/`tuple` an array, `dict` a map, `ReplyError` an
error, and the small classes of `reply_types` represent the other types. RESP2 clients get Redis's flattened forms.

Requests. Well-formed pipelines are parsed in C by hiredis, in whole batches. hiredis is made for replies, so it
accepts more than Redis accepts from clients (`+x` as an argument) and trusts array lengths. Two checks prevent this:
batches with a suspiciously large count are not passed to it, and the size of a batch must equal the canonical length
of the result. Everything else (inline commands, incomplete requests, all errors) is parsed by `Request`, our own
incremental parser, which has Redis's limits and error messages.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import re
from collections.abc import Callable
from itertools import islice
from math import copysign, inf
from typing import Any, Final

import hiredis

from engine.protocol.errors import ReplyError
from engine.protocol.numbers import format_fraction
from engine.protocol.reply_types import (
    NO_REPLY,
    NULL_ARRAY,
    OK,
    PONG,
    QUEUED,
    Attribute,
    BigNumber,
    MapReply,
    NoReply,
    NullArray,
    Push,
    RawReply,
    Reply,
    SetReply,
    Status,
    Verbatim,
)

Argv = list[bytes]

_EXACT: Final = float(2**62)  # integral doubles up to here are formatted as integers


def format_double(value: float) -> bytes:
    """Return a text that parses to the same double, in Redis's format (`3`, `0.1`, `1e+20`, `inf`)."""
    if value.is_integer() and -_EXACT <= value <= _EXACT:
        return b"%d" % value if value or copysign(1.0, value) > 0 else b"-0"
    if value != value:
        return b"nan"
    if value in (inf, -inf):
        return b"inf" if value > 0 else b"-inf"
    return format_fraction(value)


Encoder = Callable[[Any], bytes]


def _encode_error(value: ReplyError) -> bytes:
    text = value.text if value.line_ends else value.text.replace(b"\r", b" ").replace(b"\n", b" ")
    return b"-%b\r\n" % text


# Headers of bulk strings by length, preceded by the end of the previous line.
_HEADERS: Final = [b"\r\n$%d\r\n" % size for size in range(1024)]
_header_of = _HEADERS.__getitem__


def _sequence(kind: bytes, count: int, items: Any, encoders: "dict[type, Encoder]") -> bytes:
    """Encode an aggregate. Lists that contain only bytes, the usual case, are joined in C: four times as fast."""
    size = len(items)
    if size == 2 and type(items[0]) is bytes:
        # Pairs within arrays, such as stream entries: half the time.
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


# Encoders by type of reply value, for each protocol version.
ENCODERS: tuple[dict[type, Encoder], ...] = ({}, {}, _RESP2, _RESP3)


def encode2(value: Reply) -> bytes:
    """Encode a reply value for a RESP2 client."""
    return _RESP2[type(value)](value)


def encode3(value: Reply) -> bytes:
    """Encode a reply value for a RESP3 client."""
    return _RESP3[type(value)](value)


def encode_command(argv: Argv) -> bytes:
    """Encode a command as an array of bulk strings, the format of clients and replication streams."""
    if len(argv) == 3:  # the most common size of writes
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

_MANY: Final = 16  # a batch pays off if at least this many arguments are missing and bytes available
_MANY_BYTES: Final = 512
BIG_ARGUMENT_BYTES: Final = 32 * 1024  # Redis reads an argument of at least this size into a separate buffer
INLINE_MAX: Final = 64 * 1024
_MULTIBULK_MAX: Final = 2**31 - 1
READ_AT_ONCE: Final = 64 * 1024  # bytes; longer requests are parsed more slowly, in pieces
_LONG_COUNT: Final = re.compile(rb"\*[0-9]{6}")
_OTHER_MARKER: Final = re.compile(rb"\n[=~>](?!\r)")  # a verbatim string, set or push; a lone marker is an argument


class ProtocolError(Exception):
    """An invalid request: the client receives `-ERR Protocol error: <text>` and is disconnected."""


class RequestLimits:
    """The limits for requests in bytes. `authenticated` lifts the lower limits for unauthenticated clients."""

    __slots__ = ("authenticated", "bulk_max")

    def __init__(self, bulk_max: int = 512 * 1024 * 1024, authenticated: bool = True) -> None:
        self.bulk_max = bulk_max
        self.authenticated = authenticated


class Request:
    """An incomplete request: unparsed bytes, and the state of parsing. Plain data that belongs to a client."""

    __slots__ = ("args", "args_bytes", "big", "buffer", "bulk_length", "looked", "missing")

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.looked = 0  # size of the prefix of the buffer that is known to contain no line break
        self.missing = 0  # remaining arguments of a multibulk request
        self.bulk_length = -1  # of the current argument; -1 before its header
        self.args: Argv = []
        self.args_bytes = 0
        self.big = 0  # the size of the last large argument since this was last set to 0

    @property
    def begins(self) -> bool:
        """Whether the buffer starts with a new multibulk request."""
        return not self.missing and self.buffer[:1] == b"*"

    @property
    def memory(self) -> int:
        """Its memory usage in bytes."""
        return len(self.buffer) + self.args_bytes

    def next(self, limits: RequestLimits) -> Argv | None:
        """Return the next complete request, or None if more bytes are needed.

        An empty list is a request without arguments (an empty line, `*0`), which Redis skips.
        """
        if not self.missing:
            if not self.buffer:
                return None
            if self.buffer[0] != 42:  # '*'
                return self._inline()
            line = self._line(b"too big mbulk count string")
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

    def _arguments(self, limits: RequestLimits) -> Argv | None:
        buffer = self.buffer
        many = limits.authenticated
        while self.missing:
            if self.bulk_length < 0:
                if many and self.missing >= _MANY and len(buffer) >= _MANY_BYTES:
                    many = self._take_many(limits)
                    continue
                line = self._line(b"too big bulk count string", consume=False)
                if line is None:
                    return None
                if line[:1] != b"$":
                    raise ProtocolError(b"expected '$', got '%b'" % line[:1])
                self.consume(len(line) + 2)
                length = _strict_integer(line[1:])
                if length is None or length < 0 or length > limits.bulk_max:
                    raise ProtocolError(b"invalid bulk length")
                if length > 16384 and not limits.authenticated:
                    raise ProtocolError(b"unauthenticated bulk length")
                self.bulk_length = length
                if length >= BIG_ARGUMENT_BYTES:
                    self.big = length
            if len(buffer) < self.bulk_length + 2:
                return None
            self.args.append(bytes(memoryview(buffer)[: self.bulk_length]))
            self.args_bytes += self.bulk_length
            self.consume(self.bulk_length + 2)
            self.bulk_length = -1
            self.missing -= 1
        args, self.args = self.args, []
        self.args_bytes = 0
        return args

    def _take_many(self, limits: RequestLimits) -> bool:
        """Parse the complete arguments at the start of the buffer. Returns False if none is in canonical form."""
        piece = bytes(memoryview(self.buffer)[:READ_AT_ONCE])
        args, size = whole_bulks(piece, self.missing)
        if not args or (largest := max(map(len, args))) > limits.bulk_max:
            return False
        if largest >= BIG_ARGUMENT_BYTES:
            self.big = big_argument([args])
        self.consume(size)
        self.args += args
        self.args_bytes += len(b"".join(args))
        self.missing -= len(args)
        return True

    def consume(self, size: int) -> None:
        """Drop processed bytes from the start of the buffer."""
        del self.buffer[:size]
        self.looked = 0

    def _line(self, too_big: bytes, consume: bool = True) -> bytes | None:
        end = self.buffer.find(b"\r", self.looked)
        if end < 0:
            self.looked = len(self.buffer)
            if self.looked > INLINE_MAX:
                raise ProtocolError(too_big)
            return None
        if end + 1 >= len(self.buffer):
            return None
        line = bytes(self.buffer[:end])
        if consume:
            self.consume(end + 2)
        return line

    def _inline(self) -> Argv | None:
        end = self.buffer.find(b"\n", self.looked)
        nul = self.buffer.find(b"\0", self.looked, len(self.buffer) if end < 0 else end)
        if end < 0 or nul >= 0:  # Redis does not search for the line break after a NUL
            self.looked = len(self.buffer) if nul < 0 else nul
            if len(self.buffer) > INLINE_MAX:
                raise ProtocolError(b"too big inline request")
            return None
        line = bytes(self.buffer[:end]).removesuffix(b"\r")
        self.consume(end + 1)
        args = split_args(line)
        if args is None:
            raise ProtocolError(b"unbalanced quotes in request")
        return args


def _strict_integer(text: bytes) -> int | None:
    """Parse a decimal as Redis's string2ll does: no spaces, no plus sign, no leading zeros, 64 bits."""
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or len(digits) > 19 or (digits[0] == 48 and len(text) > 1):
        return None
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


_ESCAPES: Final = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_SPACE: Final = frozenset(b" \n\r\t\v\f\0")
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


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


def big_argument(requests: list[Argv]) -> int:
    """Return the size of the last large argument in requests; 0 if there is none."""
    sizes = [len(arg) for argv in requests for arg in argv if len(arg) >= BIG_ARGUMENT_BYTES]
    return sizes[-1] if sizes else 0


def whole_bulks(data: bytes, most: int) -> tuple[Argv, int]:
    """Return up to `most` complete arguments at the start of `data`, and the number of bytes used.

    For requests with so many arguments that they arrive in pieces. hiredis is fastest if it parses them as one array,
    for which their number and their end must be known: each argument begins with the marker `$`. If arguments contain
    markers, they are parsed one by one.
    """
    end = _end_of_bulks(data)
    count = data.count(b"$", 0, end)
    if 0 < count <= most:
        reader = hiredis.Reader()
        try:
            reader.feed(b"*%d\r\n" % count)
            reader.feed(data[:end])
            args: Argv = reader.gets() or []
            size = len(b"".join(args)) + sum(map(_BULK_HEADER.__getitem__, map(len, args)))
            if size == end and not reader.has_data() and (b"=" not in data or data.startswith(_bulks(args))):
                return args, size
        except (hiredis.HiredisError, TypeError, IndexError):
            pass
    reader = hiredis.Reader()
    args = []
    try:
        reader.feed(data)
        args.extend(islice(iter(reader.gets, False), most))
    except hiredis.HiredisError:
        pass  # the arguments before it may be valid
    try:
        encoded = _bulks(args)
    except TypeError:
        return [], 0  # not all arguments are bytes
    return (args, len(encoded)) if data.startswith(encoded) else ([], 0)


def _bulks(args: Argv) -> bytes:
    return b"".join([b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args])


def _end_of_bulks(data: bytes) -> int:
    """Return the end of the complete arguments in `data` according to their markers; 0 if unknown."""
    request = data.find(b"\r\n*") + 2  # the next request
    stop = request if request > 1 else len(data)
    mark = data.rfind(b"$", 0, stop)
    header = data.find(b"\r\n", mark, stop)
    size = data[mark + 1 : header] if header > mark else b""
    if size.isdigit() and len(size) < 10 and header + int(size) + 4 <= stop:
        return header + int(size) + 4
    return max(0, mark)


class BatchParser:
    """Parses batches of canonical requests in C. One instance serves all clients of a node: it has no state.

    hiredis parses replies, so it accepts more than a valid request: other types than arrays of bulk strings, and
    counts that would make it allocate memory. Therefore the size of the input is compared with the encoded size of
    the result, and anything that may not be a valid request is left to `Request`.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Release memory used for parsing."""
        self._reader = hiredis.Reader()

    def __reduce__(self) -> tuple[type["BatchParser"], tuple[()]]:
        return BatchParser, ()

    def parse(self, data: bytes) -> tuple[list[Argv], int]:
        """Return the complete requests at the start of `data`, and the number of bytes used.

        Anything but canonical multibulk requests ends the batch: the caller passes the rest to `Request`.
        """
        last = data.rfind(b"*")
        if last == 0:
            # One request, from a client that waits for each reply: splitting takes half the time of a reader. An
            # argument that contains a line break does not match the expected size.
            parts = data.split(b"\r\n")
            argv = parts[_ARGUMENTS]
            if parts[0] == _ARRAY_LENGTH[len(argv) & 63]:
                i = 1
                for arg in argv:
                    if parts[i] != _BULK_LENGTH[len(arg) & 1023]:
                        break
                    i += 2
                else:
                    if i + 1 == len(parts) and not parts[i]:
                        return [argv], len(data)
        if len(data) <= READ_AT_ONCE:
            return self._parse_piece(data, last > 0)
        # For every kilobyte parsed, a reader moves all its remaining data: pass it small pieces.
        batch: list[Argv] = []
        at = 0
        while at < len(data):
            piece = data[at : at + READ_AT_ONCE]
            found, used = self._parse_piece(piece, piece.rfind(b"*") > 0)
            if not used:
                break
            batch += found
            at += used
        return batch, at

    def _parse_piece(self, data: bytes, several: bool) -> tuple[list[Argv], int]:
        if data[0] != 42 or data.find(b"\r", 0, 7) < 0 or (several and _LONG_COUNT.search(data)):
            return [], 0
        if (b"=" in data or b"~" in data or b">" in data) and _OTHER_MARKER.search(data):
            return self._parse_carefully(data)  # contains types that could be parsed as requests or arguments
        batch = self._parse_whole(data) if data.endswith(b"\r\n") else None
        if batch is None:
            # A piece of a long pipeline ends within a request: the ones before it may be complete.
            end = data.rfind(b"\r\n*") + 2
            head = data[:end]
            batch = self._parse_whole(head) if end > 2 else None
            if batch is None:
                return self._parse_carefully(data)
            return batch, end
        return batch, len(data)

    def _parse_whole(self, data: bytes) -> list[Argv] | None:
        """Return the requests in `data`, or None if it contains anything but canonical requests."""
        reader = self._reader
        batch: list[Argv] = []
        total = 0
        try:
            reader.feed(data)
            gets = reader.gets
            argv = gets()
            while argv:
                batch.append(argv)
                total += _ARRAY_HEADER[len(argv)] + len(b"".join(argv))  # joining fails unless all are bytes
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
        """Do the work of `parse` request by request, up to the first one that is incomplete or not canonical."""
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
    costs: list[int] = []
    while len(costs) < sizes:  # by number of digits: one by one would take a tenth of the startup
        digits = len(str(len(costs)))
        costs += [around + digits] * (10**digits - len(costs))
    return costs[:sizes]


_ARGUMENTS: Final = slice(2, None, 2)  # of the lines of a request
_ARRAY_LENGTH: Final = [
    None,
    *(b"*%d" % count for count in range(1, 64)),
]  # a request has an argument
_BULK_LENGTH: Final = [b"$%d" % size for size in range(1024)]
_ARRAY_HEADER: Final = _header_costs(4096, len(b"*\r\n"))  # overhead of a request, by its arguments
_BULK_HEADER: Final = _header_costs(READ_AT_ONCE + 1, len(b"$\r\n\r\n"))  # overhead of an argument, by its size

__all__ = [
    "BIG_ARGUMENT_BYTES",
    "ENCODERS",
    "INLINE_MAX",
    "NO_REPLY",
    "NULL_ARRAY",
    "OK",
    "PONG",
    "QUEUED",
    "READ_AT_ONCE",
    "Argv",
    "Attribute",
    "BatchParser",
    "BigNumber",
    "Encoder",
    "MapReply",
    "NoReply",
    "NullArray",
    "ProtocolError",
    "Push",
    "RawReply",
    "Reply",
    "Request",
    "RequestLimits",
    "SetReply",
    "Status",
    "Verbatim",
    "big_argument",
    "canonical_length",
    "encode2",
    "encode3",
    "encode_command",
    "format_double",
    "split_args",
    "whole_bulks",
]
