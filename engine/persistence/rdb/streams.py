"""Streams in RDB files: nodes of entries, counters, and consumer groups with their pending entries.

    nodes:length (master-ID:16 bytes as string, listpack as string)…
    entries  last-ID  [first-ID  highest-deleted-ID  entries-added]
    groups:length (name  last-ID  [entries-read]  pending  consumers)…
        pending    length (ID:16 bytes  delivery-time:u64  deliveries)…
        consumers  length (name  seen:u64  [active:u64]  length (ID:16 bytes)…)…

The parts in brackets were added with types 19 and 21. A node's listpack begins with a master entry; entries with the
same fields omit them, and IDs of entries are relative to the node's master ID:

    live  deleted  number-of-fields  field…  0                      the master entry
    flags  ms  sequence  [number-of-fields]  ([field] value)…  n    an entry; n: its element count, for iterating back

The records here are plain data, converted from and to stream values. IDs are (ms, sequence).
"""

from typing import NamedTuple

from engine.persistence.rdb.errors import CorruptRdbError
from engine.persistence.rdb.layouts import read_listpack, salvage_listpack, write_listpack
from engine.persistence.rdb.primitives import (
    MILLISECONDS,
    length,
    read_length,
    read_milliseconds,
    read_raw,
    read_string,
    string,
)
from engine.protocol.numbers import parse_integer

STREAM_LISTPACKS = 15
STREAM_LISTPACKS_2 = 19
STREAM_LISTPACKS_3 = 21

FLAG_DELETED = 1
FLAG_SAME_FIELDS = 2
UNKNOWN_ENTRIES_READ = -1

_MASK64 = 2**64 - 1
_MAX_ID = (_MASK64, _MASK64)  # the first ID of an empty stream if the file does not contain it
_INTEGRITY = "Stream listpack integrity check failed."

Id = tuple[int, int]


class Entry(NamedTuple):
    """An entry of a node: alternating fields and values. A deleted entry stays until its node is removed."""

    id: Id
    pairs: list[bytes]
    deleted: bool = False


class SavedNode(NamedTuple):
    """A node: its master ID and fields, and its entries in ID order."""

    master: Id
    fields: list[bytes]
    entries: list[Entry]


class SavedPending(NamedTuple):
    """A pending entry: delivered but not acknowledged."""

    id: Id
    delivered_ms: int
    deliveries: int


class SavedConsumer(NamedTuple):
    """A consumer, and the IDs of its pending entries."""

    name: bytes
    seen_ms: int
    active_ms: int
    pending: list[Id]


class SavedGroup(NamedTuple):
    """A consumer group."""

    name: bytes
    last_id: Id
    entries_read: int  # or UNKNOWN_ENTRIES_READ
    pending: list[SavedPending]
    consumers: list[SavedConsumer]


class SavedStream(NamedTuple):
    """All stored data of a stream."""

    nodes: list[SavedNode]
    length: int
    last_id: Id
    first_id: Id
    max_deleted_id: Id
    entries_added: int
    groups: list[SavedGroup]


def raw_id(id: Id) -> bytes:
    """Return an ID as 128 bits, big-endian, so that the bytes sort like the IDs."""
    return id[0].to_bytes(8, "big") + id[1].to_bytes(8, "big")


def id_of(raw: bytes) -> Id:
    """Return the ID encoded in 16 bytes."""
    return int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")


# --- nodes ------------------------------------------------------------------------------------------------------


def _signed(difference: int) -> int:
    difference &= _MASK64
    return difference - (1 << 64) if difference >> 63 else difference


