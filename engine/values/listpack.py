"""The size of an element in a listpack, in bytes.

Redis keeps small collections, and the nodes of large lists, in listpacks: one block of memory that stores one element
after the other. We use Python lists instead, but where Redis decides by the size of a listpack
(list-max-listpack-size in bytes), we have to compute the same size, or OBJECT ENCODING and the nodes in RDB files
would differ.

An element consists of a header (type and length), its bytes or its integer, and its own length again, for backward
iteration.

https://github.com/antirez/listpack/blob/master/listpack.md
"""

from typing import Final

from engine.protocol.numbers import parse_integer

HEADER_BYTES: Final = 7  # total size, element count, end marker
MAX_BYTES: Final = 1 << 30  # no listpack may grow beyond this


def integer_size(value: int) -> int:
    """Return the size of an integer element in bytes."""
    if -4096 <= value <= 4095:
        return 2 if 0 <= value <= 127 else 3
    if -(1 << 15) <= value < 1 << 15:
        return 4
    if -(1 << 23) <= value < 1 << 23:
        return 5
    if -(1 << 31) <= value < 1 << 31:
        return 6
    return 10


def entry_size(item: bytes) -> int:
    """Return the size of an element in bytes; text that represents an integer is stored as an integer."""
    size = len(item)
    if size < 64:
        if size < 21 and size and item[0] < 58 and item[-1] < 58:
            value = parse_integer(item)
            if value is not None:
                return integer_size(value)
        return size + 2
    if size < 126:
        return size + 3
    size += 2 if size < 4096 else 5
    return size + (2 if size < 16383 else 3 if size < 2097151 else 4 if size < 268435455 else 5)
