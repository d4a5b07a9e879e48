"""Keys that key specifications cannot describe, because their position or access depends on other arguments.

Each function parses a request as the command itself would, and only as far as necessary: the command reports
errors in the arguments.

https://redis.io/docs/latest/commands/command-getkeys/
"""

from typing import Final

from engine.table.declarations import KEY_ACCESS, KEY_DELETE, KEY_OW, KEY_RO, KEY_RW, KEY_UPDATE, Argv, KeyRef

_READ: Final = KEY_RO | KEY_ACCESS
_OVERWRITE: Final = KEY_OW | KEY_UPDATE
_CHANGE: Final = KEY_RW | KEY_ACCESS | KEY_UPDATE


def set_keys(argv: Argv) -> list[KeyRef]:
    """SET overwrites its key, and also reads it if GET is given."""
    gets = any(arg.lower() == b"get" for arg in argv[3:])
    return [KeyRef(1, _CHANGE if gets else _OVERWRITE)]


def bitfield_keys(argv: Argv) -> list[KeyRef]:
    """BITFIELD is read-only if all its operations are GET."""
    i, end = 2, len(argv)
    while i < end:
        left = end - i - 1
        word = argv[i].lower()
        if word == b"get" and left >= 2:
            i += 3
        elif word == b"overflow" and left >= 1:
            i += 2
        else:
            return [KeyRef(1, _CHANGE)]
    return [KeyRef(1, _READ)]


def sort_ro_keys(argv: Argv) -> list[KeyRef]:
    """SORT_RO has one key; the keys that BY and GET access depend on the elements."""
    return [KeyRef(1, _READ)]


_SORT_OPTIONS: Final = {b"limit": 2, b"get": 1, b"by": 1}


def sort_keys(argv: Argv) -> list[KeyRef]:
    """SORT reads its first argument and overwrites the key of the last STORE."""
    stored = 0
    i = 2
    while i < len(argv):
        word = argv[i].lower()
        if word == b"store" and i + 1 < len(argv):
            stored = i + 1
        i += 1 + _SORT_OPTIONS.get(word, 0)
    refs = [KeyRef(1, _READ)]
    if stored:
        refs.append(KeyRef(stored, _OVERWRITE))
    return refs


_MIGRATE_OPTIONS: Final = {b"auth": 1, b"auth2": 2}


def migrate_keys(argv: Argv) -> list[KeyRef]:
    """MIGRATE has one key, or an empty one and then several after KEYS."""
    first, end = 3, 4
    i = 6
    while i < len(argv):
        word = argv[i].lower()
        if word == b"keys":
            # Using both forms is a syntax error, which MIGRATE reports.
            first, end = (i + 1, len(argv)) if not argv[3] else (0, 0)
            break
        i += 1 + _MIGRATE_OPTIONS.get(word, 0)
    return [KeyRef(position, KEY_RW | KEY_ACCESS | KEY_DELETE) for position in range(first, end)]
