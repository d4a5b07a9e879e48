"""Strings: how the keyspace stores them, and the names of their encodings.

    int        a 64-bit integer in canonical form (Redis's "int")
    bytes      set by a client: "embstr" up to 44 bytes, "raw" if longer
    bytearray  changed in place (APPEND, SETRANGE, SETBIT): "raw"

A bytearray never leaves the keyspace: a reply may be encoded after the next change (EXEC).
"""

from typing import Final

EMBSTR_MAX: Final = 44
_INT64_MAX: Final = 2**63 - 1

StringValue = int | bytes | bytearray


def native(text: bytes) -> bytes | int:
    """Convert a client's string to the form in which the keyspace stores it (Redis's tryObjectEncoding)."""
    if len(text) < 21 and text and text[0] < 58:  # else the first byte cannot start a number
        if text.isdigit():
            if (text[0] != 48 or len(text) == 1) and (value := int(text)) <= _INT64_MAX:
                return value
        elif text[0] == 45 and text[1:].isdigit() and text[1] != 48 and (value := int(text)) >= -_INT64_MAX - 1:
            return value
    return text


def as_bytes(value: StringValue) -> bytes:
    """Return a string as immutable `bytes`."""
    if isinstance(value, bytes):
        return value
    return b"%d" % value if isinstance(value, int) else bytes(value)


def length(value: StringValue) -> int:
    """Return the length of a string in bytes."""
    return len(b"%d" % value) if isinstance(value, int) else len(value)


def encoding_of(value: StringValue) -> bytes:
    """Return the name of a string's encoding (OBJECT ENCODING)."""
    if isinstance(value, int):
        return b"int"
    return b"embstr" if isinstance(value, bytes) and len(value) <= EMBSTR_MAX else b"raw"


def mutable(value: StringValue) -> bytearray:
    """Return a string as a `bytearray` that can be changed in place: the same object if it is one already."""
    return value if isinstance(value, bytearray) else bytearray(as_bytes(value))
