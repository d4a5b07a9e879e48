"""Numbers as text: parsing of integers and doubles, 80-bit long doubles, and formatting of doubles as in Redis.

Integers are strict, as in Redis: no spaces, no plus sign, no leading zeros.

INCRBYFLOAT and HINCRBYFLOAT compute with the C compiler's `long double`, which on x86 has a 64-bit mantissa. Its
sums and its text differ from a Python float's in the last digits, which clients see; therefore it is implemented with
integers: a number is `mantissa * 2**exponent`, rounded half to even after every operation as by the processor.

Doubles (scores, ZINCRBY, GEODIST) are formatted with Grisu2, as in Redis. The text always parses to the same double,
but in one case in a thousand it is not the shortest one, so `repr` cannot be used.
(Florian Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers", 2010.)

https://redis.io/docs/latest/commands/incrbyfloat/
"""

import re
from functools import lru_cache
from math import inf
from struct import pack, unpack
from typing import Final

from engine.protocol.caches import cleared_when_idle

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_INTEGER: Final = re.compile(rb"(?:0|-?[1-9][0-9]{0,18})\Z")
_LEADING_INTEGER: Final = re.compile(rb"[ \t\n\v\f\r]*([+-]?)0*([0-9]+)")
_FLOAT: Final = re.compile(
    rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?|0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*"
    rb"|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?)\Z",
    re.IGNORECASE,
)
_NOT_ZERO: Final = re.compile(rb"[+-]?(?:0[xX][0.]*[1-9a-fA-F]|[0.]*[1-9])")


# The most frequent integers in requests: a lookup takes a fifth of the time of parsing.
SMALL_INTEGERS: Final = {b"%d" % number: number for number in range(-128, 1025)}


def parse_integer(text: bytes) -> int | None:
    """Parse a 64-bit signed integer; None if the text is not in canonical form."""
    value = SMALL_INTEGERS.get(text)
    if value is not None:
        return value
    if _INTEGER.match(text):
        value = int(text)
        if INT64_MIN <= value <= INT64_MAX:
            return value
    return None


def parse_float(text: bytes) -> float | None:
    """Parse a double as C's strtod does, including hexadecimal numbers and infinities; None if invalid.

    NaN is rejected, and so are numbers that overflow a double or underflow to 0.
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


def as_int(number: int) -> int:
    """Convert a number to a 32-bit C int: large ones wrap around."""
    return (number + (1 << 31)) % (1 << 32) - (1 << 31)


def strtoll(text: bytes) -> int:
    """Return the integer at the start of a text as C's strtoll does, clamped to 64 bits; 0 if there is none."""
    match = _LEADING_INTEGER.match(text)
    if match is None:
        return 0
    sign, digits = match.groups()
    value = int(digits) if len(digits) < 20 else INT64_MAX + 1
    return max(INT64_MIN, -value) if sign == b"-" else min(INT64_MAX, value)


def strtod(text: bytes) -> float | None:
    """Return a double where Redis calls strtod without further checks (ranges of scores); None if that fails.

    An empty text is 0, leading spaces are skipped, a NUL ends the text, and numbers that are too large are infinite.
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


_MANTISSA_BITS: Final = 64
_MAX_EXPONENT: Final = 16384 - 64  # of the integer mantissa of the largest numbers
_MIN_EXPONENT: Final = -16445  # of the smallest (denormal) number
_MAX_CHARS: Final = 5 * 1024

_DECIMAL: Final = re.compile(rb"([+-]?)(?:([0-9]+)\.?([0-9]*)|\.([0-9]+))(?:[eE]([+-]?[0-9]+))?\Z")
_HEXADECIMAL: Final = re.compile(
    rb"([+-]?)0[xX](?:([0-9a-fA-F]+)\.?([0-9a-fA-F]*)|\.([0-9a-fA-F]+))(?:[pP]([+-]?[0-9]+))?\Z"
)
_INFINITE: Final = re.compile(rb"([+-]?)inf(?:inity)?\Z", re.IGNORECASE)


class LongDouble:
    """An 80-bit extended number; immutable. `finite` is False for the infinities (there is no NaN)."""

    __slots__ = ("exponent", "finite", "mantissa")

    def __init__(self, mantissa: int, exponent: int = 0, finite: bool = True) -> None:
        self.mantissa = mantissa  # signed; up to 64 bits
        self.exponent = exponent
        self.finite = finite

    def __add__(self, other: "LongDouble") -> "LongDouble":
        """Return the rounded sum; it is not finite if it is too large or an operand is infinite."""
        if not (self.finite and other.finite):
            return LongDouble(1, 0, False)
        low = min(self.exponent, other.exponent)
        total = (self.mantissa << self.exponent - low) + (other.mantissa << other.exponent - low)
        return _rounded(total, low, 0)

    def human(self) -> bytes:
        """Format it as INCRBYFLOAT does: up to 17 decimals, without trailing zeros or exponent."""
        if not self.finite:
            return b"inf" if self.mantissa > 0 else b"-inf"
        magnitude = abs(self.mantissa)
        if self.exponent >= 0:
            text = _decimal(magnitude << self.exponent)
        else:
            scaled = _divide(magnitude * 10**17, 1 << -self.exponent)
            whole, decimals = divmod(scaled, 10**17)
            text = b"%d" % whole
            if decimals:
                text += b"." + (b"%017d" % decimals).rstrip(b"0")
        return b"-" + text if self.mantissa < 0 and text != b"0" else text


_LIMIT: Final = 10**4000  # Python converts at most 4,300 digits at a time


def _decimal(value: int) -> bytes:
    high, low = divmod(value, _LIMIT)
    return b"%d%04000d" % (high, low) if high else b"%d" % low


def _integer(digits: bytes) -> int:
    return int(digits[:-4000] or b"0") * _LIMIT + int(digits[-4000:]) if len(digits) > 4000 else int(digits)


def _divide(numerator: int, denominator: int) -> int:
    """Divide positive integers, rounding half to even."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient & 1):
        quotient += 1
    return quotient


