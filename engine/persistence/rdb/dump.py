"""The payload of DUMP and RESTORE: one value, its RDB version and a checksum of both.

    type:u8 value… version:u16 crc:u64      little-endian

https://redis.io/docs/latest/commands/dump/
"""

from typing import Any

from engine.persistence.rdb.compression import crc64
from engine.persistence.rdb.errors import CorruptRdbError
from engine.persistence.rdb.objects import RdbLimits, load, save, type_of

RDB_VERSION = 11
_FOOTER_BYTES = 10


class WrongPayloadError(Exception):
    """The payload has a newer version, is too short, or has a wrong checksum."""


def dump(value: Any, compressed: bool = True) -> bytes:
    """Return the payload of a value."""
    payload = b"%c%b%b" % (type_of(value), save(value, compressed), RDB_VERSION.to_bytes(2, "little"))
    return payload + crc64(payload).to_bytes(8, "little")


def verify(payload: bytes, checksum: bool = True) -> None:
    """Raise `WrongPayloadError` unless the version and (if `checksum`) the checksum are valid."""
    if len(payload) < _FOOTER_BYTES or int.from_bytes(payload[-10:-8], "little") > RDB_VERSION:
        raise WrongPayloadError
    if checksum and crc64(payload[:-8]) != int.from_bytes(payload[-8:], "little"):
        raise WrongPayloadError


def restore(payload: bytes, limits: RdbLimits) -> Any:
    """Return the value of a verified payload; raises `CorruptRdbError`, also for an empty collection."""
    value, _ = load(payload[0], payload, 1, limits)
    if value is None:
        raise CorruptRdbError("empty collection")
    return value
