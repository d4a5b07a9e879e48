"""Source headers: the first line of a script or a library of functions.

    #!lua flags=no-writes,allow-stale        a script
    #!lua name=mylib                         a library

https://redis.io/docs/latest/develop/interact/programmability/functions-intro/
"""

from engine.protocol.errors import ReplyError
from engine.protocol.resp import split_args

NO_WRITES = 1 << 0
ALLOW_OOM = 1 << 1
ALLOW_STALE = 1 << 2
NO_CLUSTER = 1 << 3
ALLOW_CROSS_SLOT = 1 << 4
COMPATIBLE = 1 << 5  # a script without a line of flags, to which the rules of old versions apply

FLAGS = {
    b"no-writes": NO_WRITES,
    b"allow-oom": ALLOW_OOM,
    b"allow-stale": ALLOW_STALE,
    b"no-cluster": NO_CLUSTER,
    b"allow-cross-slot-keys": ALLOW_CROSS_SLOT,
}

BAD_NAME = (
    b"Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
)
_NAME_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class Script:
    """The stored data of a script."""

    __slots__ = ("flags", "source")

    def __init__(self, source: bytes, flags: int) -> None:
        self.source = source
        self.flags = flags


class Function:
    """A function of a library."""

    __slots__ = ("description", "flags", "library", "name")

    def __init__(self, name: bytes, library: bytes, description: bytes | None, flags: int) -> None:
        self.name = name
        self.library = library
        self.description = description
        self.flags = flags

    def flag_names(self) -> list[bytes]:
        """Return the flags in the format of FUNCTION LIST."""
        return [name for name, flag in FLAGS.items() if self.flags & flag]


class Library:
    """A library of functions: its source and its registered functions."""

    __slots__ = ("functions", "name", "source")

    def __init__(self, name: bytes, source: bytes) -> None:
        self.name = name
        self.source = source
        self.functions: dict[bytes, Function] = {}


def valid_name(name: bytes) -> bool:
    """Return whether a library or function may have this name."""
    return bool(name) and _NAME_BYTES.issuperset(name)


def script_flags(source: bytes) -> tuple[int, bytes]:
    """Return a script's flags, and its text without the line that contains them; raises ReplyError."""
    if not source.startswith(b"#!"):
        return COMPATIBLE, source
    line, end, rest = source.partition(b"\n")
    if not end:
        raise ReplyError(b"ERR Invalid script shebang")
    parts = split_args(line)
    if not parts:
        raise ReplyError(b"ERR Invalid engine in script shebang")
    if parts[0] != b"#!lua":
        raise ReplyError(b"ERR Unexpected engine in script shebang: " + parts[0])
    flags = 0
    for part in parts[1:]:
        if not part.startswith(b"flags="):
            raise ReplyError(b"ERR Unknown lua shebang option: " + part)
        named = part.removeprefix(b"flags=")
        for name in named.split(b",") if named else []:
            if name not in FLAGS:
                raise ReplyError(b"ERR Unexpected flag in script shebang: " + name)
            flags |= FLAGS[name]
    return flags, b"\n" + rest  # an empty line remains, so that line numbers are correct


def library_head(source: bytes) -> tuple[bytes, bytes]:
    """Return a library's name, and its text without the first line; raises ReplyError."""
    if not source.startswith(b"#!"):
        raise ReplyError(b"ERR Missing library metadata")
    line, end, rest = source.partition(b"\n")
    parts = split_args(line) if end else None
    if not parts:
        raise ReplyError(b"ERR Invalid library metadata")
    engine = parts[0][2:]
    name: bytes | None = None
    for part in parts[1:]:
        if part[:5].lower() != b"name=":
            raise ReplyError(b"ERR Invalid metadata value given: " + part)
        if name is not None:
            raise ReplyError(b"ERR Invalid metadata value, name argument was given multiple times")
        name = part[5:]
    if name is None:
        raise ReplyError(b"ERR Library name was not given")
    if not valid_name(name):
        raise ReplyError(b"ERR " + BAD_NAME)
    if engine.lower() != b"lua":
        raise ReplyError(b"ERR Engine '%b' not found" % engine)
    return name, b"\n" + rest
