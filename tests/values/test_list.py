"""Lists against a Python list, with their nodes checked after every step."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.values.list import ListValue, QuicklistNode, exceeds_limit
from engine.values.listpack import entry_size
from tests.inprocess import InProcess

items = st.one_of(
    st.sampled_from([b"", b"a", b"b", b"0", b"-1", b"127", b"128", b"4096", b"01", b"x" * 63, b"x" * 64, b"y" * 700]),
    st.integers(-(2**63), 2**63 - 1).map(lambda i: b"%d" % i),
    st.binary(max_size=6),
)
fills = st.sampled_from([-5, -2, -1, 0, 1, 3, 16])
steps = st.lists(
    st.tuples(
        st.sampled_from(["push", "pop", "trim", "insert", "replace", "remove", "huge"]),
        items,
        st.integers(-40, 40),
        st.booleans(),
    ),
    max_size=60,
)


def step(value: ListValue, model: list[bytes], fill: int, what: str, item: bytes, number: int, flag: bool) -> None:
    if what == "push":
        value.grow(len(item), 1, fill)
        value.push(item, flag)
        model.insert(0 if flag else len(model), item)
    elif not model:
        return
    elif what == "pop":
        assert value.pop(flag) == model.pop(0 if flag else -1)
    elif what == "trim":
        count = abs(number) % len(model)
        value.trim(count, flag)
        model[:] = model[count:] if flag else model[: len(model) - count]
    elif what == "insert":
        pivot = model[number % len(model)]
        value.grow(len(item), 1, fill)
        place = value.find(pivot)
        assert place is not None
        value.insert(place, item, flag)
        model.insert(model.index(pivot) + flag, item)
    elif what in ("replace", "huge"):
        item = item if what == "replace" else b"h" * 1000
        value.grow(len(item), 1, fill)
        value.replace(number % len(model), item)
        model[number % len(model)] = item
    elif what == "remove":
        item = model[number % len(model)]
        count = number % 4 - 2
        expected = min(model.count(item), abs(count) or len(model))
        assert value.remove(item, count) == expected
        if count < 0:
            model.reverse()
        for _ in range(expected):
            model.remove(item)
        if count < 0:
            model.reverse()
    if model:
        value.shrink(fill)


@pytest.mark.parametrize("threshold", [1 << 30, 900])
@settings(max_examples=60)
@given(steps, fills)
def test_against_a_plain_list(threshold, actions, fill):
    before, ListValue.packed_threshold = ListValue.packed_threshold, threshold
    try:
        value, model = ListValue(), []
        for action in actions:
            step(value, model, fill, *action)
            value.check()
            assert list(value) == model
            assert len(value) == len(model)
            if model:
                middle = len(model) // 2
                assert value.get(middle) == model[middle]
                assert value.range(middle, len(model) - 1) == model[middle:]
                assert value.range(0, middle) == model[: middle + 1]
                wanted = model[0]
                found = [i for i, item in enumerate(model) if item == wanted]
                assert value.positions(wanted, 1, 0, 0) == found
                assert value.positions(wanted, -1, 0, 0) == found[::-1]
                assert value.positions(wanted, 2, 1, 0) == found[1:2]
                assert value.positions(wanted, 1, 0, middle) == [i for i in found if not middle or i < middle]
        twin = value.copy()
        twin.check()
        assert list(twin) == model
        assert twin.encoding == value.encoding
        again = pickle.loads(pickle.dumps(value))
        again.check()
        again.grow(1, 1, fill)
        again.push(b"z", True)
        again.check()
        assert list(again) == [b"z", *model]
    finally:
        ListValue.packed_threshold = before


@given(st.lists(items, min_size=1, max_size=200), fills)
def test_made_of_items(elements, fill):
    value = ListValue.from_items(elements, fill)
    value.check()
    assert list(value) == elements
    assert (value.encoding == b"listpack") == (len(value.nodes) == 1)
    for node in value.nodes:
        assert len(node.items) == 1 or not exceeds_limit(fill, node.size, len(node.items))


def test_grows_and_shrinks_at_redis_s_limits():
    value = ListValue()
    for i in range(4):
        value.grow(1, 1, 3)
        assert value.encoding == (b"listpack" if i < 3 else b"quicklist")
        value.push(b"x", False)
    assert [len(node.items) for node in value.nodes] == [3, 1]
    value.pop(False)
    value.shrink(3)
    assert value.encoding == b"quicklist"  # not before half of the limit
    value.pop(False)
    value.pop(False)
    value.shrink(3)
    assert value.encoding == b"listpack"


def test_a_long_list_is_split_into_nodes_of_eight_kilobytes():
    value = ListValue.from_items([b"%09d" % i for i in range(10_000)], -2)
    assert value.encoding == b"quicklist"
    assert max(node.size for node in value.nodes) <= 8192
    assert min(node.size for node in list(value.nodes)[:-1]) > 8192 - 32
    assert value.get(7777) == b"000007777"
    assert value.range(5000, 5002) == [b"000005000", b"000005001", b"000005002"]


@pytest.mark.parametrize(
    ("item", "size"),
    [
        (b"", 2),
        (b"a", 3),
        (b"0", 2),
        (b"127", 2),
        (b"128", 3),
        (b"-1", 3),
        (b"-4096", 3),
        (b"4096", 4),
        (b"32768", 5),
        (b"8388608", 6),
        (b"2147483648", 10),
        (b"9223372036854775808", 21),
        (b"01", 4),
        (b"x" * 63, 65),
        (b"x" * 64, 67),
        (b"x" * 125, 128),
        (b"x" * 126, 130),
        (b"x" * 4095, 4099),
        (b"x" * 4096, 4103),
        (b"x" * 16377, 16384),
        (b"x" * 16378, 16386),
    ],
)
def test_entry_size(item, size):
    assert entry_size(item) == size


def test_plain_nodes_are_no_listpacks():
    node = QuicklistNode((b"x" * 10,), plain=True)
    node.check()
    value = ListValue.from_nodes([node], -2)
    value.check()
    assert value.encoding == b"quicklist"


@pytest.mark.parametrize(
    ("setting", "elements", "told"),
    [
        (b"-2", 3000, b"ql_nodes:2 ql_avg_node:1500.00 ql_listpack_max:-2 ql_compressed:0 ql_uncompressed_size:8887"),
        (b"4", 9, b"ql_nodes:3 ql_avg_node:3.00 ql_listpack_max:4 ql_compressed:0 ql_uncompressed_size:39"),
    ],
)
def test_debug_object_describes_a_quicklist_as_redis_does(setting: bytes, elements: int, told: bytes) -> None:
    server = InProcess()
    server.run(1, b"CONFIG", b"SET", b"list-max-listpack-size", setting)
    server.run(1, b"RPUSH", b"l", *(b"%d" % n for n in range(1, elements + 1)))
    (reply,) = server.run(1, b"DEBUG", b"OBJECT", b"l")
    assert b"encoding:quicklist" in reply
    assert reply.endswith(told)