def write_node(node: SavedNode) -> bytes:
    """Encode a node as a listpack."""
    deleted = sum([entry.deleted for entry in node.entries])
    items: list[bytes | int] = [len(node.entries) - deleted, deleted, len(node.fields), *node.fields, 0]
    ms, sequence = node.master
    for entry in node.entries:
        pairs = entry.pairs
        same = pairs[::2] == node.fields
        flags = (FLAG_SAME_FIELDS if same else 0) | (FLAG_DELETED if entry.deleted else 0)
        items += [flags, _signed(entry.id[0] - ms), _signed(entry.id[1] - sequence)]
        if same:
            items += pairs[1::2]
            items.append(len(pairs) // 2 + 3)
        else:
            items.append(len(pairs) // 2)
            items += pairs
            items.append(len(pairs) + 4)
    return write_listpack(items)


def read_node(data: bytes, master: Id, lenient: bool = False) -> SavedNode:
    """Decode the listpack of a node; with `lenient`, only its entries before the first invalid one.

    As in Redis, neither the order of the IDs nor which entries are marked as deleted is checked.
    """
    try:
        items = salvage_listpack(data, counted=False) if lenient else read_listpack(data, counted=False)
    except CorruptRdbError:
        raise CorruptRdbError(_INTEGRITY) from None
    if not items:
        raise CorruptRdbError("Empty listpack inside stream")
    entries: list[Entry] = []
    fields: list[bytes] = []
    try:
        count = _read_entries(items, master, fields, entries, lenient)
        if len(entries) != count:
            raise CorruptRdbError(_INTEGRITY)
    except (IndexError, CorruptRdbError):
        if not lenient:
            raise CorruptRdbError(_INTEGRITY) from None
    return SavedNode(master, fields, entries)


def _read_entries(items: list[bytes], master: Id, fields: list[bytes], entries: list[Entry], lenient: bool) -> int:
    """Decode the fields of the master entry and the entries. Returns the entry count stated in the master entry."""

    def number(at: int) -> int:
        value = parse_integer(items[at])
        if value is None:
            raise CorruptRdbError(_INTEGRITY)
        return value

    def count(at: int) -> int:
        value = number(at)
        if not 0 <= value <= len(items):
            raise CorruptRdbError(_INTEGRITY)
        return value

    total, width = number(0) + number(1), count(2)
    fields += items[3 : 3 + width]
    at = 3 + width
    if number(at) != 0 and not lenient:
        raise CorruptRdbError(_INTEGRITY)
    at += 1
    while at < len(items):
        start = at
        flags = number(at)
        id = ((master[0] + number(at + 1)) & _MASK64, (master[1] + number(at + 2)) & _MASK64)
        at += 3
        if flags & FLAG_SAME_FIELDS:
            pairs = [item for pair in zip(fields, items[at : at + width]) for item in pair]
            at += width
        else:
            own = count(at)
            pairs = items[at + 1 : at + 1 + 2 * own]
            at += 1 + 2 * own
        # The number of elements is for backward iteration, which is not needed here.
        if number(at) != at - start and not lenient:
            raise CorruptRdbError(_INTEGRITY)
        at += 1
        entries.append(Entry(id, pairs, bool(flags & FLAG_DELETED)))
    return total


# --- streams ----------------------------------------------------------------------------------------------------


def _write_id(id: Id) -> bytes:
    return length(id[0]) + length(id[1])


def _read_id(data: bytes, p: int) -> tuple[Id, int]:
    ms, p = read_length(data, p)
    sequence, p = read_length(data, p)
    return (ms, sequence), p


def write_stream(stream: SavedStream, compressed: bool = True) -> bytes:
    """Encode a stream as type 21, with groups and consumers sorted by name."""
    parts = [length(len(stream.nodes))]
    for node in stream.nodes:
        parts.append(string(raw_id(node.master), compressed))
        parts.append(string(write_node(node), compressed))
    parts.append(length(stream.length & _MASK64))
    parts += [_write_id(id) for id in (stream.last_id, stream.first_id, stream.max_deleted_id)]
    parts.append(length(stream.entries_added & _MASK64))
    parts.append(length(len(stream.groups)))
    for group in sorted(stream.groups):
        parts.append(string(group.name, compressed))
        parts.append(_write_id(group.last_id))
        parts.append(length(group.entries_read & _MASK64))
        parts.append(length(len(group.pending)))
        for pending in sorted(group.pending):
            parts.append(raw_id(pending.id) + MILLISECONDS.pack(pending.delivered_ms))
            parts.append(length(pending.deliveries))
        parts.append(length(len(group.consumers)))
        for consumer in sorted(group.consumers):
            parts.append(string(consumer.name, compressed))
            parts.append(MILLISECONDS.pack(consumer.seen_ms) + MILLISECONDS.pack(consumer.active_ms))
            parts.append(length(len(consumer.pending)))
            parts += [raw_id(id) for id in sorted(consumer.pending)]
    return b"".join(parts)


def read_stream(kind: int, data: bytes, p: int, lenient: bool = False) -> tuple[SavedStream, int]:
    """Read a stream of type 15, 19 or 21. Returns it and the position after it.

    With `lenient`, invalid parts of nodes are skipped, and so are pending entries without a consumer.
    If several consumers claim the same entry, the last one gets it.
    """
    start = p
    claimed, _ = read_length(data, p)
    nodes, p = _read_nodes(data, p, lenient)
    # Early versions of Redis 5 wrote a length that differs from the number of entries. Redis accepts it unchanged.
    size, p = read_length(data, p)
    last_id, p = _read_id(data, p)
    if kind == STREAM_LISTPACKS:
        first_id = next((entry.id for node in nodes for entry in node.entries if not entry.deleted), _MAX_ID)
        max_deleted_id = (0, 0)
        entries_added = size
    else:
        first_id, p = _read_id(data, p)
        max_deleted_id, p = _read_id(data, p)
        entries_added, p = read_length(data, p)
    if size and not claimed:
        raise CorruptRdbError("Stream length inconsistent with rax entries", start)
    stream = SavedStream(nodes, size, last_id, first_id, max_deleted_id, _signed(entries_added), [])
    count, p = read_length(data, p)
    names: dict[bytes, None] = {}
    for _ in range(count):
        at = p
        group, p = _read_group(kind, data, p, stream, lenient)
        if group.name in names:
            raise CorruptRdbError(f"Duplicated consumer group name {group.name.decode(errors='replace')}", at)
        names[group.name] = None
        stream.groups.append(group)
    return stream, p


def _read_nodes(data: bytes, p: int, lenient: bool) -> tuple[list[SavedNode], int]:
    """Read the nodes. Returns those that have entries, in the order of their master IDs."""
    nodes: dict[Id, SavedNode] = {}
    count, p = read_length(data, p)
    for _ in range(count):
        at = p
        key, p = read_string(data, p)
        if len(key) != 16:
            raise CorruptRdbError("Stream node key entry is not the size of a stream ID", at)
        block, p = read_string(data, p)
        try:
            node = read_node(block, id_of(key), lenient)
        except CorruptRdbError as error:
            raise CorruptRdbError(error.reason, at) from None
        if node.master in nodes:
            raise CorruptRdbError("Listpack re-added with existing key", at)
        nodes[node.master] = node
    return [nodes[master] for master in sorted(nodes) if nodes[master].entries], p


def _read_group(kind: int, data: bytes, p: int, stream: SavedStream, lenient: bool) -> tuple[SavedGroup, int]:
    name, p = read_string(data, p)
    last_id, p = _read_id(data, p)
    if kind == STREAM_LISTPACKS:
        entries_read = _estimate_entries_read(stream, last_id)
    else:
        entries_read, p = read_length(data, p)
        entries_read = _signed(entries_read)
    group = SavedGroup(name, last_id, entries_read, [], [])
    unowned: dict[Id, None] = {}
    count, p = read_length(data, p)
    for _ in range(count):
        at = p
        raw, p = read_raw(data, p, 16)
        delivered_ms, p = read_milliseconds(data, p)
        deliveries, p = read_length(data, p)
        id = id_of(raw)
        if id in unowned:
            raise CorruptRdbError("Duplicated global PEL entry loading stream consumer group", at)
        unowned[id] = None
        group.pending.append(SavedPending(id, delivered_ms, deliveries))
    known = frozenset(unowned)
    count, p = read_length(data, p)
    names: dict[bytes, None] = {}
    for _ in range(count):
        at = p
        consumer, p = _read_consumer(kind, data, p, known)
        if consumer.name in names:
            raise CorruptRdbError("Duplicate stream consumer detected.", at)
        names[consumer.name] = None
        group.consumers.append(consumer)
        for id in consumer.pending:
            unowned.pop(id, None)
    if unowned:
        if not lenient:
            raise CorruptRdbError("Stream CG PEL entry without consumer", p)
        group = group._replace(pending=[pending for pending in group.pending if pending.id not in unowned])
    return group, p


def _read_consumer(kind: int, data: bytes, p: int, known: frozenset[Id]) -> tuple[SavedConsumer, int]:
    """Read a consumer; its pending entries must be `known` in the group."""
    name, p = read_string(data, p)
    seen_ms, p = read_milliseconds(data, p)
    active_ms = seen_ms
    if kind == STREAM_LISTPACKS_3:
        active_ms, p = read_milliseconds(data, p)
    pending: dict[Id, None] = {}
    count, p = read_length(data, p)
    for _ in range(count):
        at = p
        raw, p = read_raw(data, p, 16)
        id = id_of(raw)
        if id not in known:
            raise CorruptRdbError("Consumer entry not found in group global PEL", at)
        if id in pending:
            raise CorruptRdbError("Duplicated consumer PEL entry loading a stream consumer group", at)
        pending[id] = None
    return SavedConsumer(name, seen_ms, active_ms, list(pending)), p


def _estimate_entries_read(stream: SavedStream, id: Id) -> int:
    """Return how many entries a group in an old file has read, if that can be determined."""
    if not stream.entries_added:
        return 0
    if (not stream.length and id <= stream.last_id) or id == stream.last_id:
        return stream.entries_added
    if id > stream.last_id:
        return UNKNOWN_ENTRIES_READ
    if id < stream.first_id:
        return stream.entries_added - stream.length
    if id == stream.first_id:
        return stream.entries_added - stream.length + 1
    return UNKNOWN_ENTRIES_READ
