"""Streams in RDB: nodes of entries, counters, and consumer groups with what they have not acknowledged.

    nodes:length (master-ID:16 bytes as string, listpack as string)…
    entries  last-ID  [first-ID  highest-deleted-ID  entries-added]
    groups:length (name  last-ID  [entries-read]  pending  consumers)…
        pending    length (ID:16 bytes  delivery-time:u64  deliveries)…
        consumers  length (name  seen:u64  [active:u64]  length (ID:16 bytes)…)…

What stands in brackets came with types 19 and 21. A node's listpack begins with a master entry, whose fields the
entries leave out if they have the same ones; their IDs are differences to the node's master ID:

    live  deleted  number-of-fields  field…  0                      the master entry
    flags  ms  sequence  [number-of-fields]  ([field] value)…  n    an entry; n: elements of it, to walk backwards

Records here are plain data, from which a stream value is made and which it gives. IDs are (ms, sequence).
"""

from typing import NamedTuple

from engine.arguments import parse_integer
from engine.rdb.errors import CorruptRdbError
from engine.rdb.layouts import read_listpack, salvage_listpack, write_listpack
from engine.rdb.primitives import (
    MILLISECONDS,
    length,
    read_length,
    read_milliseconds,
    read_raw,
    read_string,
    string,
)

STREAM_LISTPACKS = 15
STREAM_LISTPACKS_2 = 19
STREAM_LISTPACKS_3 = 21

FLAG_DELETED = 1
FLAG_SAME_FIELDS = 2
UNKNOWN_ENTRIES_READ = -1

_MASK64 = 2**64 - 1
_INTEGRITY = "Stream listpack integrity check failed."

Id = tuple[int, int]


class Entry(NamedTuple):
    """An entry of a node: fields and values in turn. A deleted one stays until its node goes."""

    id: Id
    pairs: list[bytes]
    deleted: bool = False


class Node(NamedTuple):
    """A node: its master ID and fields, and its entries in the order of their IDs."""

    master: Id
    fields: list[bytes]
    entries: list[Entry]


class Pending(NamedTuple):
    """An entry that was delivered and not acknowledged."""

    id: Id
    delivered_ms: int
    deliveries: int


class Consumer(NamedTuple):
    """A consumer, and the IDs of what it has not acknowledged."""

    name: bytes
    seen_ms: int
    active_ms: int
    pending: list[Id]


class Group(NamedTuple):
    """A consumer group."""

    name: bytes
    last_id: Id
    entries_read: int  # UNKNOWN_ENTRIES_READ: not known
    pending: list[Pending]
    consumers: list[Consumer]


class Stream(NamedTuple):
    """Everything that is kept of a stream."""

    nodes: list[Node]
    length: int
    last_id: Id
    first_id: Id
    max_deleted_id: Id
    entries_added: int
    groups: list[Group]


def raw_id(id: Id) -> bytes:
    """Return an ID as 128 bits, big-endian, so that the order of bytes is that of IDs."""
    return id[0].to_bytes(8, "big") + id[1].to_bytes(8, "big")


def id_of(raw: bytes) -> Id:
    """Return the ID that 16 bytes stand for."""
    return int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")


# --- nodes ------------------------------------------------------------------------------------------------------


def _signed(difference: int) -> int:
    difference &= _MASK64
    return difference - (1 << 64) if difference >> 63 else difference


def write_node(node: Node) -> bytes:
    """Return a node's listpack."""
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


def read_node(data: bytes, master: Id, lenient: bool = False) -> Node:
    """Return the node that a listpack stands for; with `lenient` its entries up to where it makes no sense."""
    try:
        items = salvage_listpack(data) if lenient else read_listpack(data)
    except CorruptRdbError:
        raise CorruptRdbError(_INTEGRITY) from None
    if not items:
        raise CorruptRdbError("Empty listpack inside stream")
    entries: list[Entry] = []
    fields: list[bytes] = []
    try:
        live, deleted = _read_entries(items, master, fields, entries, lenient)
        if len(entries) != live + deleted or sum([entry.deleted for entry in entries]) != deleted or not entries:
            raise CorruptRdbError(_INTEGRITY)
    except (IndexError, CorruptRdbError):
        if not lenient:
            raise CorruptRdbError(_INTEGRITY) from None
    return Node(master, fields, entries)


def _read_entries(
    items: list[bytes], master: Id, fields: list[bytes], entries: list[Entry], lenient: bool
) -> tuple[int, int]:
    """Fill in the fields of the master entry, and the entries; returns how many it says there are, and deleted."""

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

    live, deleted, width = number(0), number(1), count(2)
    fields += items[3 : 3 + width]
    at = 3 + width
    if number(at) != 0 or live < 0 or deleted < 0:
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
        # The number of elements is for walking backwards, which nobody does here.
        wrong = number(at) != at - start and not lenient
        if wrong or id < master or (entries and id <= entries[-1].id):
            raise CorruptRdbError(_INTEGRITY)
        at += 1
        entries.append(Entry(id, pairs, bool(flags & FLAG_DELETED)))
    return live, deleted


