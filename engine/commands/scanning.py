"""Shared by SCAN, HSCAN, SSCAN and ZSCAN: cursors and options.

https://redis.io/docs/latest/commands/scan/
"""

import re
from typing import Final, NamedTuple

from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.glob import compile_glob
from engine.protocol.resp import Argv
from engine.table.arguments import integer

INVALID_CURSOR: Final = b"ERR invalid cursor"
_CURSOR: Final = re.compile(rb"[+-]?[0-9]+\Z")


class ScanOptions(NamedTuple):
    """COUNT (`step`), MATCH (None: everything) and TYPE (unconverted; SCAN only)."""

    step: int = 10
    pattern: re.Pattern[bytes] | None = None
    type_name: bytes | None = None


def scan_cursor(arg: bytes) -> int:
    """Parse a cursor as C's strtoul does: empty is 0, a negative number wraps around."""
    arg = arg.split(b"\0", 1)[0]
    if not arg:
        return 0
    if not _CURSOR.match(arg) or abs(int(arg[:40])) >= 1 << 64:
        raise ReplyError(INVALID_CURSOR)
    return int(arg) & (1 << 64) - 1


def scan_options(argv: Argv, start: int, with_type: bool = False) -> ScanOptions:
    """Parse the options of a scan, starting at position `start`."""
    count = 10
    pattern: re.Pattern[bytes] | None = None
    type_name: bytes | None = None
    i, size = start, len(argv)
    while i < size:
        option = argv[i].lower()
        if i + 1 >= size:
            raise ReplyError(SYNTAX)
        if option == b"count":
            count = integer(argv[i + 1])
            if count < 1:
                raise ReplyError(SYNTAX)
        elif option == b"match":
            # A pattern that matches everything counts as none.
            pattern = None if argv[i + 1] == b"*" else compile_glob(argv[i + 1])
        elif option == b"type" and with_type:
            type_name = argv[i + 1]
        else:
            raise ReplyError(SYNTAX)
        i += 2
    return ScanOptions(count, pattern, type_name)
