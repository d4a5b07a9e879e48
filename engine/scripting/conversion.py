"""Replies and numbers between Redis and Lua.

A command's reply becomes a Lua value in the script's protocol (`redis.setresp`); a script's result
arrives as a flat list of kinds and values in wire order (see `flatten` in `run.lua`), so a script's tables are
never accessed from Python.
"""

import math
import struct
from collections.abc import Callable
from typing import Any

from engine.protocol.errors import ReplyError
from engine.protocol.resp import (
    Attribute,
    BigNumber,
    MapReply,
    NullArray,
    Push,
    RawReply,
    Reply,
    SetReply,
    Status,
    Verbatim,
    encode2,
    encode3,
    format_double,
)

DEEP = 100  # nested replies beyond this depth are encoded here, to spare Python's stack
_INT64 = 2**63
_EXACT = 2**51

Table = Callable[[Any], Any]
Told = Callable[[ReplyError], None]


def format_number(value: float) -> bytes:
    """Format a number for `redis.call`: the shortest digits that parse to the same double."""
    if value != value:
        return b"-nan" if math.copysign(1, value) < 0 else b"nan"
    if value in (math.inf, -math.inf):
        return b"inf" if value > 0 else b"-inf"
    sign = b"-" if math.copysign(1, value) < 0 else b""
    if not value:
        return sign + b"0"
    mantissa, _, exponent = repr(abs(float(value))).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    power = int(exponent or 0) - len(fraction)
    stripped = digits.rstrip("0")
    power += len(digits) - len(stripped)
    text = stripped.lstrip("0")
    count = len(text)
    magnitude = abs(power + count - 1)
    if power >= 0 and magnitude < count + 7:
        return sign + (text + "0" * power).encode()
    if power < 0 and (power > -7 or magnitude < 4):
        at = count + power
        shown = "0." + "0" * -at + text if at <= 0 else text[:at] + "." + text[at:]
        return sign + shown.encode()
    shown = text[0] + ("." + text[1:] if count > 1 else "")
    return b"%b%be%b%d" % (sign, shown.encode(), b"-" if power + count - 1 < 0 else b"+", magnitude)


def error_text(text: bytes) -> bytes:
    """Return an error reply's text as scripts see it: with an error code, without line breaks."""
    code, space, message = text.partition(b" ")
    return b"%b %b" % ((code, message.strip(b"\r\n")) if space else (b"ERR", text.strip(b"\r\n")))


def to_lua(value: Reply, resp: int, table: Table) -> Any:
    """Convert a reply to a Lua value in the protocol version chosen by the script."""
    kind = type(value)
    if kind is bytes:
        return value
    if kind is int:
        return float(value)
    if kind is Status:
        return table({b"ok": bytes(value)})
    if kind is ReplyError:
        return table({b"err": error_text(value.text), b"ignore_error_stats_update": True})
    if kind is list or kind is tuple or kind is Push or (resp == 2 and kind in (SetReply, MapReply)):
        return table([item if type(item) is bytes else to_lua(item, resp, table) for item in value])
    if value is None or kind is NullArray:
        return False if resp == 2 else None
    if kind is bool:
        return value if resp == 3 else float(value)
    if kind is float:
        return table({b"double": value}) if resp == 3 else format_double(value)
    if kind is bytearray:
        return bytes(value)
    if kind is dict:
        flat = [part for pair in value.items() for part in pair]
        return _map(flat, table) if resp == 3 else to_lua(flat, resp, table)
    if kind is MapReply:
        return _map(value, table)
    if kind is SetReply:
        members = table({})
        for item in value:
            members[to_lua(item, resp, table)] = True
        return table({b"set": members})
    if kind is Verbatim:
        if resp == 2:
            return bytes(value.text)
        return table({b"verbatim_string": table({b"string": bytes(value.text), b"format": bytes(value.format)})})
    if kind is BigNumber:
        return table({b"big_number": bytes(value)}) if resp == 3 else bytes(value)
    if kind is Attribute:
        return to_lua(value.reply, resp, table)
    return False


def _map(flat: list[Reply], table: Table) -> Any:
    pairs = table({})
    for i in range(0, len(flat), 2):
        key = to_lua(flat[i], 3, table)
        if key is not None:
            pairs[key] = to_lua(flat[i + 1], 3, table)
    return table({b"map": pairs})