def _rounded(mantissa: int, exponent: int, sticky: int) -> LongDouble:
    """Round `mantissa * 2**exponent` to 64 bits; `sticky` is 1 if the exact number is slightly farther from 0."""
    magnitude = abs(mantissa)
    drop = max(magnitude.bit_length() - _MANTISSA_BITS, _MIN_EXPONENT - exponent)
    if drop > 0:
        half = 1 << drop - 1
        rest = magnitude & (2 * half - 1)
        magnitude >>= drop
        exponent += drop
        if rest > half or (rest == half and (sticky or magnitude & 1)):
            magnitude += 1
    if magnitude and magnitude.bit_length() - _MANTISSA_BITS + exponent > _MAX_EXPONENT:
        return LongDouble(-1 if mantissa < 0 else 1, 0, False)
    return LongDouble(-magnitude if mantissa < 0 else magnitude, exponent)


def parse_long_double(text: bytes) -> LongDouble | None:
    """Parse a number as C's strtold does; None if it is invalid or out of range."""
    if len(text) >= _MAX_CHARS:
        return None
    if match := _DECIMAL.match(text):
        sign, whole, decimals, only_decimals, power = match.groups()
        decimals = decimals or only_decimals or b""
        digits = ((whole or b"") + decimals).lstrip(b"0")
        shift = int(power or b"0") - len(decimals)
        if not digits:
            return LongDouble(0)
        if not -5000 < len(digits) + shift < 5000:
            return None
        value = _scaled(_integer(digits), shift)
    elif match := _HEXADECIMAL.match(text):
        sign, whole, decimals, only_decimals, power = match.groups()
        decimals = decimals or only_decimals or b""
        mantissa = int((whole or b"") + decimals, 16)
        shift = int(power or b"0") - 4 * len(decimals)
        if not mantissa:
            return LongDouble(0)
        if not -40000 < shift < 40000:
            return None
        value = _rounded(mantissa, shift, 0)
    elif match := _INFINITE.match(text):
        return LongDouble(-1 if match[1] == b"-" else 1, 0, False)
    else:
        return None
    if not value.finite or not value.mantissa:
        return None
    return LongDouble(-value.mantissa, value.exponent) if sign == b"-" else value


def _scaled(digits: int, power: int) -> LongDouble:
    """Return `digits * 10**power`, rounded."""
    if power >= 0:
        return _rounded(digits * 10**power, 0, 0)
    divisor = 10**-power
    shift = max(0, _MANTISSA_BITS + 2 + divisor.bit_length() - digits.bit_length())
    quotient, rest = divmod(digits << shift, divisor)
    return _rounded(quotient, -shift, 1 if rest else 0)


# --- doubles ----------------------------------------------------------------------------------------------------


