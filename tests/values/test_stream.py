"""Streams against a plain list, with nodes, counters and groups checked after every step."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.values.pending import BLOCK, Nack, Pending
from engine.values.radix import count_nodes, nodes_of_key
from engine.values.stream import MAX_ID, MIN_ID, StreamValue, next_id, previous_id

rows = st.sampled_from(
    [(b"a", b"1"), (b"a", b"x" * 70), (b"a", b"1", b"b", b"-4097"), (b"b", b""), (b"a", b"1", b"a", b"2")]
)
places = st.integers(0, 60)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 2), st.integers(0, 3), rows),
        st.tuples(st.just("remove"), places),
        st.tuples(st.just("length"), places, st.booleans(), st.integers(0, 8)),
        st.tuples(st.just("id"), places, st.booleans(), st.integers(0, 8)),
    ),
    max_size=60,
)


class Model:
    """What a stream is: a list of entries. Which ones approximate trimming may keep is not its business."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], tuple[bytes, ...]] = {}
        self.added = 0

    def step(self, value: StreamValue, max_bytes: int, max_entries: int, what: str, *arguments) -> None:
        ids = list(self.rows)
        if what == "add":
            ms, sequence, row = arguments
            last = value.last_id
            id = (last[0] + ms, sequence if ms else last[1] + 1 + sequence)
            value.append(id, row, max_bytes, max_entries)
            self.rows[id] = row
            self.added += 1
        elif what == "remove":
            (place,) = arguments
            id = ids[place] if place < len(ids) else (place, 7)
            assert value.remove(id) == (id in self.rows)
            self.rows.pop(id, None)
        else:
            place, approximate, limit = arguments
            limit = limit if approximate else 0
            if what == "length":
                removed = value.trim_by_length(place, approximate, limit)
                wanted = max(0, len(ids) - place)
            else:
                id = ids[place] if place < len(ids) else (place, 0)
                removed = value.trim_by_id(id, approximate, limit)
                wanted = sum(other < id for other in ids)
            assert removed <= wanted if approximate else removed == wanted
            assert not limit or removed <= limit
            for id in ids[:removed]:
                del self.rows[id]


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from([(4096, 100), (4096, 1), (4096, 3), (0, 0), (60, 0), (200, 4)]), st.data())
def test_against_a_plain_list(actions, limits, data):
    value, model = StreamValue(), Model()
    for action in actions:
        model.step(value, *limits, *action)
        value.check()
        assert len(value) == len(model.rows)
        assert value.range(MIN_ID, MAX_ID) == list(model.rows.items())
        assert value.entries_added == model.added
        assert value.top() == max(model.rows, default=MIN_ID)
        assert value.first_id == min(model.rows, default=MIN_ID)
    points = [*model.rows, MIN_ID, MAX_ID, (3, 1)]
    start, end = data.draw(st.sampled_from(points)), data.draw(st.sampled_from(points))
    count = data.draw(st.integers(0, 5))
    inside = [item for item in model.rows.items() if start <= item[0] <= end]
    assert value.range(start, end, count) == inside[: count or None]
    assert value.range(start, end, count, reverse=True) == inside[::-1][: count or None]
    assert [value.get(id) for id in points] == [model.rows.get(id) for id in points]
    twin = pickle.loads(pickle.dumps(value.copy()))
    twin.check()
    twin.append(next_id(twin.last_id), (b"n", b"1"), *limits)
    twin.check()
    assert value.range(MIN_ID, MAX_ID) == list(model.rows.items())


def test_ids_follow_each_other():
    top = 2**64 - 1
    assert next_id((1, 1)) == (1, 2)
    assert next_id((1, top)) == (2, 0)
    assert next_id(MAX_ID) == MIN_ID
    assert previous_id((1, 1)) == (1, 0)
    assert previous_id((1, 0)) == (0, top)
    assert previous_id(MIN_ID) == MAX_ID


@pytest.mark.parametrize(
    ("masters", "nodes"),
    [
        ([], 1),
        ([(1, 0)], 2),
        ([(1, 0), (1, 1)], 4),  # a stretch of 15 bytes, the place where the two part, two ends
        ([(1, 0), (2, 0)], 6),
        ([(0, 0), (2**63, 0)], 5),
    ],
)
def test_radix_tree_nodes(masters, nodes):
    value = StreamValue()
    for id in masters:
        value.append(id, (b"a", b"1"), 0, 1)
    assert value.tree_nodes == nodes


parts = st.sampled_from([0, 1, 2, 255, 256, 2**32, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(parts, parts), unique=True, min_size=1, max_size=20), st.data())
def test_radix_tree_nodes_of_a_key(keys, data):
    keys.sort()
    at = data.draw(st.integers(0, len(keys) - 1))
    start = data.draw(st.integers(0, at))
    without = keys[start:at] + keys[at + 1 :]
    assert count_nodes(without) + nodes_of_key(keys, at, start) == count_nodes(keys[start:])


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 5)), max_size=60))
def test_pending_against_a_dictionary(actions):
    pending, model = Pending(), {}
    nack = Nack(b"c", 0)
    for add, ms, sequence in actions:
        id = (ms, sequence)
        if add and id not in model:
            pending.add(id, nack)
            model[id] = nack
        elif not add and id in model:
            pending.remove(id)
            del model[id]
        pending.check()
        assert list(pending.ids()) == sorted(model)
        assert list(pending.ids(id)) == [other for other in sorted(model) if other >= id]
        if model:
            assert (pending.first(), pending.last()) == (min(model), max(model))


def test_pending_in_many_blocks():
    pending = Pending()
    nack = Nack(b"c", 0)
    even = [(ms, 0) for ms in range(0, 8 * BLOCK, 2)]
    odd = [(ms, 0) for ms in range(1, 8 * BLOCK, 2)]
    for id in [*even, *reversed(odd)]:
        pending.add(id, nack)
    pending.check()
    assert list(pending.ids((3000, 5))) == [(ms, 0) for ms in range(3001, 8 * BLOCK)]
    for id in even:
        pending.remove(id)
    pending.check()
    assert list(pending.ids()) == odd
