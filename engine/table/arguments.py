"""Parsing arguments, with Redis's exact errors.

Every function takes the bytes that a client sent and returns a Python value, or raises the `ReplyError` that Redis
returns. Integers are strict, as in Redis: no spaces, no plus sign, no leading zeros.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from engine.protocol.errors import NOT_A_FLOAT, NOT_AN_INTEGER, SYNTAX, ReplyError
from engine.protocol.numbers import INT64_MAX, INT64_MIN, SMALL_INTEGERS, parse_float, parse_integer
from engine.timers import Clock


def integer(arg: bytes, error: bytes = NOT_AN_INTEGER, low: int = INT64_MIN, high: int = INT64_MAX) -> int:
    """Parse an integer within limits."""
    value = SMALL_INTEGERS.get(arg)
    if value is None:
        value = parse_integer(arg)
    if value is None or not low <= value <= high:
        raise ReplyError(error)
    return value


def int32(arg: bytes) -> int:
    """Parse an integer that is an `int` in Redis, such as a database number."""
    value = integer(arg)
    if not -(2**31) <= value < 2**31:
        raise ReplyError(b"ERR value is out of range, value must between -2147483648 and 2147483647")
    return value


def positive(arg: bytes, error: bytes = b"ERR value is out of range, must be positive") -> int:
    """Parse an integer of at least 0; invalid integers raise the same error."""
    return integer(arg, error, 0)


def real(arg: bytes, error: bytes = NOT_A_FLOAT) -> float:
    """Parse a double."""
    value = parse_float(arg)
    if value is None:
        raise ReplyError(error)
    return value


def timeout(clock: Clock, arg: bytes, unit_ms: int = 1000) -> int | None:
    """Parse a blocking command's timeout (in units of `unit_ms`). Returns its monotonic deadline, or None."""
    if unit_ms == 1000:
        seconds = parse_float(arg)
        if seconds is None:
            raise ReplyError(b"ERR timeout is not a float or out of range")
        if seconds * 1000 > INT64_MAX:
            raise ReplyError(b"ERR timeout is out of range")
        if seconds * 1000 <= -1:
            raise ReplyError(b"ERR timeout is negative")
        span = seconds * 1000
        span_ms = int(span) + (span > int(span))  # rounded up: a tiny timeout must not become 0, which means forever
    else:
        value = parse_integer(arg)
        if value is None:
            raise ReplyError(b"ERR timeout is not an integer or out of range")
        span_ms = value
    if span_ms < 0:
        raise ReplyError(b"ERR timeout is negative")
    if span_ms == 0:
        return None
    if span_ms > INT64_MAX - clock.now_ms:
        raise ReplyError(b"ERR timeout is out of range")
    return clock.monotonic_us + span_ms * 1000


def syntax_error() -> ReplyError:
    """Return the error for invalid options."""
    return ReplyError(SYNTAX)