def _cached_powers() -> list[tuple[int, int, int]]:
    # Every eighth power of ten starting with 1e-348, as (64-bit mantissa, binary exponent, decimal exponent).
    powers = []
    for decimal in range(-348, 341, 8):
        if decimal >= 0:
            number = 10**decimal
            shift = number.bit_length() - 64
            mantissa = _divide(number, 1 << shift) if shift > 0 else number << -shift
        else:
            number = 10**-decimal
            shift = -(number.bit_length() + 64)
            mantissa = _divide(1 << -shift, number)
            extra = mantissa.bit_length() - 64
            if extra > 0:
                mantissa = _divide(1 << -shift - extra, number)
                shift += extra
        if mantissa.bit_length() > 64:
            mantissa >>= 1
            shift += 1
        powers.append((mantissa, shift, decimal))
    return powers


_POWERS: Final = _cached_powers()
_MASK64: Final = (1 << 64) - 1


def _multiplied(a: int, b: int) -> int:
    return (a * b + (1 << 63)) >> 64


def _grisu2(value: float) -> tuple[str, int]:
    """Return digits and decimal exponent of a positive double: `digits * 10**exponent`."""
    (bits,) = unpack(">Q", pack(">d", value))
    fraction = bits & ((1 << 52) - 1)
    biased = bits >> 52
    mantissa, exponent = (fraction | 1 << 52, biased - 1075) if biased else (fraction, -1074)
    # The midpoints to the neighboring doubles; the lower one is nearer at a power of two.
    upper, upper_exponent = 2 * mantissa + 1, exponent - 1
    shift = 64 - upper.bit_length()
    upper <<= shift
    upper_exponent -= shift
    lower_shift = 2 if mantissa == 1 << 52 else 1
    lower = ((mantissa << lower_shift) - 1) << (exponent - lower_shift - upper_exponent)
    shift = 64 - mantissa.bit_length()
    mantissa <<= shift
    exponent -= shift
    # A power of ten that scales the number's exponent to [-60, -32].
    power, power_exponent, power_decimal = _power_for(upper_exponent)
    scaled = _multiplied(mantissa, power)
    high = _multiplied(upper, power) - 1
    low = _multiplied(lower, power) + 1
    one_exponent = upper_exponent + power_exponent + 64
    return _digits(scaled, high, high - low, -one_exponent, -power_decimal)


def _power_for(exponent: int) -> tuple[int, int, int]:
    approximate = int(-(exponent + 87) * 0.30102999566398114)
    index = (approximate + 348) // 8
    while True:
        power = _POWERS[index]
        current = exponent + power[1] + 64
        if current < -60:
            index += 1
        elif current > -32:
            index -= 1
        else:
            return power


def _digits(scaled: int, high: int, delta: int, shift: int, exponent: int) -> tuple[str, int]:
    one = 1 << shift
    distance = high - scaled
    whole, part = high >> shift, high & (one - 1)
    digits: list[int] = []
    kappa = 10
    divisor = 10**9
    while kappa > 0:
        digit, whole = divmod(whole, divisor)
        if digit or digits:
            digits.append(digit)
        kappa -= 1
        rest = (whole << shift) + part
        if rest <= delta:
            exponent += kappa
            _round(digits, delta, rest, divisor << shift, distance)
            return "".join(map(str, digits)), exponent
        divisor //= 10
    unit = 1
    while True:
        part *= 10
        delta *= 10
        unit *= 10
        digit = part >> shift
        if digit or digits:
            digits.append(digit)
        part &= one - 1
        kappa -= 1
        if part < delta:
            exponent += kappa
            _round(digits, delta, part, one, distance * unit)
            return "".join(map(str, digits)), exponent


def _round(digits: list[int], delta: int, rest: int, step: int, distance: int) -> None:
    """Adjust the last digit as long as that brings it closer to the number."""
    while (
        rest < distance
        and delta - rest >= step
        and (rest + step < distance or distance - rest > rest + step - distance)
    ):
        digits[-1] -= 1
        rest += step


@cleared_when_idle
@lru_cache(maxsize=8192)
def format_fraction(value: float) -> bytes:
    """Format a finite double that is not 0 as Redis does."""
    digits, exponent = _grisu2(abs(value))
    return ("-" + _spelled(digits, exponent) if value < 0 else _spelled(digits, exponent)).encode()


def _spelled(digits: str, exponent: int) -> str:
    count = len(digits)
    scientific = abs(exponent + count - 1)
    if exponent >= 0 and scientific < count + 7:
        return digits + "0" * exponent
    if exponent < 0 and (exponent > -7 or scientific < 4):
        point = count + exponent
        if point <= 0:
            return "0." + "0" * -point + digits
        return digits[:point] + "." + digits[point:]
    text = digits[0]
    if count > 1:
        text += "." + digits[1:]
    return f"{text}e{'-' if exponent + count - 1 < 0 else '+'}{scientific}"
