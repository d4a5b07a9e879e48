"""Types of directives: how a value is parsed, displayed by CONFIG GET and written by CONFIG REWRITE.

A directive is declared as a class attribute of `engine.config.directives.Config`. To a type checker the attribute
has the type of the directive's value; at run time the declarations are moved into `Config.DIRECTIVES`, and
every `Config` has plain attributes, which are fast to read.

Values are parsed as Redis parses them, including the habits of C: text ends at a NUL byte, memory sizes may wrap
around, and numbers are strict (`+1` and `01` are refused) except where Redis uses strtoll.

https://redis.io/docs/latest/operate/oss_and_stack/management/config/
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from engine.protocol.errors import c_text
from engine.protocol.quoting import quote

if TYPE_CHECKING:
    from engine.config.settings import Settings

# Flags of directives.
IMMUTABLE = 1 << 0  # CONFIG SET refuses it
MULTI_ARG = 1 << 1  # takes several arguments
SENSITIVE = 1 << 2  # its value is hidden from MONITOR, the slow log and crash reports
DEBUG = 1 << 3  # shown in a crash report
HIDDEN = 1 << 4  # CONFIG GET shows it only by its full name
PROTECTED = 1 << 5  # CONFIG SET needs enable-protected-configs
DENY_LOADING = 1 << 6  # CONFIG SET refuses it during loading
VOLATILE = 1 << 7  # applied again even if set to its current value

INT_MAX = 2**31 - 1
INT_MIN = -(2**31)
UINT_MAX = 2**32 - 1
LONG_MAX = 2**63 - 1
ULONG_MAX = 2**64 - 1

V = TypeVar("V")


class BadValueError(Exception):
    """A value that a directive does not accept; the text is Redis's reason."""

    @property
    def text(self) -> bytes:
        """The reason."""
        return str(self.args[0]).encode("utf-8", "surrogateescape")


def to_str(data: bytes) -> str:
    """Decode text; bytes that are not UTF-8 survive the round trip through `to_bytes`."""
    return data.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """Encode text decoded by `to_str`."""
    return text.encode("utf-8", "surrogateescape")


def strict_integer(data: bytes) -> int | None:
    """Parse a decimal without spaces, plus sign or leading zeros; None if it is invalid or exceeds 64 bits."""
    if not _STRICT.fullmatch(data):
        return None
    value = int(data)
    return value if -LONG_MAX - 1 <= value <= LONG_MAX else None


def loose_integer(data: bytes, base: int = 10) -> int | None:
    """Parse an integer as C's strtoll does, to the end: leading spaces and a plus sign are accepted, empty is 0."""
    data = c_text(data)
    if not data:
        return 0
    if not (_LOOSE if base == 10 else _LOOSE_OCTAL).fullmatch(data):
        return None
    return max(-LONG_MAX - 1, min(LONG_MAX, int(data, base)))


def memory_size(data: bytes) -> int | None:
    """Parse `1gb`, `100k`, `5` … to bytes, 0 … 2**64-1; None if invalid. k is 1000, kb is 1024."""
    match = _MEMORY.fullmatch(c_text(data))
    if match is None or len(match[1]) > 127:
        return None
    return min(int(match[1] or b"0"), ULONG_MAX) * _UNITS[match[2].lower()] & ULONG_MAX


def wrap_int(value: int) -> int:
    """Wrap a number around to the range of a C int."""
    return (value + 2**31) % 2**32 - 2**31


