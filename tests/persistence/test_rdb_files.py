"""Whole RDB files: what is written is read, in pieces of any size; damage is told with its offset."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.keyspace.databases import TOUCH_LFU, Keyspace
from engine.persistence.rdb import layouts, primitives
from engine.persistence.rdb.compression import crc64
from engine.persistence.rdb.errors import CorruptRdbError, FatalRdbError, RefusedFileError, TruncatedRdbError
from engine.persistence.rdb.loader import Loader
from engine.persistence.rdb.objects import RdbLimits, native_string
from engine.persistence.rdb.writer import auxiliary, write
from engine.values.hash import HashValue
from engine.values.list import ListValue
from engine.values.rng import Rng
from engine.values.set import SetValue
from engine.values.zset import ZSetValue

pytestmark = pytest.mark.long

NOW_MS = 1_700_000_000_000
LIMITS = RdbLimits()
texts = st.binary(max_size=80) | st.integers(-(2**63), 2**63 - 1).map(lambda n: b"%d" % n)
values = (
    texts.map(native_string)
    | st.integers(-(2**63), 2**63 - 1)
    | st.lists(texts, min_size=1, max_size=8).map(lambda items: ListValue.from_items(items, 3))
    | st.lists(texts, min_size=1, max_size=8).map(lambda items: SetValue.of(items, LIMITS.sets))
    | st.dictionaries(texts, texts, min_size=1, max_size=8).map(
        lambda pairs: HashValue.of(list(pairs), list(pairs.values()), 4, 64)
    )
    | st.dictionaries(texts, st.floats(allow_nan=False), min_size=1, max_size=8).map(
        lambda scores: ZSetValue.of(scores, 4, 64)
    )
)
keyspaces = st.lists(
    st.tuples(st.integers(0, 15), texts, values, st.none() | st.integers(1, 10**9)),
    max_size=30,
    unique_by=lambda row: row[:2],
)


def keyspace() -> Keyspace:
    space = Keyspace(16, Rng(1))
    space.now_ms = NOW_MS
    space.lru_clock = NOW_MS // 1000
    return space


def filled(rows: list[tuple[int, bytes, object, int | None]]) -> Keyspace:
    space = keyspace()
    for db, key, value, ttl in rows:
        space[db].add(key, value)
        if ttl is not None:
            space[db].set_expire(key, NOW_MS + ttl)
    return space


def shown(space: Keyspace) -> dict[tuple[int, bytes], object]:
    found = {}
    for db in space.databases:
        for key, value in db.items():
            if isinstance(value, ListValue):
                value = list(value)
            elif isinstance(value, SetValue):
                value = sorted(value.to_list())
            elif isinstance(value, HashValue):
                value = sorted(value.items())
            elif isinstance(value, ZSetValue):
                value = list(value.ordered)
            elif isinstance(value, int):
                value = b"%d" % value
            found[db.index, key] = (value, db.expires.get(key))
    return found


def loaded(data: bytes, piece: int = 1 << 20, **options: bool) -> Loader:
    loader = Loader(keyspace(), LIMITS, **options)
    for i in range(0, len(data), piece):
        loader.feed(data[i : i + piece])
    loader.finish()
    for db in loader.space.databases:
        db.check()
    return loader


@given(keyspaces, st.integers(1, 200), st.booleans(), st.integers(1, 300))
@settings(deadline=None)
def test_what_is_written_is_read(rows, piece, compressed, chunk_bytes):
    space = filled(rows)
    data = b"".join(write(space, compressed=compressed, chunk_bytes=chunk_bytes))
    loader = loaded(data, piece)
    assert shown(loader.space) == shown(space)
    assert loader.space.used == sum(db.size(key) for db in loader.space.databases for key in db.positions)
    assert loader.keys_loaded == len(rows)
    assert loader.offset == len(data)
    assert not loader.rest


def test_auxiliary_fields_and_functions():
    aux = auxiliary("7.2.4", NOW_MS // 1000 - 5, 3 << 20, (0, b"a" * 40, 77), aof_base=True)
    data = b"".join(write(keyspace(), aux, [b"#!lua name=x\n"]))
    loader = loaded(data)
    assert loader.aux[b"repl-offset"] == b"77"
    assert loader.functions == [b"#!lua name=x\n"]
    assert [line for _, line in loader.log] == [
        "Loading RDB produced by version 7.2.4",
        "RDB age 5 seconds",
        "RDB memory usage when created 3.00 Mb",
        "RDB is base AOF",
        "Done loading RDB, keys loaded: 0, keys expired: 0.",
    ]


def test_what_follows_the_end_is_left():
    data = b"".join(write(filled([(0, b"k", b"v", None)])))
    assert loaded(data + b"*1\r\n$4\r\nPING\r\n", 7).rest == b"*1\r\n$4\r\nPING\r\n"


def test_keys_whose_time_is_over():
    data = b"".join(write(filled([(3, b"old", b"v", -5), (3, b"new", b"v", 5)])))
    loader = loaded(data)
    assert list(loader.space[3].positions) == [b"new"]
    assert loader.expired == [(3, b"old")]
    assert list(loaded(data, drop_expired=False).space[3].positions) == [b"old", b"new"]


def test_usage_is_kept():
    space = filled([(0, b"k", b"v", None)])
    space[0].set_access(b"k", space[0].access(b"k") - 100)
    made = loaded(b"".join(write(space, usage=True))).space
    assert made[0].access(b"k") == made.lru_clock - 100
    space.touch = TOUCH_LFU
    space[0].set_access(b"k", (NOW_MS // 60000 & 0xFFFF) << 8 | 77)
    loader = Loader(keyspace(), LIMITS)
    loader.space.touch = TOUCH_LFU
    loader.feed(b"".join(write(space, usage=True)))
    assert loader.space[0].access(b"k") & 255 == 77


def file_of(body: bytes, version: int = 11) -> bytes:
    data = b"REDIS%04d" % version + body + b"\xff"
    return data + crc64(data).to_bytes(8, "little") if version >= 5 else data


def test_old_versions():
    assert shown(loaded(file_of(b"\xfe\x02\x00\x01k\x01v", 1)).space) == {(2, b"k"): (b"v", None)}
    seconds = (NOW_MS // 1000 + 9).to_bytes(4, "little")
    assert shown(loaded(file_of(b"\xfd" + seconds + b"\x00\x01k\x01v", 2)).space) == {
        (0, b"k"): (b"v", NOW_MS + 9000)
    }
    zipmap = primitives.string(b"\x01\x01f\x01\x00v\xff")
    assert shown(loaded(file_of(b"\x09\x01h" + zipmap, 4)).space) == {(0, b"h"): ([(b"f", b"v")], None)}


def test_empty_collections_are_skipped():
    loader = loaded(file_of(b"\x04\x01e\x00" + b"\x00\x01k\x01v"))
    assert list(loader.space[0].positions) == [b"k"]
    assert loader.log[0] == ("*", "rdbLoadObject skipping empty key: e")
    assert loader.log[-1][1].endswith("empty keys skipped: 1.")


@pytest.mark.parametrize(
    "data, offset, reason",
    [
        (b"REDIX0011", 0, "Wrong signature"),
        (b"REDIS0012\xff", 5, "format version 12"),
        (b"REDIS00x1\xff", 5, "format version 0"),
        (file_of(b"\x00\x01k\x01v\x00\x01k\x01w"), 14, "Duplicated key"),
        (file_of(b"\xfe\x10"), 11, "configured to handle more than 16"),
        (file_of(b"\x17\x01k\x01v"), 9, "Unknown RDB encoding type 23"),
        (file_of(b"\x00\x01k\xc7"), 12, "Unknown RDB string encoding type 7"),
        (file_of(b"\x00\x01k\x01v")[:-1] + b"!", 15, "CRC"),
        (file_of(b"\x10\x01h" + primitives.string(layouts.write_listpack([b"a"]))), 12, "field without"),
        (file_of(b"\xf7\x81" + bytes(range(8)) + b"\x02\x01"), 19, "AUX module data"),
    ],
)
def test_damage_is_told_with_its_offset(data, offset, reason):
    for piece in (1, 1000):
        with pytest.raises(CorruptRdbError, match=reason) as caught:
            loaded(data, piece)
        assert caught.value.offset == offset


def test_what_redis_reads_of_odd_files():
    loader = loaded(b"REDIS9 xx" + b"\xfc" + b"\xff" * 8 + b"\x00\x01k\x01v\xff" + bytes(8))
    assert loader.version == 9
    assert shown(loader.space) == {(0, b"k"): (b"v", None)}  # -1: no time to live


def test_files_of_other_servers_are_refused_in_redis_words():
    for data, kind, line in (
        (file_of(b"\xfe\x10"), FatalRdbError, "FATAL: Data file was created with"),
        (
            file_of(b"\xf7\x81" + bytes(range(8)) + b"\x02\x01"),
            FatalRdbError,
            "The RDB file contains AUX module data",
        ),
        (b"REDIS0012\xff", RefusedFileError, "Can't handle RDB format version 12"),
    ):
        loader = Loader(keyspace(), RdbLimits())
        with pytest.raises(kind):
            loader.feed(data)
        assert loader.log[-1][1].startswith(line)


def test_short_files():
    data = b"".join(write(filled([(0, b"key", b"value", 5), (1, b"h", HashValue.of([b"f"], [b"v"], 0, 0), None)])))
    for size in range(len(data)):
        with pytest.raises(TruncatedRdbError):
            loaded(data[:size])


def test_checksum_may_be_missing_or_ignored():
    data = file_of(b"\x00\x01k\x01v")
    assert loaded(data[:-8] + bytes(8)).log[0][1].startswith("RDB file was saved with checksum disabled")
    assert loaded(data[:-8] + b"whatever", checksum=False).keys_loaded == 1


@given(keyspaces, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3))
@settings(deadline=None)
def test_damaged_files_load_or_raise(rows, damage):
    data = bytearray(b"".join(write(filled(rows))))
    for at, byte in damage:
        data[at % len(data)] = byte
    try:
        loaded(bytes(data), checksum=False)
    except CorruptRdbError:
        return
