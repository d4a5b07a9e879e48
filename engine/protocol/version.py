"""The Redis version that this server implements: facts shown by INFO, HELLO, log lines, RDB files and `-v`.

Clients select features by `redis_version`, so it is the version of Redis, not of this project.
"""

from typing import Final

VERSION: Final = "7.2.4"
VERSION_NUMBER: Final = 0x00070204
RDB_VERSION: Final = 11
GIT_SHA1: Final = "00000000"
GIT_DIRTY: Final = 0
BUILD_ID: Final = "d61a83d2609e2661"
ALLOCATOR: Final = "libc"
ARCH_BITS: Final = 64


def version_line() -> str:
    """Return the output of `redis-server -v`, without the line break."""
    return f"Redis server v={VERSION} sha={GIT_SHA1}:{GIT_DIRTY} malloc={ALLOCATOR} bits={ARCH_BITS} build={BUILD_ID}"
