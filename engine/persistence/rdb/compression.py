"""CRC-64 and LZF, implemented in C: in Python either would cost more than all parsing.

The CRC has Jones's polynomial, reflected bits and an initial value of zero ("CRC-64/REDIS"). Compressed strings are
identical to those of Redis, which gives its compressor a buffer four bytes smaller than the string.

https://github.com/redis/redis/blob/7.2/src/crc64.c
"""

import lzf
from anycrc import Model

from engine.persistence.rdb.errors import CorruptRdbError

_MODEL = Model("CRC64-REDIS")
_MAX_RATIO = 88  # three bytes expand to at most 264


def crc64(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """Return the CRC of some bytes, continuing with `crc`, the CRC of the bytes before them."""
    return int(_MODEL.calc(data, crc))


def compress(data: bytes) -> bytes | None:
    """Compress a string with LZF. Returns None if that would not save at least four bytes."""
    # The library's buffer is one byte larger than the size passed to it.
    packed: bytes | None = lzf.compress(data, len(data) - 5) if len(data) > 5 else None
    return packed


def decompress(data: bytes, size: int) -> bytes:
    """Decompress LZF data to a string of `size` bytes."""
    if size > len(data) * _MAX_RATIO:
        raise CorruptRdbError(f"Invalid LZF compressed string: {len(data)} bytes cannot become {size}")
    if not size:
        return b""  # Redis's decompressor returns 0 for damaged data, which equals the expected size
    try:
        plain: bytes | None = lzf.decompress(data, size)
    except ValueError:
        plain = None
    if plain is None or len(plain) != size:
        raise CorruptRdbError("Invalid LZF compressed string")
    return plain
