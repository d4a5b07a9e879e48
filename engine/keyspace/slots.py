"""Hash slots: which slot a key belongs to, and the keys of each slot.

The database of a cluster node links the keys of a slot through their positions in the keyspace: two columns of 4
bytes per key hold a key's neighbors in its slot, so counting the keys of a slot is O(1) and listing them O(keys
listed). As in Redis, the key that was added last comes first.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model
"""

from array import array
from binascii import crc_hqx
from collections.abc import Iterator, Sequence
from typing import Any, Final

from engine.keyspace.databases import Database, Keyspace, Value

SLOTS: Final = 16384
NONE: Final = (1 << 32) - 1  # no position


def key_slot(key: bytes) -> int:
    """Return the slot of a key: that of its hash tag if it has one that is not empty, else of the whole key."""
    begin = key.find(b"{")
    if begin >= 0:
        end = key.find(b"}", begin + 1)
        if end > begin + 1:
            key = key[begin + 1 : end]
    return crc_hqx(key, 0) & (SLOTS - 1)


class SlotIndex:
    """The positions of the keys of each slot."""

    __slots__ = ("_after", "_before", "_heads", "counts")

    def __init__(self) -> None:
        self.counts: array[int]
        self._heads: array[int]
        self._before: array[int]  # by position: the neighbors in the slot
        self._after: array[int]
        self.clear()

    def add(self, slot: int, at: int) -> None:
        """Add the key at a position that is new or was a hole."""
        heads, before, after = self._heads, self._before, self._after
        first = heads[slot]
        if at == len(before):
            before.append(NONE)
            after.append(first)
        else:
            before[at], after[at] = NONE, first
        if first != NONE:
            before[first] = at
        heads[slot] = at
        self.counts[slot] += 1

    def remove(self, slot: int, at: int) -> None:
        """Remove the key at a position."""
        before, after = self._before[at], self._after[at]
        if before == NONE:
            self._heads[slot] = after
        else:
            self._after[before] = after
        if after != NONE:
            self._before[after] = before
        self.counts[slot] -= 1

    def positions(self, slot: int) -> Iterator[int]:
        """Yield the positions of a slot's keys, the last one added first. Do not remove keys while iterating."""
        at = self._heads[slot]
        while at != NONE:
            yield at
            at = self._after[at]

    def move(self, kept: Sequence[int]) -> None:
        """Update the index after the positions were moved together: `kept` contains the old ones in order."""
        moved = array("I", [NONE]) * len(self._before)
        for to, at in enumerate(kept):
            moved[at] = to
        columns = ([column[at] for at in kept] for column in (self._before, self._after))
        self._before, self._after, self._heads = (
            array("I", [NONE if at == NONE else moved[at] for at in column]) for column in (*columns, self._heads)
        )

    def clear(self) -> None:
        """Remove all keys."""
        self.counts = array("I", bytes(4 * SLOTS))
        self._heads = array("I", [NONE]) * SLOTS
        self._before, self._after = array("I"), array("I")


class SlottedDatabase(Database):
    """A database that indexes its keys by slot (database 0 of a cluster node)."""

    __slots__ = ("slots",)

    def __init__(self, space: Keyspace, index: int) -> None:
        super().__init__(space, index)
        self.slots = SlotIndex()

    def __getstate__(self) -> tuple[Any, ...]:
        return super().__getstate__(), self.slots

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        base, self.slots = state
        super().__setstate__(base)

    def append(self, key: bytes, value: Value, access: int) -> None:
        """See `Database.append`."""
        super().append(key, value, access)
        self.slots.add(key_slot(key), self.positions[key])

    def delete(self, key: bytes) -> bool:
        """See `Database.delete`."""
        at = self.positions.get(key)
        if at is not None:
            self.slots.remove(key_slot(key), at)
        return super().delete(key)

    def clear(self) -> int:
        """See `Database.clear`."""
        self.slots.clear()
        return super().clear()

    def swap(self, other: Database) -> None:
        """See `Database.swap`."""
        assert isinstance(other, SlottedDatabase), "a keyspace has slots in all copies of a database or in none"
        super().swap(other)
        self.slots, other.slots = other.slots, self.slots

    def _close_holes(self) -> None:
        self.slots.move(sorted(self.positions.values()))
        super()._close_holes()

    def check(self) -> None:
        """See `Database.check`."""
        super().check()
        held = {slot: list(self.slots.positions(slot)) for slot in range(SLOTS) if self.slots.counts[slot]}
        assert sorted(at for positions in held.values() for at in positions) == sorted(self.positions.values())
        for slot, positions in held.items():
            assert len(positions) == self.slots.counts[slot]
            assert all(key_slot(self.members[at]) == slot for at in positions)

    def count_keys(self, slot: int) -> int:
        """Return how many keys a slot holds, including expired ones."""
        return self.slots.counts[slot]

    def keys_in_slot(self, slot: int, count: int) -> list[bytes]:
        """Return up to `count` keys of a slot, including expired ones."""
        members = self.members
        found: list[bytes] = []
        for at in self.slots.positions(slot):
            if len(found) >= count:
                break
            found.append(members[at])
        return found
