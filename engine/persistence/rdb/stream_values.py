"""Conversion between stream values and the records of `engine.persistence.rdb.streams`."""

from engine.persistence.rdb import streams
from engine.persistence.rdb.streams import Entry, SavedConsumer, SavedGroup, SavedNode, SavedPending, SavedStream
from engine.values.stream import StreamNode, StreamValue


def record_of(value: StreamValue) -> SavedStream:
    """Return the record of a stream."""
    nodes = [
        SavedNode(
            node.master,
            list(node.fields),
            [Entry(id, list(row), at in node.dead) for at, (id, row) in enumerate(zip(node.ids, node.rows))],
        )
        for node in value.nodes
    ]
    groups = [
        SavedGroup(
            group.name,
            group.last_id,
            group.entries_read,
            [
                SavedPending(id, nack.delivered_ms, nack.deliveries)
                for id in group.pending.ids()
                if (nack := group.pending.get(id)) is not None
            ],
            [SavedConsumer(c.name, c.seen_ms, c.active_ms, list(c.pending.ids())) for c in group.in_order()],
        )
        for group in value.groups_in_order()
    ]
    return SavedStream(
        nodes, value.length, value.last_id, value.first_id, value.max_deleted_id, value.entries_added, groups
    )


def value_of(record: SavedStream) -> StreamValue:
    """Return the stream of a record."""
    value = StreamValue()
    for made in record.nodes:
        node = StreamNode(made.master, tuple(made.fields))
        for entry in made.entries:
            node.append(entry.id, tuple(entry.pairs))
        for at, entry in enumerate(made.entries):
            if entry.deleted:
                node.bury(at)
        value.adopt(node)
    value.believe(record.length, record.first_id, record.last_id)
    value.max_deleted_id = record.max_deleted_id
    value.entries_added = record.entries_added
    for group in record.groups:
        value.create_group(group.name, group.last_id, group.entries_read)
        own = value.groups[group.name]
        times = {pending.id: pending for pending in group.pending}
        for consumer in group.consumers:
            reader = value.create_consumer(own, consumer.name, consumer.seen_ms, consumer.active_ms)
            for id in consumer.pending:
                value.assign(own, reader, id, times[id].delivered_ms, times[id].deliveries)
    return value


def save_stream(value: StreamValue, compressed: bool) -> bytes:
    """Encode a stream."""
    return streams.write_stream(record_of(value), compressed)


def load_stream(kind: int, data: bytes, p: int, lenient: bool) -> tuple[StreamValue, int]:
    """Read a stream. Returns it and the position after it."""
    record, p = streams.read_stream(kind, data, p, lenient)
    return value_of(record), p