def format_memory(size_bytes: int) -> bytes:
    """Format a size in the largest unit that divides it."""
    for unit, name in ((1 << 30, b"gb"), (1 << 20, b"mb"), (1 << 10, b"kb")):
        if size_bytes and size_bytes % unit == 0:
            return b"%d%b" % (size_bytes // unit, name)
    return b"%d" % size_bytes


_STRICT = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_LOOSE = re.compile(rb"[ \t-\r]*[+-]?[0-9]+")
_LOOSE_OCTAL = re.compile(rb"[ \t-\r]*[+-]?[0-7]+")
_MEMORY = re.compile(rb"([0-9]*)([kmg]?b?)", re.IGNORECASE)
_UNITS = {
    b"": 1,
    b"b": 1,
    b"k": 1000,
    b"kb": 1 << 10,
    b"m": 1000**2,
    b"mb": 1 << 20,
    b"g": 1000**3,
    b"gb": 1 << 30,
}

Check = Callable[[Any, "Settings"], str | None]
Lines = list[tuple[bytes, bool]]


class Directive(Generic[V]):
    """One directive: its names, its flags, and the type of its value."""

    cumulative = False  # in a file, further lines add to the first one

    def __init__(self, default: V, flags: int = 0, alias: str = "", name: str = "", check: Check | None = None):
        self.default = default
        self.flags = flags
        self.alias = alias
        self.name = name  # by default the attribute's name with hyphens
        self.attribute = ""
        self.check = check

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute
        self.name = self.name or attribute.replace("_", "-")

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: type | None = None) -> V: ...

        def __set__(self, instance: object, value: V) -> None: ...

    def read(self, args: list[bytes], settings: "Settings") -> V:
        """Return the value of the arguments; raises `BadValueError`."""
        value = self.parse(args, settings)
        if self.check is not None:
            why_not = self.check(value, settings)
            if why_not is not None:
                raise BadValueError(why_not)
        return value

    def parse(self, args: list[bytes], settings: "Settings") -> V:
        """Parse the arguments to a value; `read` applies the directive's check, if any, to it."""
        raise NotImplementedError

    def show(self, value: V, settings: "Settings") -> bytes:
        """Return the value in the format of CONFIG GET."""
        raise NotImplementedError

    def lines(self, value: V, settings: "Settings") -> Lines:
        """Return the lines for CONFIG REWRITE (without the name), each with whether it must be written.

        A line that need not be written is written only if the file already has a line for the directive.
        """
        return [(self.show(value, settings), value != self.default)]

    def warning(self, value: V) -> str | None:
        """Return a log message about a value that is accepted but questionable; None if there is none."""
        return None


