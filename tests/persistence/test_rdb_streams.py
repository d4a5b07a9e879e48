"""Streams in RDB: nodes, groups, old types, damage."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.persistence.rdb import dump, layouts, primitives, streams
from engine.persistence.rdb.compression import crc64
from engine.persistence.rdb.errors import CorruptRdbError
from engine.persistence.rdb.objects import RdbLimits
from engine.persistence.rdb.stream_values import record_of, value_of
from engine.persistence.rdb.streams import Entry, SavedConsumer, SavedGroup, SavedNode, SavedPending, SavedStream
from tutor.explain.rdb import explain

texts = st.binary(max_size=12) | st.integers(-1000, 10**12).map(lambda n: b"%d" % n)
# entries as steps in time: (ms, sequence) to add, fields, deleted
steps = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 5000, 2**40]),
        st.integers(1, 3),
        st.sampled_from([[b"a"], [b"a", b"b"], [b"c"], []]),
        texts,
        st.booleans(),
    ),
    max_size=25,
)


def stream_of(rows: list[tuple[int, int, list[bytes], bytes, bool]], node_size: int, groups: int) -> SavedStream:
    ms, sequence = 1, 2**63
    entries: list[Entry] = []
    for ms_step, sequence_step, fields, value, deleted in rows:
        ms += ms_step
        sequence = sequence + sequence_step if not ms_step else sequence_step
        entries.append(Entry((ms, sequence), [item for field in fields for item in (field, value)], deleted))
    nodes = []
    for i in range(0, len(entries), node_size):
        chunk = entries[i : i + node_size]
        nodes.append(SavedNode(chunk[0].id, chunk[0].pairs[::2], chunk))
    live = [entry.id for entry in entries if not entry.deleted]
    pending = [SavedPending(entry.id, 1000 + i, i) for i, entry in enumerate(entries[::2])]
    owned = [p.id for p in pending]
    made = [
        SavedGroup(
            b"g%d" % i,
            (ms, sequence),
            streams.UNKNOWN_ENTRIES_READ if i else 3,
            pending,
            [SavedConsumer(b"c1", 5, -1, owned[::2]), SavedConsumer(b"c2", 6, 7, owned[1::2])],
        )
        for i in range(groups)
    ]
    return SavedStream(nodes, len(live), (ms, sequence), live[0] if live else (0, 0), (0, 0), len(entries), made)


made = st.builds(stream_of, steps, st.integers(1, 10), st.integers(0, 2))


@given(made, st.booleans())
@settings(deadline=None)
def test_what_is_written_is_read_and_explained(stream, compressed):
    body = streams.write_stream(stream, compressed)
    assert streams.read_stream(streams.STREAM_LISTPACKS_3, body, 0) == (stream, len(body))
    data = b"REDIS0011\x15\x01s" + body + b"\xff"
    data += crc64(data).to_bytes(8, "little")
    spans = list(explain(data))
    assert b"".join([span.data for span in spans]) == data
    assert spans[-1].field == "checksum"
    assert not any(span.field == "element" for span in spans)


@given(made)
@settings(deadline=None)
def test_values_survive_dump_and_restore(stream):
    value = value_of(stream)
    value.check()
    back = dump.restore(dump.dump(value), RdbLimits())
    back.check()
    record = record_of(value)
    assert record_of(back) == record
    assert back.memory == value.memory
    assert record == stream


def old_body(kind: int, stream: SavedStream) -> bytes:
    """Return a stream as an older type has it: without what came later."""
    number = primitives.length
    parts = [number(len(stream.nodes))]
    for node in stream.nodes:
        parts += [primitives.string(streams.raw_id(node.master)), primitives.string(streams.write_node(node))]
    parts += [number(stream.length), number(stream.last_id[0]), number(stream.last_id[1])]
    if kind == streams.STREAM_LISTPACKS_2:
        parts += [number(n) for n in (*stream.first_id, *stream.max_deleted_id, stream.entries_added)]
    parts.append(number(len(stream.groups)))
    for group in stream.groups:
        parts += [primitives.string(group.name), number(group.last_id[0]), number(group.last_id[1])]
        if kind == streams.STREAM_LISTPACKS_2:
            parts.append(number(group.entries_read & (2**64 - 1)))
        parts.append(number(len(group.pending)))
        for pending in group.pending:
            parts += [streams.raw_id(pending.id), pending.delivered_ms.to_bytes(8, "little")]
            parts.append(number(pending.deliveries))
        parts.append(number(len(group.consumers)))
        for consumer in group.consumers:
            parts += [primitives.string(consumer.name), consumer.seen_ms.to_bytes(8, "little")]
            parts += [number(len(consumer.pending)), *map(streams.raw_id, consumer.pending)]
    return b"".join(parts)


@given(made)
@settings(deadline=None)
def test_old_types(stream):
    for kind in (streams.STREAM_LISTPACKS, streams.STREAM_LISTPACKS_2):
        body = old_body(kind, stream)
        read, end = streams.read_stream(kind, body, 0)
        assert end == len(body)
        assert read.nodes == stream.nodes
        assert [group.pending for group in read.groups] == [group.pending for group in stream.groups]
        assert all(c.active_ms == c.seen_ms for group in read.groups for c in group.consumers)
        if kind == streams.STREAM_LISTPACKS:
            # how much a group has read is worked out: all, when it stands at the last entry
            assert all(group.entries_read == stream.length for group in read.groups)
        else:
            assert read.entries_added == stream.entries_added
        data = b"REDIS0009" + bytes([kind]) + b"\x01s" + body + b"\xff" + bytes(8)
        spans = list(explain(data))
        assert b"".join([span.data for span in spans]) == data
        assert spans[-1].field == "checksum"


@given(made, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4), st.booleans())
@settings(deadline=None)
def test_damaged_streams_are_read_or_refused(stream, damage, lenient):
    body = bytearray(streams.write_stream(stream, False))
    for at, byte in damage:
        body[at % len(body)] = byte
    try:
        read, _ = streams.read_stream(streams.STREAM_LISTPACKS_3, bytes(body), 0, lenient)
    except CorruptRdbError:
        return
    value_of(read).check()
    masters = [node.master for node in read.nodes]
    assert all(a < b for a, b in pairwise(masters))
    for group in read.groups:
        owned = {id for consumer in group.consumers for id in consumer.pending}
        assert sorted(owned) == sorted(pending.id for pending in group.pending)


def test_a_length_that_is_not_the_number_of_entries_is_kept():
    """Early versions of Redis 5 wrote such files after XTRIM: XLEN says 5, three entries are there."""
    stream = stream_of([(0, 1, [b"a"], b"v", False)] * 3, 10, 0)
    for claimed in (5, 2):
        told = stream._replace(length=claimed)
        for body, kind in (
            (old_body(streams.STREAM_LISTPACKS, told), streams.STREAM_LISTPACKS),
            (streams.write_stream(told), streams.STREAM_LISTPACKS_3),
        ):
            for lenient in (False, True):
                value = value_of(streams.read_stream(kind, body, 0, lenient)[0])
                value.check()
                assert value.length == claimed
                assert len(value.range((0, 0), (2**64 - 1, 0))) == 3
                assert value_of(record_of(value)).length == claimed
                assert value.copy().length == claimed
    value = value_of(stream._replace(length=5))
    assert value.remove(value.first_id)
    assert value.trim_by_length(0) == 2
    assert (value.length, value.first_id, value.nodes) == (2, (2**64 - 1, 2**64 - 1), [])


def test_an_empty_stream_of_an_old_file_begins_at_the_greatest_id():
    empty = SavedStream([], 0, (5, 5), (0, 0), (0, 0), 3, [])
    read, _ = streams.read_stream(streams.STREAM_LISTPACKS, old_body(streams.STREAM_LISTPACKS, empty), 0)
    assert value_of(read).first_id == (2**64 - 1, 2**64 - 1)
    read, _ = streams.read_stream(streams.STREAM_LISTPACKS_2, old_body(streams.STREAM_LISTPACKS_2, empty), 0)
    assert value_of(read).first_id == (0, 0)


def test_entries_that_two_consumers_claim_belong_to_the_last():
    stream = stream_of([(0, 1, [b"a"], b"v", False)] * 2, 10, 1)
    (group,) = stream.groups
    ids = [pending.id for pending in group.pending]
    group = group._replace(consumers=[SavedConsumer(b"c1", 5, -1, ids), SavedConsumer(b"c2", 6, 7, ids)])
    read, _ = streams.read_stream(
        streams.STREAM_LISTPACKS_3, streams.write_stream(stream._replace(groups=[group])), 0
    )
    value = value_of(read)
    value.check()
    assert [len(consumer.pending) for consumer in value.groups[b"g0"].in_order()] == [0, len(ids)]


def test_lenient_reading_keeps_what_makes_sense():
    node = stream_of([(0, 1, [b"a"], b"v", False)] * 3, 10, 0).nodes[0]
    block = bytearray(streams.write_node(node))
    at = block.rindex(b"\x81v\x02")
    block[at] = 0xF5  # no element begins like this
    with pytest.raises(CorruptRdbError):
        streams.read_node(bytes(block), node.master)
    assert streams.read_node(bytes(block), node.master, lenient=True) == node._replace(entries=node.entries[:2])


def test_explaining_a_node_that_claims_too_much_costs_nothing():
    for claim in (b"999999999999", b"-5"):
        for items in ([b"1", b"0", claim, b"f", b"0"], [b"1", b"0", b"0", b"0", b"0", b"0", b"0", claim, b"f", b"v"]):
            node = primitives.string(layouts.write_listpack(items))
            body = b"\x01" + primitives.string(bytes(16)) + node + b"\x01\x00\x00\x00"
            data = b"REDIS0009\x0f\x01s" + body + b"\xff" + bytes(8)
            assert b"".join([span.data for span in explain(data)]) == data
            with pytest.raises(CorruptRdbError):
                streams.read_stream(streams.STREAM_LISTPACKS, body, 0)
