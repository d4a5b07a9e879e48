"""RDB's building blocks: layouts, strings, values of every type and old form, and what damage does."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.persistence.rdb import dump, layouts, objects, primitives
from engine.persistence.rdb.compression import compress, crc64, decompress
from engine.persistence.rdb.errors import CorruptRdbError
from engine.values.hash import HashValue
from engine.values.list import ListValue, QuicklistNode
from engine.values.set import SetValue
from engine.values.zset import ZSetValue

LIMITS = objects.RdbLimits()
numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-5000, 5000)
items = (
    st.binary(max_size=30)
    | numbers.map(lambda n: b"%d" % n)
    | st.sampled_from([b"x" * n for n in (63, 64, 125, 126, 4095, 4096, 16380)])
)
collections = st.lists(items, min_size=1, max_size=40)


def test_crc_is_redis_s():
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    assert crc64(b"56789", crc64(b"1234")) == crc64(b"123456789")


@given(st.binary(max_size=2000) | st.binary(max_size=8).map(lambda b: b * 200))
def test_lzf_round_trip(data):
    packed = compress(data)
    if packed is not None:
        assert len(packed) <= len(data) - 4
        assert decompress(packed, len(data)) == data


@pytest.mark.parametrize("packed", [b"", b"\x00a", b"\xff\xff\xff", b"\x0d\x00"])
def test_lzf_of_nothing_is_empty_whatever_it_holds(packed):
    assert decompress(packed, 0) == b""


@pytest.mark.parametrize("packed, size", [(b"\x00a", 10**12), (b"\xff\xff\xff", 20), (b"", 5), (b"\x1f", 3)])
def test_lzf_that_lies_is_refused(packed, size):
    with pytest.raises(CorruptRdbError):
        decompress(packed, size)


@given(st.lists(items, max_size=60))
@example([b"x"] * 70000)
@settings(deadline=None)
def test_listpack_and_ziplist_round_trip(values):
    assert layouts.read_listpack(layouts.write_listpack(values)) == values
    assert layouts.read_ziplist(layouts.write_ziplist(values)) == values


def test_listpack_as_a_real_server_writes_it():
    written = layouts.write_listpack([b"1", b"-1", b"300", b"70000", b"5000000000", b"01", b"abc"])
    assert written.hex(" ", 1) == (
        "27 00 00 00 07 00 01 01 df ff 02 c1 2c 02 f2 70 11 01 04 f4 00 f2 05 2a 01 00 00 00 09 82 30 31 03 "
        "83 61 62 63 04 ff"
    )


def test_zipmap():
    assert layouts.read_zipmap(b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world..\xff") == [
        b"foo",
        b"bar",
        b"hello",
        b"world",
    ]


@given(st.lists(numbers, min_size=1, unique=True).map(sorted))
def test_intset_round_trip(values):
    assert layouts.read_intset(layouts.write_intset(values, 8)) == (values, 8)


@given(items | numbers, st.booleans())
def test_string_round_trip(text, compressed):
    written = primitives.string(text, compressed)
    read, end = primitives.read_string(written, 0)
    assert end == len(written)
    assert read == (b"%d" % text if isinstance(text, int) else text)


@given(st.sampled_from([0, 63, 64, 16383, 16384, 2**32 - 1, 2**32, 2**64 - 1]) | st.integers(0, 2**64 - 1))
def test_length_round_trip(n):
    written = primitives.length(n)
    assert primitives.read_length(written, 0) == (n, len(written))


def values_of(texts: list[bytes], scores: list[float]) -> list[object]:
    pairs = [*texts, b"v"][: (len(texts) + 1) // 2 * 2]
    wide = ListValue.from_nodes([QuicklistNode(texts), QuicklistNode([b"huge"], plain=True)], -2)
    return [
        texts[0],
        objects.native_string(b"123456789012"),
        bytearray(texts[0]),
        ListValue.from_items(texts, -2),
        ListValue.from_items(texts, 3),
        wide,
        SetValue.of(texts, LIMITS.sets),
        SetValue.of([b"%d" % i for i in range(len(texts))], LIMITS.sets),
        SetValue.of([*texts, b"x" * 100], LIMITS.sets),
        HashValue.of(pairs[::2], pairs[1::2], 512, 64),
        HashValue.of(pairs[::2], pairs[1::2], 1, 64),
        ZSetValue.of(dict(zip(texts, scores * len(texts))), 128, 64),
        ZSetValue.of(dict(zip(texts, scores * len(texts))), 0, 64),
    ]


def content(value: object) -> object:
    if isinstance(value, ListValue):
        return list(value)
    if isinstance(value, SetValue):
        return sorted(value.to_list())
    if isinstance(value, HashValue):
        return sorted(value.items())
    if isinstance(value, ZSetValue):
        return list(value.ordered)
    return b"%d" % value if isinstance(value, int) else bytes(value)


@given(collections, st.lists(st.floats(allow_nan=False), min_size=1, max_size=5), st.booleans())
@settings(deadline=None)
def test_values_survive_dump_and_restore(texts, scores, compressed):
    for value in values_of(texts, scores):
        payload = dump.dump(value, compressed)
        dump.verify(payload)
        back = dump.restore(payload, LIMITS)
        assert content(back) == content(value)
        if hasattr(back, "check"):
            back.check()


@given(collections.filter(lambda texts: len(texts) % 2 == 0))
def test_old_forms_are_read(texts):
    def load(kind: int, body: bytes) -> object:
        value, end = objects.load(kind, body, 0, LIMITS)
        assert end == len(body)
        value.check()
        return value

    strings = b"".join([primitives.string(text) for text in texts])
    count = primitives.length(len(texts))
    ziplist = primitives.string(layouts.write_ziplist(texts))
    assert list(load(objects.LIST, count + strings)) == texts
    assert list(load(objects.LIST_ZIPLIST, ziplist)) == texts
    assert list(load(objects.LIST_QUICKLIST, b"\x02" + ziplist + ziplist)) == texts * 2
    fields = dict.fromkeys(texts, b"v")
    flat = [item for pair in fields.items() for item in pair]
    made = load(objects.HASH_ZIPLIST, primitives.string(layouts.write_ziplist(flat)))
    assert dict(made.items()) == fields
    scored = [item for field in fields for item in (field, b"1.5")]
    made = load(objects.ZSET_ZIPLIST, primitives.string(layouts.write_ziplist(scored)))
    assert dict(made.items()) == dict.fromkeys(texts, 1.5)
    text_scores = b"".join([primitives.string(field) + b"\x031.5" for field in fields])
    made = load(objects.ZSET, primitives.length(len(fields)) + text_scores)
    assert dict(made.items()) == dict.fromkeys(texts, 1.5)


def test_a_list_in_one_ziplist_becomes_a_quicklist():
    """Redis makes no listpack of it, however small it is; lists in all other forms become one if they may."""
    ziplist = primitives.string(layouts.write_ziplist([b"a", b"1"]))
    for kind, body, encoding in (
        (objects.LIST_ZIPLIST, ziplist, b"quicklist"),
        (objects.LIST, b"\x02\x01a\x011", b"listpack"),
        (objects.LIST_QUICKLIST, b"\x01" + ziplist, b"listpack"),
        (objects.LIST_QUICKLIST, b"\x02" + ziplist + ziplist, b"quicklist"),
    ):
        value, _ = objects.load(kind, body, 0, LIMITS)
        value.check()
        assert value.encoding == encoding
    value, _ = objects.load(objects.LIST_ZIPLIST, ziplist, 0, LIMITS)
    value.pop(True)
    value.shrink(-2)
    assert value.encoding == b"listpack"


@pytest.mark.parametrize(
    "kind, body",
    [
        (objects.SET, b"\x02\x01a\x01a"),
        (objects.HASH, b"\x02\x01a\x01b\x01a\x01c"),
        (objects.ZSET_2, b"\x01\x01a" + b"\0\0\0\0\0\0\xf8\x7f"),
        (objects.HASH_LISTPACK, primitives.string(layouts.write_listpack([b"a"]))),
        (objects.SET_LISTPACK, primitives.string(layouts.write_listpack([b"a", b"a"]))),
        (objects.ZSET_LISTPACK, primitives.string(layouts.write_listpack([b"a", b"1", b"b"]))),
        (objects.ZSET_ZIPLIST, primitives.string(layouts.write_ziplist([b"a", b"1", b"a", b"2"]))),
        (objects.ZSET, b"\x01\x01a\x03one"),
        (objects.SET_INTSET, primitives.string(layouts.write_intset([3, 2], 2))),
        (objects.LIST_QUICKLIST_2, b"\x01\x03\x01a"),
        (objects.HASH, b"\x81" + b"\xff" * 8),
        (objects.STRING, b"\x80\x7f\xff\xff\xffabc"),
        (objects.STRING, b"\xc3\x02\x80\x7f\xff\xff\xff\x00a"),
        (objects.MODULE_2, b"\x81" + b"\x12" * 8),
        (99, b""),
    ],
)
def test_broken_values_are_refused(kind, body):
    with pytest.raises(CorruptRdbError):
        objects.load(kind, body, 0, LIMITS)


def test_lenient_limits_take_what_redis_does_not_look_at():
    lenient = LIMITS._replace(lenient=True)
    repeated = primitives.string(layouts.write_listpack([b"a", b"1", b"a", b"2", b"b"]))
    value, _ = objects.load(objects.HASH_LISTPACK, repeated, 0, lenient)
    assert dict(value.items()) == {b"a": b"1"}  # the one that a search of the listpack finds
    value, _ = objects.load(objects.SET_LISTPACK, repeated, 0, lenient)
    assert value.to_list() == [b"a", b"1", b"2", b"b"]
    pairs = b"\x02\x01a\x01b\x01a\x01c"
    value, _ = objects.load(objects.HASH, pairs, 0, lenient)
    assert dict(value.items()) == {b"a": b"b"}
    small = lenient._replace(hash_entries=1, set_entries=4, zset_entries=1, hash_value=0)
    for kind, body in (
        (objects.HASH_LISTPACK, repeated),
        (objects.SET_LISTPACK, repeated),
        (objects.ZSET_LISTPACK, repeated),
        (objects.HASH, pairs),
        (objects.HASH_ZIPLIST, primitives.string(layouts.write_ziplist([b"a", b"1", b"a", b"2"]))),
    ):
        with pytest.raises(CorruptRdbError) as caught:  # a hash table would hold it once only
            objects.load(kind, body, 0, small)
        if kind == objects.HASH_LISTPACK:
            assert caught.value.reason == "Hash listpack with dup elements"
    with pytest.raises(CorruptRdbError):
        objects.load(objects.HASH_LISTPACK, b"\x07" + bytes(7), 0, lenient)


@pytest.mark.parametrize("lenient", [False, True])
def test_scores_are_what_their_texts_begin_with(lenient):
    """Redis reads the scores of a listpack with strtod and looks at no more."""
    items = [b"a", b"1.5x", b"b", b"x", b"c", b" 0x10", b"d", b"-inf", b"e", b"nan"]
    scores = {b"a": 1.5, b"b": 0.0, b"c": 16.0, b"d": float("-inf"), b"e": 0.0}
    limits = LIMITS._replace(lenient=lenient)
    for kind, block in (
        (objects.ZSET_LISTPACK, layouts.write_listpack(items)),
        (objects.ZSET_ZIPLIST, layouts.write_ziplist(items)),
    ):
        value, _ = objects.load(kind, primitives.string(block), 0, limits)
        assert dict(value.items()) == scores
    value, _ = objects.load(objects.ZSET, b"\x01\x01a\x05 2e1z", 0, limits)
    assert dict(value.items()) == {b"a": 20.0}


def test_the_length_behind_an_element_may_be_longer_than_it_has_to_be():
    """Redis decodes it backwards and compares: a marked byte goes on in the element before it."""
    block = bytearray(layouts.write_listpack([b"\x00" * 3, b"x"]))
    assert block[6:11] == b"\x83\0\0\0\x04"
    block[10] |= 128
    assert layouts.read_listpack(bytes(block)) == [b"\x00" * 3, b"x"]
    block[9] = 1
    with pytest.raises(CorruptRdbError):
        layouts.read_listpack(bytes(block))


def test_a_zipmap_ends_at_its_first_end_mark():
    assert layouts.read_zipmap(b"\x01\x01a\x01\x00b\xffrest\xff") == [b"a", b"b"]


def test_an_empty_collection_is_none():
    for kind in (objects.LIST, objects.SET, objects.HASH, objects.ZSET_2, objects.LIST_QUICKLIST_2):
        assert objects.load(kind, b"\0", 0, LIMITS) == (None, 1)


@given(st.sampled_from(sorted(objects.LOADERS)), st.binary(max_size=120))
def test_noise_is_a_value_or_an_error(kind, noise):
    try:
        objects.load(kind, noise, 0, LIMITS)
    except CorruptRdbError:
        return


@given(
    collections,
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    st.booleans(),
)
@settings(deadline=None)
def test_damaged_payloads_are_a_value_or_an_error(texts, damage, compressed):
    for value in values_of(texts, [1.5, -2.0]):
        body = bytearray(objects.save(value, compressed))
        for at, byte in damage:
            body[at % len(body)] = byte
        for limits in (LIMITS, LIMITS._replace(lenient=True)):
            try:
                back, _ = objects.load(objects.type_of(value), bytes(body), 0, limits)
            except CorruptRdbError:
                continue
            if hasattr(back, "check"):
                back.check()


@pytest.mark.parametrize("payload", [b"", b"short", dump.dump(b"x")[:-1] + b"!", b"\0\x01a\x0c\0" + bytes(8)])
def test_wrong_footer(payload):
    with pytest.raises(dump.WrongPayloadError):
        dump.verify(payload)
