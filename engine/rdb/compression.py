"""CRC-64 and LZF, from C: in Python either would cost more than all parsing.

The CRC is Jones's polynomial, bits reflected, starting at zero ("CRC-64/REDIS"). Compressed strings are byte for byte
those of Redis, which gives its compressor four bytes less room than the string is long.

https://github.com/redis/redis/blob/7.2/src/crc64.c
"""

import lzf
from anycrc import Model

from engine.rdb.errors import CorruptRdbError

_MODEL = Model("CRC64-REDIS")
_MAX_RATIO = 88  # three bytes stand for at most 264


def crc64(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """Return the CRC of some bytes, or go on from the CRC of what stood before them."""
    return int(_MODEL.calc(data, crc))


def compress(data: bytes) -> bytes | None:
    """Return the LZF form of a string, or None if it would not be at least four bytes shorter."""
    # The library gives the compressor one byte more room than it is told.
    packed: bytes | None = lzf.compress(data, len(data) - 5) if len(data) > 5 else None
    return packed


def decompress(data: bytes, size: int) -> bytes:
    """Return the string of `size` bytes that LZF data stands for."""
    if size > len(data) * _MAX_RATIO:
        raise CorruptRdbError(f"Invalid LZF compressed string: {len(data)} bytes cannot become {size}")
    try:
        plain: bytes | None = lzf.decompress(data, size)
    except ValueError:
        plain = None
    if plain is None or len(plain) != size:
        raise CorruptRdbError("Invalid LZF compressed string")
    return plain
