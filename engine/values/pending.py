"""The pending entries list (PEL) of a consumer group: entries delivered to a consumer and not yet acknowledged.

Redis has one radix tree per group and one per consumer that map IDs to a shared record (consumer, delivery time,
delivery count). Here that is a dictionary plus the sorted IDs, in blocks: IDs are mostly added at the end and removed
near the start, which needs no search; anywhere else both take a bisection.

https://redis.io/docs/latest/develop/data-types/streams/#consumer-groups
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import chain, islice, pairwise
from operator import itemgetter
from typing import Final

Id = tuple[int, int]  # milliseconds and sequence number

BLOCK: Final = 512  # IDs in a block filled by appending; insertions may double it
UNKNOWN_ENTRIES_READ: Final = -1

_first = itemgetter(0)


class Nack:
    """A delivered entry: its consumer, the time of its last delivery (Unix time in ms) and the number of deliveries.

    It stores the consumer's name, not a reference: consumers refer to their pending entries, and the reference cycle
    would stay in memory after the stream is deleted.
    """

    __slots__ = ("consumer", "delivered_ms", "deliveries")

    def __init__(self, consumer: bytes, delivered_ms: int, deliveries: int = 1) -> None:
        self.consumer = consumer
        self.delivered_ms = delivered_ms
        self.deliveries = deliveries


class Pending:
    """A map from ID to `Nack`, in the order of the IDs."""

    __slots__ = ("blocks", "nacks")

    def __init__(self) -> None:
        self.nacks: dict[Id, Nack] = {}
        self.blocks: list[list[Id]] = []

    def __len__(self) -> int:
        return len(self.nacks)

    def get(self, id: Id) -> Nack | None:
        """Return the record of a pending ID; None if it is not pending."""
        return self.nacks.get(id)

    def add(self, id: Id, nack: Nack) -> None:
        """Add an ID, which must not be pending yet."""
        self.nacks[id] = nack
        blocks = self.blocks
        if not blocks:
            blocks.append([id])
            return
        block = blocks[-1]
        if id > block[-1]:
            if len(block) < BLOCK:
                block.append(id)
            else:
                blocks.append([id])
            return
        at = max(0, bisect_right(blocks, id, key=_first) - 1)
        block = blocks[at]
        insort(block, id)
        if len(block) > 2 * BLOCK:
            blocks.insert(at + 1, block[BLOCK:])
            del block[BLOCK:]

    def remove(self, id: Id) -> None:
        """Remove an ID, which must be pending."""
        del self.nacks[id]
        blocks = self.blocks
        at = 0 if id <= blocks[0][-1] else bisect_right(blocks, id, key=_first) - 1
        block = blocks[at]
        del block[bisect_left(block, id)]
        if not block:
            del blocks[at]

    def first(self) -> Id:
        """Return the smallest ID."""
        return self.blocks[0][0]

    def last(self) -> Id:
        """Return the largest ID."""
        return self.blocks[-1][-1]

    def ids(self, start: Id = (0, 0)) -> Iterator[Id]:
        """Iterate over the IDs starting at `start`. IDs must not be added or removed during the iteration."""
        blocks = self.blocks
        at = max(0, bisect_right(blocks, start, key=_first) - 1)
        if at >= len(blocks):
            return iter(())
        block = blocks[at]
        return chain(
            islice(block, bisect_left(block, start), None), chain.from_iterable(islice(blocks, at + 1, None))
        )

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold (for tests)."""
        ids = list(self.ids())
        assert all(self.blocks)
        assert all(len(block) <= 2 * BLOCK for block in self.blocks)
        assert all(a < b for a, b in pairwise(ids))
        assert set(ids) == set(self.nacks)


class Consumer:
    """A reader in a group. Times are Unix times in ms; `active_ms` is -1 until the first entry is delivered to it."""

    __slots__ = ("active_ms", "name", "pending", "seen_ms")

    def __init__(self, name: bytes, seen_ms: int, active_ms: int = -1) -> None:
        self.name = name
        self.seen_ms = seen_ms
        self.active_ms = active_ms
        self.pending = Pending()


class Group:
    """A consumer group: how far it has read, and each consumer's entries that are not yet acknowledged."""

    __slots__ = ("consumers", "entries_read", "last_id", "name", "pending")

    def __init__(self, name: bytes, last_id: Id, entries_read: int = UNKNOWN_ENTRIES_READ) -> None:
        self.name = name
        self.last_id = last_id
        self.entries_read = entries_read
        self.pending = Pending()
        self.consumers: dict[bytes, Consumer] = {}

    def in_order(self) -> list[Consumer]:
        """Return the consumers sorted by name."""
        return [self.consumers[name] for name in sorted(self.consumers)]

    def copy(self) -> "Group":
        """Return an equal group that shares nothing with this one."""
        other = Group(self.name, self.last_id, self.entries_read)
        for name, consumer in self.consumers.items():
            other.consumers[name] = Consumer(name, consumer.seen_ms, consumer.active_ms)
        for id in self.pending.ids():
            nack = self.pending.nacks[id]
            owner = other.consumers[nack.consumer]
            twin = Nack(owner.name, nack.delivered_ms, nack.deliveries)
            other.pending.add(id, twin)
            owner.pending.add(id, twin)
        return other

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold (for tests)."""
        self.pending.check()
        owned = 0
        for name, consumer in self.consumers.items():
            assert name == consumer.name
            consumer.pending.check()
            owned += len(consumer.pending)
            for id, nack in consumer.pending.nacks.items():
                assert nack.consumer == name
                assert self.pending.nacks[id] is nack
        assert owned == len(self.pending)
