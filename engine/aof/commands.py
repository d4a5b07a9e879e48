"""Commands as they stand in an append-only file, read one after the other.

Redis reads its own files less strictly than what clients send (a length may be followed by anything but a digit),
but never past the end: what is not complete is told apart from what is wrong, for a file that was cut by a crash may
be cut back to its last whole command, and a damaged one may not.
"""

import re

from engine.resp import Argv

# Of a number that is longer no file could have so much, and Python takes long to read it.
_COUNT = re.compile(rb"\*\s*\+?(\d{1,19})(?!\d)[^\n]*\n")
_LENGTH = re.compile(rb"\$\s*\+?(\d{1,19})(?!\d)[^\n]*\n")


class CutOffError(Exception):
    """The file ends within a command."""


class BadFormatError(Exception):
    """The file is no append-only file from `offset` on."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


def read_command(data: bytes, p: int) -> tuple[Argv | None, int]:
    """Return the command that begins at `p` (None for a note) and the position after it.

    Raises CutOffError and BadFormatError. There must be something at `p`.
    """
    first = data[p]
    if first == 35:  # '#': a note, such as #TS:1690000000
        end = data.find(b"\n", p)
        if end < 0:
            raise CutOffError  # whatever is appended would become a part of the note
        return None, end + 1
    if first != 42:
        raise BadFormatError(f"a command must begin with '*', this is {_shown(first)}", p)
    header = _COUNT.match(data, p)
    if header is None:
        if b"\n" not in data[p : p + 1024] and p + 1024 >= len(data):
            raise CutOffError
        raise BadFormatError("the number of arguments cannot be read", p)
    count = int(header[1])
    if count < 1:
        raise BadFormatError("a command needs at least one argument", p)
    p = header.end()
    size = len(data)
    argv: Argv = []
    for _ in range(count):
        if p >= size:
            raise CutOffError
        line = _LENGTH.match(data, p)
        if line is None:
            if data[p] != 36:
                raise BadFormatError(f"an argument must begin with '$', this is {_shown(data[p])}", p)
            if b"\n" not in data[p : p + 1024] and p + 1024 >= size:
                raise CutOffError
            raise BadFormatError("the length of an argument cannot be read", p)
        start = line.end()
        end = start + int(line[1])
        if end + 2 > size:
            raise CutOffError
        argv.append(data[start:end])
        p = end + 2
    return argv, p


def _shown(byte: int) -> str:
    return repr(chr(byte)) if 32 <= byte < 127 else f"the byte {byte}"
