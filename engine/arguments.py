"""Reading arguments, with Redis's exact errors.

Every function takes the bytes that a client sent and returns a Python value, or raises the `ReplyError` that Redis
gives for it. What counts as an integer is strict, as in Redis: no spaces, no plus sign, no leading zeros.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import re
from math import inf
from typing import TYPE_CHECKING

from engine.errors import NOT_A_FLOAT, NOT_AN_INTEGER, SYNTAX, ReplyError

if TYPE_CHECKING:
    from engine.client import Client

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_INTEGER = re.compile(rb"(?:0|-?[1-9][0-9]{0,18})\Z")
_FLOAT = re.compile(
    rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?|0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*"
    rb"|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?)\Z",
    re.IGNORECASE,
)
_NOT_ZERO = re.compile(rb"[+-]?(?:0[xX][0.]*[1-9a-fA-F]|[0.]*[1-9])")


# The integers that requests mostly hold: a look-up costs a fifth of reading the text.
_SMALL = {b"%d" % number: number for number in range(-128, 1025)}


def parse_integer(text: bytes) -> int | None:
    """Return a 64-bit signed integer, or None if the text is not one in canonical form."""
    value = _SMALL.get(text)
    if value is not None:
        return value
    if _INTEGER.match(text):
        value = int(text)
        if INT64_MIN <= value <= INT64_MAX:
            return value
    return None


def parse_float(text: bytes) -> float | None:
    """Return a double as C's strtod reads it (hexadecimal and infinities too), or None.

    NaN is not a number; nor is what is too large for a double, or so small that it becomes 0.
    """
    if text.isdigit() and len(text) < 16:
        return float(text)
    if not _FLOAT.match(text):
        return None
    try:
        value = float.fromhex(text.decode()) if b"x" in text or b"X" in text else float(text)
    except OverflowError:
        return None
    if value in (inf, -inf):
        return value if b"n" in text or b"N" in text else None
    if not value and _NOT_ZERO.match(text):
        return None
    return value


def strtod(text: bytes) -> float | None:
    """Return a double where Redis calls strtod without further checks (ranges of scores); None if that fails.

    Nothing at all is 0, space before the number is skipped, a zero byte ends it, and large numbers are infinite.
    """
    text = text.split(b"\0", 1)[0]
    if not text:
        return 0.0
    text = text.lstrip(b" \t\n\v\f\r")
    if not _FLOAT.match(text):
        return None
    try:
        return float.fromhex(text.decode()) if b"x" in text or b"X" in text else float(text)
    except OverflowError:
        return -inf if text[:1] == b"-" else inf


def integer(arg: bytes, error: bytes = NOT_AN_INTEGER, low: int = INT64_MIN, high: int = INT64_MAX) -> int:
    """Read an integer within limits."""
    value = _SMALL.get(arg)
    if value is None:
        value = parse_integer(arg)
    if value is None or not low <= value <= high:
        raise ReplyError(error)
    return value


def int32(arg: bytes) -> int:
    """Read what is an `int` in Redis: the numbers of databases."""
    value = integer(arg)
    if not -(2**31) <= value < 2**31:
        raise ReplyError(b"ERR value is out of range, value must between -2147483648 and 2147483647")
    return value


def positive(arg: bytes, error: bytes = b"ERR value is out of range, must be positive") -> int:
    """Read an integer of at least 0; the same error for what is none at all."""
    return integer(arg, error, 0)


def real(arg: bytes, error: bytes = NOT_A_FLOAT) -> float:
    """Read a double."""
    value = parse_float(arg)
    if value is None:
        raise ReplyError(error)
    return value


def timeout(ctx: "Client", arg: bytes, unit_ms: int = 1000) -> int | None:
    """Read a blocking command's timeout (in units of `unit_ms`); returns its deadline in ms, None for no limit."""
    if unit_ms == 1000:
        seconds = parse_float(arg)
        if seconds is None:
            raise ReplyError(b"ERR timeout is not a float or out of range")
        if seconds * 1000 > INT64_MAX:
            raise ReplyError(b"ERR timeout is out of range")
        if seconds * 1000 <= -1:
            raise ReplyError(b"ERR timeout is negative")
        span = seconds * 1000
        span_ms = int(span) + (span > int(span))  # rounded up: a tiny timeout is not "for ever"
    else:
        value = parse_integer(arg)
        if value is None:
            raise ReplyError(b"ERR timeout is not an integer or out of range")
        span_ms = value
    if span_ms < 0:
        raise ReplyError(b"ERR timeout is negative")
    if span_ms == 0:
        return None
    if span_ms > INT64_MAX - ctx.node.now_ms:
        raise ReplyError(b"ERR timeout is out of range")
    return ctx.node.now_ms + span_ms


def syntax_error() -> ReplyError:
    """Return the error for options that do not parse."""
    return ReplyError(SYNTAX)
