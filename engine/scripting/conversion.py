"""Replies and numbers between Redis and Lua.

What a command replies becomes a Lua value as the script's protocol (`redis.setresp`) has it; what a script returns
comes as a flat list of kinds and values in the order of the wire (see `flatten` in the prelude), so that no table of
a script is ever read from outside of it.
"""

import math
import re
import struct
from collections.abc import Callable
from typing import Any

from engine.errors import ReplyError
from engine.resp import (
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

DEEP = 100  # nested replies beyond this depth are encoded here: Python's own stack is not to be tried
_INT64 = 2**63

Table = Callable[[Any], Any]
Told = Callable[[ReplyError], None]


def format_number(value: float) -> bytes:
    """Return a number as `redis.call` passes it on: the shortest digits that read back as the same double."""
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
    """Return an error reply's text as a script sees it: with a code, without line ends."""
    code, space, message = text.partition(b" ")
    return b"%b %b" % ((code, message.strip(b"\r\n")) if space else (b"ERR", text.strip(b"\r\n")))


def to_lua(value: Reply, resp: int, table: Table) -> Any:
    """Return a reply as a Lua value in the protocol version that the script asked for."""
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
    """Return about how many bytes a reply takes as a Lua value."""
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
    """Return a Lua number as the integer that C's conversion makes of it."""
    if type(number) is int and -_INT64 <= number < _INT64:
        return number
    if number != number or not -_INT64 <= number < _INT64:
        return -_INT64
    return int(number)


def from_lua(kinds: list[Any], resp: int, client_resp: int, deepest: int, told: Told) -> Reply:
    """Return a script's reply from its flat form.

    `resp` is the script's protocol, `client_resp` the client's. `told` is called for errors that nobody counted.
    """
    if deepest > DEEP:
        return RawReply(b"".join(_encoded(kinds, resp, client_resp, told)))
    if kinds[0] == b"-":  # counted as the reply of the command that it is
        return ReplyError(kinds[1])
    value, _ = _value(kinds, 0, resp, told)
    return value


def scalar(value: Any, resp: int) -> Reply:
    """Return what a script returned, when it is no table."""
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


# --- what the bundled libraries ask of Python: pure functions over numbers and bytes ----------------------------


def double(little: bool, option: bytes, value: Any) -> Any:
    """Return the bytes of a number as float (`f`) or double (`d`), or the number of such bytes."""
    layout = ("<" if little else ">") + option.decode()
    if isinstance(value, bytes):
        return struct.unpack(layout, value)[0]
    try:
        return struct.pack(layout, value)
    except OverflowError:
        return struct.pack(layout, math.copysign(math.inf, value))


def _word(value: float) -> int:
    if type(value) is not int:
        if value != value or value in (math.inf, -math.inf):
            return 0
        value = round(value)
    return value & 0xFFFFFFFF


def _signed(value: int) -> float:
    value &= 0xFFFFFFFF
    return float(value - (1 << 32) if value & 0x80000000 else value)


def bits(name: bytes, first: float, second: float) -> Any:
    """Return the result of one of the operations of Lua's `bit` library."""
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


# --- tail calls ---------------------------------------------------------------------------------------------------

_LUA_PIECES = re.compile(
    rb"--\[(?P<c>=*)\[.*?\](?P=c)\]|--[^\n]*|\[(?P<s>=*)\[.*?\](?P=s)\]"
    rb"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    rb"|(?P<tail>(?<![\w.])return(?=[ \t\r\n]+(?:redis[ \t]*\.[ \t]*\w+|[sg]etfenv|math\.random\w*|cjson\.\w+"
    rb"|bit\.\w+|struct\.(?:pack|size)|cmsgpack\.pack)[ \t]*[({\"']))",
    re.S,
)


def keep_frames(source: bytes) -> bytes:
    """Return a script in which `return redis.call(…)` is no tail call.

    Ours are functions in Lua, where Redis's are C: a tail call would leave no frame of the script to take the line
    number of an error from. `nil or f()` is the same value, of functions that return one.
    """
    if b"return" not in source:
        return source
    return _LUA_PIECES.sub(lambda match: b"return nil or" if match["tail"] else match[0], source)
