"""Directives with a syntax of their own: save points, output limits, addresses …

Each stores its value in the form that is convenient for its users, and parses and displays it as Redis does.
"""

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from engine.config.kinds import (
    MULTI_ARG,
    VOLATILE,
    BadValueError,
    Directive,
    Lines,
    format_memory,
    loose_integer,
    memory_size,
    to_bytes,
    to_str,
    wrap_int,
)
from engine.keyspace import databases as keyspace
from engine.protocol.errors import c_text
from engine.protocol.numbers import parse_float
from engine.protocol.quoting import quote

if TYPE_CHECKING:
    from engine.config.settings import Settings

BIND_MAX = 16


class Dir(Directive[str]):
    """The working directory, always as an absolute path. The caller changes the directory."""

    def parse(self, args: list[bytes], settings: "Settings") -> str:
        """See `Directive.parse`."""
        return to_str(c_text(args[0]))

    def show(self, value: str, settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return to_bytes(value)

    def lines(self, value: str, settings: "Settings") -> Lines:
        """See `Directive.lines`."""
        return [(quote(to_bytes(value)), True)] if value else []


class SavePoint(NamedTuple):
    """Save after this many seconds if there were at least this many changes."""

    seconds: int
    changes: int


class Save(Directive[tuple[SavePoint, ...]]):
    """Save points. In a file the first line replaces the default, and further lines add to it."""

    cumulative = True

    def parse(self, args: list[bytes], settings: "Settings") -> tuple[SavePoint, ...]:
        """See `Directive.parse`."""
        if len(args) == 1 and not c_text(args[0]):
            return ()
        numbers: list[int] = []
        for i, arg in enumerate(args):
            number = loose_integer(arg)
            if number is None or number < (1, 0)[i & 1]:
                break
            numbers.append(number)
        if len(args) & 1 or len(numbers) < len(args):
            raise BadValueError("Invalid save parameters")
        return tuple(SavePoint(numbers[i], wrap_int(numbers[i + 1])) for i in range(0, len(numbers), 2))

    def show(self, value: tuple[SavePoint, ...], settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return b" ".join(b"%d %d" % point for point in value)

    def lines(self, value: tuple[SavePoint, ...], settings: "Settings") -> Lines:
        """See `Directive.lines`."""
        return [(b"%d %d" % point, True) for point in value] or [(b'""', True)]


class OutputLimit(NamedTuple):
    """Close a client above the hard limit, or after this many seconds above the soft limit; 0 means no limit."""

    hard_bytes: int
    soft_bytes: int
    soft_seconds: int


class OutputLimits(NamedTuple):
    """Output limits by client class."""

    normal: OutputLimit
    replica: OutputLimit
    pubsub: OutputLimit


class OutputBufferLimits(Directive[OutputLimits]):
    """Limits of the output buffers of clients, by class."""

    CLASSES: ClassVar = {b"normal": 0, b"slave": 1, b"replica": 1, b"pubsub": 2}

    def parse(self, args: list[bytes], settings: "Settings") -> OutputLimits:
        """See `Directive.parse`."""
        if len(args) % 4:
            raise BadValueError("Wrong number of arguments in buffer limit configuration.")
        limits: list[OutputLimit] = list(getattr(settings, self.attribute))
        for i in range(0, len(args), 4):
            which = self.CLASSES.get(c_text(args[i]).lower())
            if which is None:
                raise BadValueError("Invalid client class specified in buffer limit configuration.")
            hard, soft, seconds = memory_size(args[i + 1]), memory_size(args[i + 2]), loose_integer(args[i + 3])
            if hard is not None and soft is not None and seconds is not None:
                limits[which] = OutputLimit(hard, soft, wrap_int(seconds))
                if limits[which].soft_seconds >= 0:
                    continue
            raise BadValueError("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
        return OutputLimits(*limits)

    def show(self, value: OutputLimits, settings: "Settings") -> bytes:
        """See `Directive.show`."""
        names = (b"normal", b"slave", b"pubsub")
        return b" ".join(b"%b %d %d %d" % (name, *limit) for name, limit in zip(names, value, strict=True))

    def lines(self, value: OutputLimits, settings: "Settings") -> Lines:
        """See `Directive.lines`."""
        names = (b"normal", b"replica", b"pubsub")
        return [
            (
                b"%b %b %b %d" % (name, format_memory(limit.hard_bytes), format_memory(limit.soft_bytes), limit[2]),
                limit != default,
            )
            for name, limit, default in zip(names, value, self.default, strict=True)
        ]


class OomScoreAdjValues(Directive[tuple[int, int, int]]):
    """The kernel's oom_score_adj values for a master, a replica and a background child."""

    def parse(self, args: list[bytes], settings: "Settings") -> tuple[int, int, int]:
        """See `Directive.parse`."""
        if len(args) != 3:
            raise BadValueError("wrong number of arguments")
        values: list[int] = []
        for arg in args:
            value = loose_integer(arg)
            if value is None or not -2000 <= value <= 2000:
                raise BadValueError("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
            values.append(value)
        return values[0], values[1], values[2]

    def show(self, value: tuple[int, int, int], settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return b"%d %d %d" % value

    def warning(self, value: tuple[int, int, int]) -> str | None:
        """See `Directive.warning`."""
        if value[0] <= value[1] <= value[2]:
            return None
        return (
            "The oom-score-adj-values configuration may not work for non-privileged processes! "
            "Please consult the documentation."
        )


class NotifyKeyspaceEvents(Directive[int]):
    """Classes of keyspace notifications, as the mask of `engine.keyspace.databases.NOTIFY_…`."""

    LETTERS: ClassVar = {
        "g": keyspace.NOTIFY_GENERIC,
        "$": keyspace.NOTIFY_STRING,
        "l": keyspace.NOTIFY_LIST,
        "s": keyspace.NOTIFY_SET,
        "h": keyspace.NOTIFY_HASH,
        "z": keyspace.NOTIFY_ZSET,
        "x": keyspace.NOTIFY_EXPIRED,
        "e": keyspace.NOTIFY_EVICTED,
        "t": keyspace.NOTIFY_STREAM,
        "d": keyspace.NOTIFY_MODULE,
        "n": keyspace.NOTIFY_NEW,
    }
    MORE: ClassVar = {"K": keyspace.NOTIFY_KEYSPACE, "E": keyspace.NOTIFY_KEYEVENT, "m": keyspace.NOTIFY_KEY_MISS}

    def parse(self, args: list[bytes], settings: "Settings") -> int:
        """See `Directive.parse`."""
        mask = 0
        for letter in to_str(c_text(args[0])):
            if letter == "A":
                mask |= keyspace.NOTIFY_ALL
            elif letter in self.LETTERS:
                mask |= self.LETTERS[letter]
            elif letter in self.MORE:
                mask |= self.MORE[letter]
            else:
                raise BadValueError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
        return mask

    def show(self, value: int, settings: "Settings") -> bytes:
        """See `Directive.show`. As in Redis, `n` is not shown together with `A`."""
        if value & keyspace.NOTIFY_ALL == keyspace.NOTIFY_ALL:
            text = "A"
        else:
            text = "".join(letter for letter, bit in self.LETTERS.items() if value & bit)
        return (text + "".join(letter for letter, bit in self.MORE.items() if value & bit)).encode()

    def lines(self, value: int, settings: "Settings") -> Lines:
        """See `Directive.lines`."""
        return [(quote(self.show(value, settings)), value != 0)]


class Bind(Directive[tuple[str, ...]]):
    """Addresses to listen on. One that starts with `-` may be unavailable; `*` means all IPv4 addresses."""

    def __init__(self, default: tuple[str, ...]) -> None:
        super().__init__(default, MULTI_ARG | VOLATILE)

    def parse(self, args: list[bytes], settings: "Settings") -> tuple[str, ...]:
        """See `Directive.parse`."""
        if len(args) > BIND_MAX:
            raise BadValueError("Too many bind addresses specified.")
        if len(args) == 1 and not args[0]:
            return ()
        return tuple(to_str(c_text(arg)) for arg in args)

    def show(self, value: tuple[str, ...], settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return to_bytes(" ".join(value))

    def lines(self, value: tuple[str, ...], settings: "Settings") -> Lines:
        """See `Directive.lines`."""
        return [] if value == self.default else [(self.show(value, settings) or b'""', True)]


class MasterAddress(NamedTuple):
    """The address of a replica's master."""

    host: str
    port: int


class ReplicaOf(Directive[MasterAddress | None]):
    """The master of this server, or None."""

    def parse(self, args: list[bytes], settings: "Settings") -> MasterAddress | None:
        """See `Directive.parse`."""
        if len(args) != 2:
            raise BadValueError("wrong number of arguments")
        host, port = c_text(args[0]), loose_integer(args[1])
        if host.lower() == b"no" and c_text(args[1]).lower() == b"one":
            return None
        if port is None or not 0 <= wrap_int(port) <= 65535:
            raise BadValueError("Invalid master port")
        return MasterAddress(to_str(args[0]), wrap_int(port))

    def show(self, value: MasterAddress | None, settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return b"%b %d" % (to_bytes(value.host), value.port) if value else b""

    def lines(self, value: MasterAddress | None, settings: "Settings") -> Lines:
        """See `Directive.lines`."""
        if value is None or settings.value("cluster-enabled"):
            return []
        return [(self.show(value, settings), True)]


class Percentiles(Directive[tuple[float, ...]]):
    """The percentiles that INFO latencystats shows."""

    def parse(self, args: list[bytes], settings: "Settings") -> tuple[float, ...]:
        """See `Directive.parse`."""
        if len(args) == 1 and not args[0]:
            return ()
        percentiles = []
        for arg in args:
            number = parse_float(arg)
            if number is None:
                raise BadValueError("Invalid latency-tracking-info-percentiles parameters")
            if not 0.0 <= number <= 100.0:
                raise BadValueError("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
            percentiles.append(number)
        return tuple(percentiles)

    def show(self, value: tuple[float, ...], settings: "Settings") -> bytes:
        """See `Directive.show`."""
        return b" ".join((b"%f" % number).rstrip(b"0").rstrip(b".") for number in value)

    def lines(self, value: tuple[float, ...], settings: "Settings") -> Lines:
        """See `Directive.lines`."""
        return [(self.show(value, settings) or b'""', True)]
