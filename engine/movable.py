"""Keys that key specifications cannot tell: where they stand, or what is done to them, depends on other arguments.

Each function reads a request the way the command itself would, and no further than it must: what is wrong with the
arguments is for the command to say.

https://redis.io/docs/latest/commands/command-getkeys/
"""

from engine.table import KEY_ACCESS, KEY_DELETE, KEY_OW, KEY_RO, KEY_RW, KEY_UPDATE, Argv, KeyRef

_READ = KEY_RO | KEY_ACCESS
_OVERWRITE = KEY_OW | KEY_UPDATE
_CHANGE = KEY_RW | KEY_ACCESS | KEY_UPDATE


def set_keys(argv: Argv) -> list[KeyRef]:
    """SET overwrites its key, and reads it too when GET is given."""
    gets = any(arg.lower() == b"get" for arg in argv[3:])
    return [KeyRef(1, _CHANGE if gets else _OVERWRITE)]


def bitfield_keys(argv: Argv) -> list[KeyRef]:
    """BITFIELD only reads as long as its operations are all GET."""
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
    """SORT_RO names one key; what BY and GET reach is known only from the elements."""
    return [KeyRef(1, _READ)]


_SORT_OPTIONS = {b"limit": 2, b"get": 1, b"by": 1}


def sort_keys(argv: Argv) -> list[KeyRef]:
    """SORT reads its first argument and overwrites what the last STORE names."""
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


_MIGRATE_OPTIONS = {b"auth": 1, b"auth2": 2}


def migrate_keys(argv: Argv) -> list[KeyRef]:
    """MIGRATE names one key, or an empty one and then several after KEYS."""
    first, end = 3, 4
    i = 6
    while i < len(argv):
        word = argv[i].lower()
        if word == b"keys":
            # Both forms at once are an error of syntax, which MIGRATE reports.
            first, end = (i + 1, len(argv)) if not argv[3] else (0, 0)
            break
        i += 1 + _MIGRATE_OPTIONS.get(word, 0)
    return [KeyRef(position, KEY_RW | KEY_ACCESS | KEY_DELETE) for position in range(first, end)]
