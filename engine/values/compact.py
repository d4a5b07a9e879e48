"""Give dictionaries back the storage that they no longer need.

Python makes room in a dictionary for three times as many entries as it has whenever its storage is full, and the
places of removed entries count as full until then. A dictionary of constant size whose entries come and go therefore
grows to twice the storage that a new one has. It also keeps its storage when all entries are removed one by one.
"""

import sys
from typing import Any, Final

MOST: Final = 1 << 20  # entries; for more the server would stand still for longer than a tenth of a second

_HEADER_BYTES: Final = 96  # of a dictionary and of its storage
_ENTRY_BYTES: Final = 24
_LEAST_SLOTS_BITS: Final = 3


def compact(table: dict[Any, Any]) -> bool:
    """Reduce a dictionary's storage to that of a new one, if it has much more; returns whether it had."""
    size_bytes = sys.getsizeof(table)
    if size_bytes <= 1.5 * fresh_bytes(len(table)) or len(table) > MOST:
        return False
    if table:
        kept: dict[Any, Any] = {}
        kept.update(table)  # unlike a copy, it has no room for what was removed
        table.clear()
        table.update(kept)  # as large as that
    else:
        table.clear()
    return True


def fresh_bytes(entries: int) -> int:
    """Return about how much memory a new dictionary of so many entries takes."""
    if not entries:
        return _HEADER_BYTES
    bits = max(_LEAST_SLOTS_BITS, (entries * 3 // 2).bit_length())
    slot_bytes = 1 if bits < 8 else 2 if bits < 16 else 4
    return _HEADER_BYTES + (slot_bytes << bits) + _ENTRY_BYTES * ((2 << bits) // 3)
