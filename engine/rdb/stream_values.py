"""Stream values from and to the records of `engine.rdb.streams`."""

from engine.rdb import streams
from engine.rdb.streams import Consumer, Entry, Group, Node, Pending, Stream
from engine.values.stream import MIN_ID, StreamNode, StreamValue


def record_of(value: StreamValue) -> Stream:
    """Return everything that is kept of a stream."""
    nodes = [
        Node(
            node.master,
            list(node.fields),
            [Entry(id, list(row), at in node.dead) for at, (id, row) in enumerate(zip(node.ids, node.rows))],
        )
        for node in value.nodes
    ]
    groups = [
        Group(
            group.name,
            group.last_id,
            group.entries_read,
            [
                Pending(id, nack.delivered_ms, nack.deliveries)
                for id in group.pending.ids()
                if (nack := group.pending.get(id)) is not None
            ],
            [Consumer(c.name, c.seen_ms, c.active_ms, list(c.pending.ids())) for c in group.in_order()],
        )
        for group in value.groups_in_order()
    ]
    return Stream(
        nodes, value.length, value.last_id, value.first_id, value.max_deleted_id, value.entries_added, groups
    )


def value_of(record: Stream) -> StreamValue:
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
    value.last_id = max(record.last_id, value.nodes[-1].ids[-1] if value.nodes else MIN_ID)
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
    """Return a stream as it is written."""
    return streams.write_stream(record_of(value), compressed)


def load_stream(kind: int, data: bytes, p: int, lenient: bool) -> tuple[StreamValue, int]:
    """Read a stream; returns it and the position after it."""
    record, p = streams.read_stream(kind, data, p, lenient)
    return value_of(record), p