# --- streams ----------------------------------------------------------------------------------------------------


def _write_id(id: Id) -> bytes:
    return length(id[0]) + length(id[1])


def _read_id(data: bytes, p: int) -> tuple[Id, int]:
    ms, p = read_length(data, p)
    sequence, p = read_length(data, p)
    return (ms, sequence), p


def write_stream(stream: Stream, compressed: bool = True) -> bytes:
    """Return a stream as type 21 is written, groups and consumers in the order of their names."""
    parts = [length(len(stream.nodes))]
    for node in stream.nodes:
        parts.append(string(raw_id(node.master), compressed))
        parts.append(string(write_node(node), compressed))
    parts.append(length(stream.length))
    parts += [_write_id(id) for id in (stream.last_id, stream.first_id, stream.max_deleted_id)]
    parts.append(length(stream.entries_added))
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


def read_stream(kind: int, data: bytes, p: int, lenient: bool = False) -> tuple[Stream, int]:
    """Read a stream of type 15, 19 or 21; returns it and the position after it.

    With `lenient`, damage within nodes is cut out, and pending entries need no consumer.
    """
    start = p
    claimed, _ = read_length(data, p)
    nodes, p = _read_nodes(data, p, lenient)
    live = sum([not entry.deleted for node in nodes for entry in node.entries])
    size, p = read_length(data, p)
    if lenient and (claimed or not size):
        size = live
    if size != live:
        raise CorruptRdbError("Stream length inconsistent with rax entries", start)
    last_id, p = _read_id(data, p)
    if kind == STREAM_LISTPACKS:
        first_id = next((entry.id for node in nodes for entry in node.entries if not entry.deleted), (0, 0))
        max_deleted_id = (0, 0)
        entries_added = size
    else:
        first_id, p = _read_id(data, p)
        max_deleted_id, p = _read_id(data, p)
        entries_added, p = read_length(data, p)
    stream = Stream(nodes, size, last_id, first_id, max_deleted_id, entries_added, [])
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


def _read_nodes(data: bytes, p: int, lenient: bool) -> tuple[list[Node], int]:
    nodes: list[Node] = []
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
        if nodes and node.master <= nodes[-1].entries[-1].id:
            raise CorruptRdbError("Listpack re-added with existing key", at)
        if node.entries:
            nodes.append(node)
    return nodes, p


def _read_group(kind: int, data: bytes, p: int, stream: Stream, lenient: bool) -> tuple[Group, int]:
    name, p = read_string(data, p)
    last_id, p = _read_id(data, p)
    if kind == STREAM_LISTPACKS:
        entries_read = _estimate_entries_read(stream, last_id)
    else:
        entries_read, p = read_length(data, p)
        entries_read = _signed(entries_read)
    group = Group(name, last_id, entries_read, [], [])
    owners: dict[Id, bool] = {}
    count, p = read_length(data, p)
    for _ in range(count):
        at = p
        raw, p = read_raw(data, p, 16)
        delivered_ms, p = read_milliseconds(data, p)
        deliveries, p = read_length(data, p)
        id = id_of(raw)
        if id in owners:
            raise CorruptRdbError("Duplicated global PEL entry loading stream consumer group", at)
        owners[id] = False
        group.pending.append(Pending(id, delivered_ms, deliveries))
    count, p = read_length(data, p)
    names: dict[bytes, None] = {}
    for _ in range(count):
        at = p
        consumer, p = _read_consumer(kind, data, p, owners)
        if consumer.name in names:
            raise CorruptRdbError("Duplicate stream consumer detected.", at)
        names[consumer.name] = None
        group.consumers.append(consumer)
    if not all(owners.values()):
        if not lenient:
            raise CorruptRdbError("Stream CG PEL entry without consumer", p)
        group = group._replace(pending=[pending for pending in group.pending if owners[pending.id]])
    return group, p


def _read_consumer(kind: int, data: bytes, p: int, owners: dict[Id, bool]) -> tuple[Consumer, int]:
    """Read a consumer, and mark what it owns in `owners`."""
    name, p = read_string(data, p)
    seen_ms, p = read_milliseconds(data, p)
    active_ms = seen_ms
    if kind == STREAM_LISTPACKS_3:
        active_ms, p = read_milliseconds(data, p)
    pending: list[Id] = []
    count, p = read_length(data, p)
    for _ in range(count):
        at = p
        raw, p = read_raw(data, p, 16)
        id = id_of(raw)
        owned = owners.get(id)
        if owned is None:
            raise CorruptRdbError("Consumer entry not found in group global PEL", at)
        if owned:
            raise CorruptRdbError("Duplicated consumer PEL entry loading a stream consumer group", at)
        owners[id] = True
        pending.append(id)
    return Consumer(name, seen_ms, active_ms, pending), p


def _estimate_entries_read(stream: Stream, id: Id) -> int:
    """Return how many entries a group of an old file has read, as far as that can be told."""
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
