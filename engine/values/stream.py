"""Streams: entries of fields and values with increasing IDs, and the consumer groups that read them.

Redis keeps a radix tree of nodes; each is a listpack of up to stream-node-max-entries entries (and about
stream-node-max-bytes bytes), keyed by the ID of its first entry, the master entry. The boundaries of nodes are
visible: approximate trimming removes whole nodes only, and RDB files contain them. So the nodes here are the same: a
sorted list of nodes, each with the IDs and the rows of its entries, and with the size that its listpack would have.

A deleted entry stays in its node, marked as dead, until the last living entry of the node is deleted, which removes
the node, or until it is trimmed. The counters `last_id` (which never decreases), `max_deleted_id` and `entries_added`
allow `lag` to compute how many entries a group has yet to read without reading entries, as long as none in between
was deleted.

Costs: adding O(1), finding an ID two bisections, a range the size of its result. Rows are flat tuples of fields and
values: the garbage collector skips tuples of bytes, while a million lists would occasionally cost it a second.

https://redis.io/docs/latest/develop/data-types/streams/
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import chain, islice, pairwise
from typing import ClassVar, Final

from engine.values.compact import compact
from engine.values.listpack import HEADER_BYTES, entry_size, integer_size
from engine.values.pending import UNKNOWN_ENTRIES_READ, Consumer, Group, Id, Nack
from engine.values.radix import count_nodes, nodes_of_key

Row = tuple[bytes, ...]

MIN_ID: Id = (0, 0)
MAX_ID: Id = (2**64 - 1, 2**64 - 1)
MAX_NODE_BYTES: Final = 1 << 30

_MASK64: Final = 2**64 - 1
_NODE_BYTES: Final = 64  # overhead of a node, without its listpack
_GROUP_BYTES: Final = 160
_CONSUMER_BYTES: Final = 96
_NACK_BYTES: Final = 72  # including its nodes in the trees of group and consumer


def format_id(id: Id) -> bytes:
    """Return an ID in the format that clients see: 1526919030474-55."""
    return b"%d-%d" % id


def next_id(id: Id) -> Id:
    """Return the ID after this one; 0-0 after the largest."""
    ms, sequence = id
    if sequence < _MASK64:
        return ms, sequence + 1
    return (ms + 1 & _MASK64), 0


def previous_id(id: Id) -> Id:
    """Return the ID before this one; the largest before 0-0."""
    ms, sequence = id
    if sequence:
        return ms, sequence - 1
    return (ms - 1 & _MASK64), _MASK64


def _signed(difference: int) -> int:
    difference &= _MASK64
    return difference - (1 << 64) if difference >> 63 else difference


class StreamNode:
    """A sequence of entries. `dead` holds the positions of deleted ones; all entries before `head` are dead.

    `size` is that of the listpack in bytes. Entries with the same fields as the node do not store them in the
    listpack.
    """

    __slots__ = ("dead", "fields", "head", "ids", "master", "rows", "same_bytes", "size")

    def __init__(self, master: Id, fields: Row) -> None:
        self.master = master
        self.fields = fields
        self.ids: list[Id] = []
        self.rows: list[Row] = []
        self.dead: set[int] = set()
        self.head = 0
        # the counts of living and deleted entries and of fields, the fields, the end of the master entry
        self.size = HEADER_BYTES + 4 + integer_size(len(fields)) + sum(map(entry_size, fields)) + 2
        self.same_bytes = 2 + integer_size(len(fields) + 3)  # flags, element count of the entry

    @property
    def live(self) -> int:
        """The number of entries that are not deleted."""
        return len(self.ids) - len(self.dead)

    def append(self, id: Id, row: Row) -> int:
        """Add an entry at the end. Returns by how many bytes the listpack grows."""
        fields = self.fields
        if row[::2] == fields:
            values = row[1::2]
            # All entries with the same field names share one copy of them.
            row = tuple(chain.from_iterable(zip(fields, values))) if len(fields) > 1 else fields + values
            grown = self.same_bytes
            for item in values:
                grown += entry_size(item)
        else:
            grown = 2 + integer_size(len(row) // 2) + sum(map(entry_size, row)) + integer_size(len(row) + 4)
        master = self.master
        ms = id[0] - master[0]
        sequence = id[1] - master[1]
        grown += 2 if 0 <= ms < 128 else integer_size(_signed(ms))
        grown += 2 if 0 <= sequence < 128 else integer_size(_signed(sequence))
        self.ids.append(id)
        self.rows.append(row)
        live = len(self.ids) - len(self.dead)
        if live > 127:
            grown += integer_size(live) - integer_size(live - 1)
        self.size += grown
        return grown

    def position(self, id: Id) -> int:
        """Return the position of a living entry; -1 if there is none with this ID."""
        ids = self.ids
        at = bisect_left(ids, id, self.head)
        if at == len(ids) or ids[at] != id or at in self.dead:
            return -1
        return at

    def bury(self, at: int) -> None:
        """Mark a living entry as deleted."""
        dead = self.dead
        dead.add(at)
        buried = len(dead)
        live = len(self.ids) - buried
        if live > 126 or buried > 127:
            self.size += integer_size(live) - integer_size(live + 1) + integer_size(buried) - integer_size(buried - 1)
        if at == self.head:
            at += 1
            while at in dead:
                at += 1
            self.head = at

    def between(self, start: Id, end: Id, count: int, reverse: bool) -> list[tuple[Id, Row]]:
        """Return up to `count` living entries (0: all) from `start` to `end` inclusive; backwards if `reverse`."""
        ids, rows, dead = self.ids, self.rows, self.dead
        low = self.head if start <= self.master else bisect_left(ids, start, self.head)
        high = bisect_right(ids, end, low) if ids[-1] > end else len(ids)
        if len(dead) > self.head:
            places = range(high - 1, low - 1, -1) if reverse else range(low, high)
            return [(ids[at], rows[at]) for at in islice((at for at in places if at not in dead), count or None)]
        if reverse:
            if count:
                low = max(low, high - count)
            return list(zip(ids[low:high], rows[low:high]))[::-1]
        if count:
            high = min(high, low + count)
        return list(zip(ids[low:high], rows[low:high]))

    def last(self) -> Id | None:
        """Return the ID of the last living entry; None if there is none."""
        ids, dead = self.ids, self.dead
        at = len(ids) - 1
        while at in dead:
            at -= 1
        return ids[at] if at >= 0 else None

    def measured(self) -> int:
        """Return the size of the listpack, computed from its elements (for tests)."""
        size = HEADER_BYTES + sum(map(integer_size, (self.live, len(self.dead), len(self.fields), 0)))
        size += sum(map(entry_size, self.fields))
        for (ms, sequence), row in zip(self.ids, self.rows):
            same = row[::2] == self.fields
            items = row[1::2] if same else row
            size += integer_size(0) + integer_size(_signed(ms - self.master[0]))
            size += integer_size(_signed(sequence - self.master[1])) + sum(map(entry_size, items))
            size += integer_size(len(items) + 3 if same else len(items) + 4)
            size += 0 if same else integer_size(len(row) // 2)
        return size

    def copy(self) -> "StreamNode":
        """Return an equal node."""
        other = StreamNode(self.master, self.fields)
        other.ids = self.ids.copy()
        other.rows = self.rows.copy()
        other.dead = self.dead.copy()
        other.head = self.head
        other.size = self.size
        return other


class StreamValue:
    """A stream. `length` counts living entries; `first_id` is the ID of the first one, 0-0 if there is none.

    In a file from an early version of Redis 5, the length may be wrong. It is kept as stored (`miscounted`).
    """

    __slots__ = (
        "entries_added",
        "first_id",
        "groups",
        "last_id",
        "length",
        "masters",
        "max_deleted_id",
        "memory",
        "miscounted",
        "nodes",
        "tree_nodes",
    )

    type_name: ClassVar[str] = "stream"
    encoding: ClassVar[bytes] = b"stream"

    def __init__(self) -> None:
        self.nodes: list[StreamNode] = []
        self.masters: list[Id] = []  # the master ID of each node
        self.tree_nodes = 1  # of the radix tree that Redis would have
        self.length = 0
        self.first_id: Id = MIN_ID
        self.last_id: Id = MIN_ID
        self.max_deleted_id: Id = MIN_ID
        self.entries_added = 0
        self.groups: dict[bytes, Group] = {}
        self.memory = 0
        self.miscounted = False

    def __len__(self) -> int:
        return self.length

    def compact(self) -> None:
        """Give back storage that is not needed."""
        for group in self.groups.values():
            compact(group.consumers)
            for pending in (group.pending, *[consumer.pending for consumer in group.consumers.values()]):
                compact(pending.nacks)

    # --- adding -------------------------------------------------------------------------------------------------

    def new_id(self, now_ms: int) -> Id:
        """Return the ID generated for a new entry: `now_ms`-0, or the ID after the last one if that is not older."""
        return (now_ms, 0) if now_ms > self.last_id[0] else next_id(self.last_id)

    def append(self, id: Id, row: Row, max_bytes: int, max_entries: int) -> None:
        """Add an entry; its ID must be greater than the last one's. A limit of 0 for nodes means unlimited."""
        nodes = self.nodes
        if nodes:
            node = nodes[-1]
            limit = max_bytes if 0 < max_bytes < MAX_NODE_BYTES else MAX_NODE_BYTES
            if 0 < max_entries <= len(node.ids) or node.size + sum(map(len, row)) >= limit:
                node = self._open(id, row)
        else:
            node = self._open(id, row)
        self.memory += node.append(id, row)
        self.length += 1
        self.entries_added += 1
        self.last_id = id
        if self.length == 1:
            self.first_id = id

    def _open(self, id: Id, row: Row) -> StreamNode:
        """Start a node with an entry that is about to be added."""
        node = StreamNode(id, row[::2])
        self._enter(node)
        return node

    def _enter(self, node: StreamNode) -> None:
        self.nodes.append(node)
        self.masters.append(node.master)
        self.tree_nodes += nodes_of_key(self.masters, len(self.masters) - 1)
        self.memory += node.size + _NODE_BYTES

    def adopt(self, node: StreamNode) -> None:
        """Add a node that was loaded with its entries. All of them may be dead: XTRIM MINID leaves such nodes."""
        self._enter(node)
        if node.live and not self.length:
            self.first_id = node.ids[node.head]
        self.length += node.live

    def believe(self, length: int, first_id: Id, last_id: Id) -> None:
        """Apply the stored length and IDs of a file to the adopted entries."""
        ids = [id for node in self.nodes for id in node.ids]
        self.miscounted = (
            length != self.length
            or first_id != self.first_id
            or any(node.ids[0] < node.master for node in self.nodes)
            or any(a >= b for a, b in pairwise(ids))
            or bool(ids and ids[-1] > last_id)
        )
        self.length, self.first_id, self.last_id = length, first_id, last_id

    # --- finding ------------------------------------------------------------------------------------------------

    def _seek(self, id: Id) -> int:
        """Return the index of the node that an ID belongs to."""
        return 0 if id <= self.masters[0] else bisect_right(self.masters, id) - 1

    def range(self, start: Id, end: Id, count: int = 0, reverse: bool = False) -> list[tuple[Id, Row]]:
        """Return up to `count` entries (0: all) from `start` to `end`, both inclusive.

        With `reverse`, start at the end and go backwards.
        """
        nodes = self.nodes
        found: list[tuple[Id, Row]] = []
        if start > end or not nodes:
            return found
        low = self._seek(start)
        high = self._seek(end) if end < self.last_id else len(nodes) - 1
        for at in range(high, low - 1, -1) if reverse else range(low, high + 1):
            found += nodes[at].between(start, end, count - len(found) if count else 0, reverse)
            if count and len(found) >= count:
                break
        return found

    def get(self, id: Id) -> Row | None:
        """Return the fields and values of an entry; None if it does not exist."""
        if not self.nodes or id > self.last_id:
            return None
        node = self.nodes[self._seek(id)]
        at = node.position(id)
        return node.rows[at] if at >= 0 else None

    def top(self) -> Id:
        """Return the ID of the last living entry; 0-0 if there is none."""
        for node in reversed(self.nodes):
            id = node.last()
            if id is not None:
                return id
        return MIN_ID

    def _find_first(self) -> Id:
        for node in self.nodes:
            if node.head < len(node.ids):
                return node.ids[node.head]
        return MAX_ID

    def edge(self) -> Id:
        """Return the ID of the first entry that a node still stores, deleted or not; the largest ID if none."""
        return self.nodes[0].ids[0] if self.nodes else MAX_ID

    # --- removing -----------------------------------------------------------------------------------------------

    def remove(self, id: Id) -> bool:
        """Delete an entry. Returns False if it does not exist."""
        if not self.nodes or id > self.last_id:
            return False
        place = self._seek(id)
        node = self.nodes[place]
        at = node.position(id)
        if at < 0:
            return False
        size = node.size
        if node.live == 1:
            self.tree_nodes -= nodes_of_key(self.masters, place)
            del self.nodes[place]
            del self.masters[place]
            self.memory -= size + _NODE_BYTES
        else:
            node.bury(at)
            self.memory += node.size - size
        self.length -= 1
        if id > self.max_deleted_id:
            self.max_deleted_id = id
        if not self.length:
            self.first_id = MIN_ID
        elif id == self.first_id:
            self.first_id = self._find_first()
        return True

    def trim_by_length(self, length: int, approximate: bool = False, limit: int = 0) -> int:
        """Remove the oldest entries until `length` are left. Returns how many were removed.

        `approximate` removes whole nodes only, with no more than `limit` entries in total (0: unlimited).
        """
        removed = dropped = 0
        for node in self.nodes:
            live = node.live
            left = (
                self.length - removed
            )  # a negative number (see `miscounted`) exceeds any length, because it is unsigned in Redis
            if 0 <= left <= length or (limit and removed + live > limit):
                break
            if 0 <= left - live < length:
                if not approximate:
                    self._drop(dropped)
                    dropped = 0
                    removed += self._bury_head(node, self.length - removed - length)
                break
            removed += live
            dropped += 1
        self._drop(dropped)
        return self._trimmed(removed)

    def trim_by_id(self, id: Id, approximate: bool = False, limit: int = 0) -> int:
        """Remove the entries with IDs smaller than this one; see `trim_by_length`."""
        removed = dropped = 0
        for node in self.nodes:
            live = node.live
            if limit and removed + live > limit:
                break
            if node.ids[-1] >= id:
                if not approximate:
                    self._drop(dropped)
                    dropped = 0
                    below = bisect_left(node.ids, id)
                    buried = sum([at < below for at in node.dead]) if node.dead else 0
                    removed += self._bury_head(node, below - buried)
                break
            removed += live
            dropped += 1
        self._drop(dropped)
        return self._trimmed(removed)

    def _drop(self, count: int) -> None:
        """Remove the first `count` nodes."""
        for at in range(count):
            self.tree_nodes -= nodes_of_key(self.masters, at, at)
            self.memory -= self.nodes[at].size + _NODE_BYTES
        del self.nodes[:count]
        del self.masters[:count]

    def _bury_head(self, node: StreamNode, count: int) -> int:
        """Delete the first `count` living entries of a node that remains."""
        size = node.size
        for _ in range(count):
            node.bury(node.head)
        self.memory += node.size - size
        return count

    def _trimmed(self, removed: int) -> int:
        self.length -= removed
        if not self.length:
            self.first_id = MIN_ID
        elif removed:
            self.first_id = self._find_first()
        return removed

    # --- groups -------------------------------------------------------------------------------------------------

    def create_group(self, name: bytes, last_id: Id, entries_read: int) -> bool:
        """Add a group that has read up to an ID. Returns False if a group of this name exists."""
        if name in self.groups:
            return False
        self.groups[name] = Group(name, last_id, entries_read)
        self.memory += _GROUP_BYTES + len(name)
        return True

    def destroy_group(self, name: bytes) -> bool:
        """Remove a group and its consumers. Returns False if no group of this name exists."""
        group = self.groups.pop(name, None)
        if group is None:
            return False
        self.memory -= _group_memory(group)
        return True

    def groups_in_order(self) -> list[Group]:
        """Return the groups sorted by name."""
        return [self.groups[name] for name in sorted(self.groups)]

    def create_consumer(self, group: Group, name: bytes, now_ms: int, active_ms: int = -1) -> Consumer:
        """Add a consumer with a new name."""
        consumer = group.consumers[name] = Consumer(name, now_ms, active_ms)
        self.memory += _CONSUMER_BYTES + len(name)
        return consumer

    def delete_consumer(self, group: Group, consumer: Consumer) -> int:
        """Remove a consumer and its pending entries. Returns the number of pending entries."""
        count = len(consumer.pending)
        for id in consumer.pending.nacks:
            group.pending.remove(id)
        del group.consumers[consumer.name]
        self.memory -= _CONSUMER_BYTES + len(consumer.name) + count * _NACK_BYTES
        return count

    def assign(self, group: Group, consumer: Consumer, id: Id, delivered_ms: int, deliveries: int = 1) -> Nack:
        """Record that an entry was delivered to a consumer, regardless of its previous owner."""
        nack = group.pending.get(id)
        if nack is None:
            nack = Nack(consumer.name, delivered_ms, deliveries)
            group.pending.add(id, nack)
            consumer.pending.add(id, nack)
            self.memory += _NACK_BYTES
        else:
            self.hand_over(group, nack, id, consumer)
            nack.delivered_ms = delivered_ms
            nack.deliveries = deliveries
        return nack

    def hand_over(self, group: Group, nack: Nack, id: Id, consumer: Consumer) -> None:
        """Make a consumer the owner of a pending entry."""
        if nack.consumer != consumer.name:
            group.consumers[nack.consumer].pending.remove(id)
            consumer.pending.add(id, nack)
            nack.consumer = consumer.name

    def acknowledge(self, group: Group, id: Id) -> bool:
        """Remove an entry from the pending entries. Returns False if it is not pending."""
        nack = group.pending.get(id)
        if nack is None:
            return False
        group.pending.remove(id)
        group.consumers[nack.consumer].pending.remove(id)
        self.memory -= _NACK_BYTES
        return True

    def advance(self, group: Group, id: Id) -> None:
        """Record that a group has read its next entry."""
        if group.entries_read != UNKNOWN_ENTRIES_READ and not self.deleted_since(id):
            group.entries_read += 1
        elif self.entries_added:
            group.entries_read = self.estimate_entries_read(id)
        group.last_id = id

    def deleted_since(self, id: Id) -> bool:
        """Return whether an entry with this ID or a greater one, among those not trimmed, may have been deleted."""
        if not self.length or self.max_deleted_id == MIN_ID or self.first_id > self.max_deleted_id:
            return False
        return id <= self.max_deleted_id

    def estimate_entries_read(self, id: Id) -> int:
        """Return how many entries were added up to an ID; UNKNOWN_ENTRIES_READ if the counters do not show it."""
        if not self.entries_added:
            return 0
        if (not self.length and id <= self.last_id) or id == self.last_id:
            return self.entries_added
        if id > self.last_id:
            return UNKNOWN_ENTRIES_READ
        if self.max_deleted_id == MIN_ID or self.max_deleted_id < self.first_id:
            if id < self.first_id:
                return self.entries_added - self.length
            if id == self.first_id:
                return self.entries_added - self.length + 1
        return UNKNOWN_ENTRIES_READ

    def lag(self, group: Group) -> int | None:
        """Return how many entries a group has yet to read; None if unknown."""
        if not self.entries_added:
            return 0
        if group.entries_read != UNKNOWN_ENTRIES_READ and not self.deleted_since(group.last_id):
            return self.entries_added - group.entries_read
        entries_read = self.estimate_entries_read(group.last_id)
        return None if entries_read == UNKNOWN_ENTRIES_READ else self.entries_added - entries_read

    # --- the whole ----------------------------------------------------------------------------------------------

    def digest_parts(self) -> Iterator[bytes]:
        """Iterate over the bytes that DEBUG DIGEST hashes: ID, fields and values of each entry."""
        for id, row in self.range(MIN_ID, MAX_ID):
            yield b"%d.%d" % id
            yield from row

    def copy(self) -> "StreamValue":
        """Return an equal stream that shares no mutable data with this one."""
        other = StreamValue()
        other.nodes = [node.copy() for node in self.nodes]
        other.masters = self.masters.copy()
        other.tree_nodes = self.tree_nodes
        other.length = self.length
        other.first_id = self.first_id
        other.last_id = self.last_id
        other.max_deleted_id = self.max_deleted_id
        other.entries_added = self.entries_added
        other.groups = {name: group.copy() for name, group in self.groups.items()}
        other.memory = self.memory
        other.miscounted = self.miscounted
        return other

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold (for tests)."""
        ids = [id for node in self.nodes for id in node.ids]
        if not self.miscounted:
            assert all(a < b for a, b in pairwise(ids))
            assert not ids or ids[-1] <= self.last_id
            assert self.length == sum(node.live for node in self.nodes)
        assert self.masters == [node.master for node in self.nodes]
        assert self.tree_nodes == count_nodes(self.masters)
        memory = 0
        for node in self.nodes:
            assert node.ids
            assert node.master <= node.ids[0] or self.miscounted
            assert len(node.ids) == len(node.rows)
            assert all(0 <= at < len(node.ids) for at in node.dead)
            assert set(range(node.head)) <= node.dead
            assert node.head not in node.dead
            twin = StreamNode(node.master, node.fields)
            for id, row in zip(node.ids, node.rows):
                twin.append(id, row)
            for at in node.dead:
                twin.bury(at)
            assert node.size == twin.size
            assert twin.size == node.measured()
            memory += node.size + _NODE_BYTES
        if self.length and not self.miscounted:
            assert self.first_id == self._find_first()
        for name, group in self.groups.items():
            assert group.name == name
            group.check()
            memory += _group_memory(group)
        assert self.memory == memory


def _group_memory(group: Group) -> int:
    return (
        _GROUP_BYTES
        + len(group.name)
        + sum(_CONSUMER_BYTES + len(name) for name in group.consumers)
        + len(group.pending) * _NACK_BYTES
    )
