"""A reader for the commands in an append-only file.

Redis reads its own files with fgets, atoi and strtol, so less strictly than requests from clients: a count may be
followed by any non-digits, and a length that is not a number is 0. This reader accepts what Redis accepts. It
distinguishes incomplete from invalid commands: a file that a crash truncated may be cut back to its last complete
command, and a damaged file may not.
"""

import re

from engine.protocol.resp import Argv

LINE_MAX = 1023  # the most that fgets reads in one call
_DIGITS_MAX = 19  # a longer number exceeds any file size, and is slow to parse in Python
_NUMBER = re.compile(rb"[*$]\s*([-+]?\d+)")


class CutOffError(Exception):
    """The file ends in the middle of a command."""


class BadFormatError(Exception):
    """The file is not a valid append-only file from `offset` on."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


def read_command(data: bytes, p: int) -> tuple[Argv | None, int]:
    """Return the command at `p` (None for an annotation) and the position after it.

    Raises CutOffError and BadFormatError. `data` must not end at `p`.
    """
    line, after = _line(data, p)
    if line[0] == 35:  # '#': an annotation, such as #TS:1690000000
        return None, after
    if line[0] != 42:
        raise BadFormatError(f"a command must begin with '*', this is {_shown(line[0])}", p)
    if line == b"*" and after == len(data):
        raise CutOffError
    count = _number(line, p)
    if count < 1:
        raise BadFormatError("a command needs at least one argument", p)
    p = after
    size = len(data)
    argv: Argv = []
    for _ in range(count):
        if p >= size:
            raise CutOffError
        line, after = _line(data, p)
        if line[0] != 36:
            raise BadFormatError(f"an argument must begin with '$', this is {_shown(line[0])}", p)
        length = _number(line, p)
        if length < 0:
            raise BadFormatError("the length of an argument is negative", p)
        p = after + length + 2
        if p > size:
            raise CutOffError
        argv.append(data[after : after + length])
    return argv, p


def _line(data: bytes, p: int) -> tuple[bytes, int]:
    """Return a line with its line break, or as much as fgets reads in one call, and the position after it."""
    end = data.find(b"\n", p, p + LINE_MAX) + 1 or min(p + LINE_MAX, len(data))
    return data[p:end], end


def _number(line: bytes, p: int) -> int:
    found = _NUMBER.match(line)
    if found is None:
        return 0
    if len(found[1]) > _DIGITS_MAX:
        raise BadFormatError("a number is too large", p)
    return int(found[1])


def _shown(byte: int) -> str:
    return repr(chr(byte)) if 32 <= byte < 127 else f"the byte {byte}"