def room_of(value: Reply) -> int:
    """Return the approximate size of a reply as a Lua value in bytes."""
    kind = type(value)
    if kind is bytes:
        return 40 + len(value)
    if kind is dict:
        return 120 + sum(40 + room_of(key) + room_of(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return 120 + sum([24 + (40 + len(item) if type(item) is bytes else room_of(item)) for item in value])
    if isinstance(value, bytes | bytearray):
        return 150 + len(value)
    if kind is Verbatim:
        return 300 + len(value.text)
    return 150


def integer_of(number: float) -> int:
    """Convert a Lua number to an integer as C does."""
    if type(number) is int and -_INT64 <= number < _INT64:
        return number
    if number != number or not -_INT64 <= number < _INT64:
        return -_INT64
    return int(number)


def from_lua(kinds: list[Any], resp: int, client_resp: int, deepest: int, told: Told) -> Reply:
    """Convert a script's result from its flat form to a reply.

    `resp` is the script's protocol, `client_resp` the client's. `told` is called for errors that are not counted yet.
    """
    if deepest > DEEP:
        return RawReply(b"".join(_encoded(kinds, resp, client_resp, told)))
    if kinds[0] == b"-":  # already counted as the reply of a command
        return ReplyError(kinds[1])
    value, _ = _value(kinds, 0, resp, told)
    return value


def scalar(value: Any, resp: int) -> Reply:
    """Convert a result that is not a table."""
    if type(value) is bytes or value is None:
        return value
    if type(value) is bool:
        return value if resp == 3 else 1 if value else None
    return integer_of(value)


def _simple(kind: bytes, value: Any, resp: int, told: Told) -> Reply:
    if kind == b"$":
        return value
    if kind == b":":
        return integer_of(value)
    if kind == b"#":
        return scalar(value, resp)
    if kind == b"+":
        return Status(value.replace(b"\r", b" ").replace(b"\n", b" "))
    if kind in (b"-", b"!"):
        error = ReplyError(value)
        error.counted = kind == b"!"
        if not error.counted:
            told(error)
        return error
    if kind == b",":
        return float(value)
    if kind == b"(":
        return BigNumber(value.replace(b"\r", b" ").replace(b"\n", b" "))
    if kind == b"=":
        return Verbatim(value[3:], value[:3])
    return None


def _value(kinds: list[Any], at: int, resp: int, told: Told) -> tuple[Reply, int]:
    kind, value = kinds[at], kinds[at + 1]
    at += 2
    if kind not in (b"*", b"%", b"~"):
        return _simple(kind, value, resp, told), at
    items: list[Reply] = [] if kind == b"*" else MapReply() if kind == b"%" else SetReply()
    for _ in range(int(value) * (2 if kind == b"%" else 1)):
        item, at = _value(kinds, at, resp, told)
        items.append(item)
    return items, at


def _encoded(kinds: list[Any], resp: int, client_resp: int, told: Told) -> list[bytes]:
    encode = encode3 if client_resp == 3 else encode2
    out = []
    for kind, value in zip(kinds[::2], kinds[1::2], strict=True):
        if kind not in (b"*", b"%", b"~"):
            out.append(encode(_simple(kind, value, resp, told)))
        elif client_resp == 3:
            out.append(b"%b%d\r\n" % (kind, value))
        else:
            out.append(b"*%d\r\n" % (value * 2 if kind == b"%" else value))
    return out


# --- used by the bundled libraries: pure functions of numbers and bytes -----------------------------------------


def double(little: bool, option: bytes, value: Any) -> Any:
    """Convert a number to the bytes of a float (`f`) or double (`d`), or the other way around."""
    layout = ("<" if little else ">") + option.decode()
    if isinstance(value, bytes):
        return struct.unpack(layout, value)[0]
    try:
        return struct.pack(layout, value)
    except OverflowError:
        return struct.pack(layout, math.copysign(math.inf, value))


def _word(value: float) -> int:
    if type(value) is int and -_EXACT < value < _EXACT:
        return value & 0xFFFFFFFF
    # The library adds a constant, so that the lowest bits of the sum are the integer nearest to the value.
    return int.from_bytes(struct.pack("<d", value + 6755399441055744.0)[:4], "little")


def _signed(value: int) -> float:
    value &= 0xFFFFFFFF
    return float(value - (1 << 32) if value & 0x80000000 else value)


def bits(name: bytes, first: float, second: float) -> Any:
    """Execute an operation of Lua's `bit` library."""
    a, b = _word(first), _word(second)
    n = b & 31
    if name == b"tobit":
        return _signed(a)
    if name == b"bnot":
        return _signed(~a)
    if name == b"band":
        return _signed(a & b)
    if name == b"bor":
        return _signed(a | b)
    if name == b"bxor":
        return _signed(a ^ b)
    if name == b"lshift":
        return _signed(a << n)
    if name == b"rshift":
        return _signed(a >> n)
    if name == b"arshift":
        return _signed(int(_signed(a)) >> n)
    if name == b"rol":
        return _signed(a << n | a >> (32 - n))
    if name == b"ror":
        return _signed(a >> n | a << (32 - n))
    if name == b"bswap":
        return _signed(int.from_bytes(a.to_bytes(4, "little"), "big"))
    digits = int(_signed(b))
    layout = b"%08X" if digits < 0 else b"%08x"
    count = min(abs(digits), 8)
    return (layout % a)[8 - count :]
