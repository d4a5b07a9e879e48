"""Replies of another server as typed values, parsed from bytes that arrive in pieces.

    take = ReplyReader()
    reply = take(buffer)       removes the next reply from the buffer; None if it is incomplete

Values have the same types as those returned by handlers: `Status`, `ReplyError`, `int`, `bytes`, lists, `NULL_ARRAY`
for both nulls. The parsed part of an incomplete array is kept, so each byte is parsed once. The other end may be
hostile: exceeding the limits of a reply raises ProtocolError before memory is allocated.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from typing import Any, Final

from engine.protocol.errors import ReplyError
from engine.protocol.resp import NULL_ARRAY, ProtocolError, Status

SIZE_MAX_BYTES: Final = 1 << 20
DEPTH_MAX: Final = 7
LINE_MAX_BYTES: Final = 64 * 1024
NUMBER_MAX_DIGITS: Final = 20


class ReplyReader:
    """Parses the replies of one connection from its buffer."""

    __slots__ = ("_open", "_size")

    def __init__(self) -> None:
        self._open: list[tuple[list[Any], int]] = []  # incomplete arrays, with the total number of items of each
        self._size = 0  # size of the reply so far in bytes; each array item counts at least as its header

    def __call__(self, buffer: bytearray) -> Any:
        """Remove and return the next reply; None if it is incomplete. Raises ProtocolError."""
        if not self._open and buffer.startswith(b"+"):
            line_end = buffer.find(b"\r\n", 1, LINE_MAX_BYTES)
            if line_end > 0:
                status = Status(bytes(buffer[1:line_end]))
                del buffer[: line_end + 2]
                return status
        position = 0
        try:
            while True:
                line_end = buffer.find(b"\r\n", position, position + LINE_MAX_BYTES + 2)
                if line_end < 0:
                    if len(buffer) - position > LINE_MAX_BYTES:
                        raise ProtocolError(b"too long a line in a reply")
                    return None
                kind = buffer[position]
                text = bytes(buffer[position + 1 : line_end])
                after = line_end + 2
                value: Any
                if kind == 0x24:  # $
                    length = int(text) if text.isdigit() and len(text) < NUMBER_MAX_DIGITS else _number(text)
                    if length > SIZE_MAX_BYTES:
                        raise ProtocolError(b"too big a reply")
                    if length < 0:
                        value = NULL_ARRAY
                    else:
                        end = after + length
                        if len(buffer) < end + 2:
                            return None
                        value = bytes(buffer[after:end])
                        after = end + 2
                elif kind in b"*>":
                    count = _number(text)
                    self._grow(max(count, 0))
                    if count > 0:
                        if len(self._open) >= DEPTH_MAX:
                            raise ProtocolError(b"too deep a reply")
                        self._open.append(([], count))
                        position = after
                        continue
                    value = NULL_ARRAY if count < 0 else []
                elif kind == 0x2B:  # +
                    value = Status(text)
                elif kind == 0x2D:  # -
                    value = ReplyError(text)
                elif kind == 0x3A:  # :
                    value = _number(text)
                else:
                    raise ProtocolError(b"no reply begins with this byte")
                self._grow(after - position)
                position = after
                while self._open:
                    items, count = self._open[-1]
                    items.append(value)
                    if len(items) < count:
                        break
                    self._open.pop()
                    value = items
                else:
                    self._size = 0
                    return value
        finally:
            del buffer[:position]

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > SIZE_MAX_BYTES:
            raise ProtocolError(b"too big a reply")


def _number(text: bytes) -> int:
    digits = text[1:] if text[:1] in (b"-", b"+") else text
    if not digits.isdigit() or len(digits) > NUMBER_MAX_DIGITS:
        raise ProtocolError(b"not a number in a reply")
    return int(text)