class Bool(Directive[bool]):
    """`yes` or `no`."""

    def parse(self, args: list[bytes], settings: "Settings") -> bool:
        """See `Directive.parse`."""
        word = c_text(args[0]).lower()
        if word == b"yes":
            return True
        if word == b"no":
            return False
        raise BadValueError("argument must be 'yes' or 'no'")

    def show(self, value: bool, settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return b"yes" if value else b"no"


class Number(Directive[int]):
    """A number within limits, in the unit that Redis documents (bytes, seconds, ms, µs …)."""

    def __init__(
        self,
        default: int,
        low: int = 0,
        high: int = INT_MAX,
        flags: int = 0,
        alias: str = "",
        name: str = "",
        check: Check | None = None,
        unsigned: bool = False,
    ) -> None:
        super().__init__(default, flags, alias, name, check)
        self.low = low
        self.high = high
        self.unsigned = unsigned

    def number(self, data: bytes) -> int:
        """Return the number as represented by Redis's C types, before the limits are checked."""
        value = strict_integer(data)
        if value is None:
            raise BadValueError("argument couldn't be parsed into an integer")
        return value

    def limits(self) -> str:
        """Describe the limits."""
        return f"argument must be between {self.low} and {self.high} inclusive"

    def parse(self, args: list[bytes], settings: "Settings") -> int:
        """See `Directive.parse`."""
        value = self.number(args[0])
        if self.unsigned:
            value &= ULONG_MAX
        if not self.low <= value <= self.high:
            raise BadValueError(self.limits())
        return value

    def show(self, value: int, settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return b"%d" % value


class MemorySize(Number):
    """A size in bytes, written with or without a unit."""

    def number(self, data: bytes) -> int:
        """See `Number.number`."""
        size = memory_size(data)
        if size is None:
            raise BadValueError("argument must be a memory value")
        return size if size <= LONG_MAX else size - 2**64

    def lines(self, value: int, settings: "Settings") -> Lines:
        """See `Directive.lines`."""
        return [(format_memory(value), value != self.default)]


class MemoryOrPercent(MemorySize):
    """A size in bytes, or a percentage (of `maxmemory`), which is stored as a negative number."""

    def number(self, data: bytes) -> int:
        """See `Number.number`."""
        size = memory_size(data)
        if size is not None:
            return size if size <= LONG_MAX else size - 2**64
        percent = strict_integer(data[:-1]) if data[-1:] == b"%" else None
        if percent is None or percent < 0:
            raise BadValueError("argument must be a memory or percent value")
        return -percent

    def parse(self, args: list[bytes], settings: "Settings") -> int:
        """See `Directive.parse`."""
        value = self.number(args[0])
        if value < self.low:
            raise BadValueError(f"percentage argument must be less or equal to {-self.low}")
        return value

    def show(self, value: int, settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return b"%d%%" % -value if value < 0 else b"%d" % value

    def lines(self, value: int, settings: "Settings") -> Lines:
        """See `Directive.lines`."""
        return [(b"%d%%" % -value if value < 0 else format_memory(value), value != self.default)]


class Octal(Number):
    """A number in octal: file permissions."""

    def number(self, data: bytes) -> int:
        """See `Number.number`."""
        value = loose_integer(data, 8)
        if value is None:
            raise BadValueError("argument couldn't be parsed as an octal number")
        return value

    def limits(self) -> str:
        """See `Number.limits`."""
        return f"argument must be between {self.low:o} and {self.high:o} inclusive"

    def show(self, value: int, settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return b"%o" % value


class Text(Directive[str]):
    """A text; an empty `optional` text counts as not set and has no line in the file."""

    def __init__(
        self,
        default: str = "",
        flags: int = 0,
        alias: str = "",
        name: str = "",
        check: Check | None = None,
        optional: bool = True,
        whole: bool = False,
    ) -> None:
        super().__init__(default, flags, alias, name, check)
        self.optional = optional
        self.whole = whole  # the check itself refuses NUL bytes

    def parse(self, args: list[bytes], settings: "Settings") -> str:
        """See `Directive.parse`."""
        return to_str(args[0] if self.whole else c_text(args[0]))

    def show(self, value: str, settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return to_bytes(value)

    def lines(self, value: str, settings: "Settings") -> Lines:
        """See `Directive.lines`."""
        if self.optional and not value:
            return []
        return [(quote(to_bytes(value)), value != self.default)]


class Password(Directive[bytes]):
    """A password: any bytes; empty counts as not set."""

    def parse(self, args: list[bytes], settings: "Settings") -> bytes:
        """See `Directive.parse`."""
        return args[0]

    def show(self, value: bytes, settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return value

    def lines(self, value: bytes, settings: "Settings") -> Lines:
        """See `Directive.lines`."""
        return [(quote(value), True)] if value else []


def _choices_error(choices: tuple[str, ...]) -> BadValueError:
    return BadValueError(("argument(s) must be one of the following: " + ", ".join(choices))[:255])


class Choice(Directive[str]):
    """One of several words; `same` maps words to synonyms."""

    def __init__(
        self,
        choices: str,
        default: str,
        flags: int = 0,
        alias: str = "",
        name: str = "",
        same: dict[str, str] | None = None,
    ) -> None:
        super().__init__(default, flags, alias, name)
        self.choices = tuple(choices.split())
        self.same = same or {}

    def parse(self, args: list[bytes], settings: "Settings") -> str:
        """See `Directive.parse`."""
        word = to_str(c_text(args[0]).lower())
        if len(args) != 1 or word not in self.choices:
            raise _choices_error(self.choices)
        return self.same.get(word, word)

    def show(self, value: str, settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return value.encode()


class Choices(Directive[tuple[str, ...]]):
    """Any combination of several words; the first word means none of the others."""

    def __init__(self, choices: str, flags: int = 0, check: Check | None = None) -> None:
        self.choices = tuple(choices.split())
        super().__init__(self.choices[:1], flags | MULTI_ARG, check=check)

    def parse(self, args: list[bytes], settings: "Settings") -> tuple[str, ...]:
        """See `Directive.parse`."""
        words = {to_str(c_text(arg).lower()): None for arg in args}
        if not words or not words.keys() <= set(self.choices):
            raise _choices_error(self.choices)
        return tuple(word for word in self.choices[1:] if word in words) or self.default

    def show(self, value: tuple[str, ...], settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return " ".join(value).encode()
