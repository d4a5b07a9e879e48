"""DEBUG DIGEST: a fingerprint of the data that does not depend on the server or on the order of storage.

It is built from SHA-1 exactly as in Redis, so digests can be compared across servers: ordered parts are mixed in one
after the other (`mix`), unordered parts are combined by XOR.
"""

import hashlib
from collections.abc import Iterable
from math import copysign, isinf
from typing import Final

from engine.keyspace.databases import STRING_TYPES, Database, Keyspace, Value
from engine.protocol.numbers import format_fraction
from engine.values.hash import HashValue
from engine.values.list import ListValue
from engine.values.set import SetValue
from engine.values.zset import ZSetValue

_ZERO: Final = 0
_TYPES: Final = {ListValue: 1, SetValue: 2, ZSetValue: 3, HashValue: 4}


def _sha1(data: bytes) -> int:
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest(), "big")


def _mix(digest: int, data: bytes) -> int:
    return _sha1((digest ^ _sha1(data)).to_bytes(20, "big"))


def _mix_all(parts: Iterable[bytes]) -> int:
    digest = _ZERO
    for part in parts:
        digest = _mix(digest, part)
    return digest


def _xor(digest: int, element: int) -> int:
    return digest ^ _sha1(element.to_bytes(20, "big"))


def _score_text(score: float) -> bytes:
    if score == 0:
        return b"-0" if copysign(1, score) < 0 else b"0"
    return (b"inf" if score > 0 else b"-inf") if isinf(score) else format_fraction(score)


def value_digest(digest: int, value: Value, expires: bool) -> int:
    """Return `digest` with a value mixed in, and with a mark if its key has a time to live."""
    kind = type(value)
    if kind in STRING_TYPES:
        digest = _mix(digest, (0).to_bytes(4, "big"))
        digest = _mix(digest, b"%d" % value if kind is int else bytes(value))
    elif kind is ListValue:
        digest = _mix(digest, (1).to_bytes(4, "big"))
        for item in value:
            digest = _mix(digest, item)
    elif kind is SetValue:
        digest = _mix(digest, (2).to_bytes(4, "big"))
        for member in value.to_list():
            digest ^= _sha1(member)
    elif kind is ZSetValue:
        digest = _mix(digest, (3).to_bytes(4, "big"))
        for member, score in value.items():
            digest = _xor(digest, _mix_all((member, _score_text(score))))
    elif kind is HashValue:
        digest = _mix(digest, (4).to_bytes(4, "big"))
        for field, content in value.items():
            digest = _xor(digest, _mix_all((field, content)))
    else:
        digest = _mix(digest, (6).to_bytes(4, "big"))
        for part in value.digest_parts():
            digest = _mix(digest, part)
    if expires:
        digest ^= _sha1(b"!!expire!!")
    return digest


def key_digest(db: Database, key: bytes) -> bytes:
    """Return the digest of a key's value in the format of DEBUG DIGEST-VALUE: zeros if the key does not exist."""
    value = db.held(key)
    return b"%040x" % (_ZERO if value is None else value_digest(_ZERO, value, key in db.expires))


def dataset_digest(space: Keyspace) -> bytes:
    """Return the digest of all databases in the format of DEBUG DIGEST."""
    final = _ZERO
    for db in space.databases:
        if not len(db):
            continue
        final = _mix(final, db.index.to_bytes(4, "big"))
        for key, value in db.items():
            final = _xor(final, value_digest(_mix(_ZERO, key), value, key in db.expires))
    return b"%040x" % final
