"""The annotated view covers every byte of any file, and says the same as the loader."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.persistence.rdb import layouts, objects, primitives
from engine.persistence.rdb.compression import crc64
from engine.persistence.rdb.writer import auxiliary, write
from tests.persistence.test_rdb_files import NOW_MS, filled, keyspace, keyspaces
from tutor.explain.rdb import Span, explain

pytestmark = pytest.mark.long


def checked(data: bytes, base: int = 0) -> list[Span]:
    spans = list(explain(data, base))
    at = base
    for span in spans:
        assert span.offset == at
        assert span.data
        at += len(span.data)
        at_inside = 0
        for inner in span.inside:
            assert inner.offset == at_inside
            at_inside += len(inner.data)
    assert at == base + len(data)
    assert b"".join([span.data for span in spans]) == data
    return spans


@given(keyspaces, st.booleans())
@settings(deadline=None)
def test_every_byte_is_explained(rows, compressed):
    aux = auxiliary("7.2.4", NOW_MS // 1000, 1 << 20)
    data = b"".join(write(filled(rows), aux, [b"#!lua name=x\n" * 9], compressed=compressed, usage=True))
    spans = checked(data)
    assert [span.field for span in spans].count("type") == len(rows)
    assert not any(span.field == "not readable" for span in spans)
    assert ": correct" in spans[-1].meaning


@given(keyspaces, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3))
@settings(deadline=None)
def test_every_byte_of_damaged_files_is_covered(rows, damage):
    data = bytearray(b"".join(write(filled(rows))))
    for at, byte in damage:
        data[at % len(data)] = byte
    checked(bytes(data))


@given(st.binary(max_size=200), st.booleans())
def test_noise_is_covered(noise, with_header):
    checked((b"REDIS0009" if with_header else b"") + noise, 77)


def test_what_a_small_file_says():
    data = b"".join(write(filled([(0, b"user:1", b"Ann", 5000)])))
    told = [(span.field, span.value, span.place) for span in checked(data)]
    assert told == [
        ("magic", "REDIS", ""),
        ("version", "0011", ""),
        ("opcode", "SELECTDB", ""),
        ("database", "0", ""),
        ("opcode", "RESIZEDB", "db 0"),
        ("keys", "1", "db 0"),
        ("keys with an expiration", "1", "db 0"),
        ("opcode", "EXPIRETIME_MS", "db 0"),
        ("expires at", f"{NOW_MS + 5000} (2023-11-14 22:13:25 UTC)", "db 0"),
        ("type", "string", "db 0 · user:1"),
        ("key: length", "6", "db 0 · user:1"),
        ("key", '"user:1"', "db 0 · user:1"),
        ("value: length", "3", "db 0 · user:1"),
        ("value", '"Ann"', "db 0 · user:1"),
        ("opcode", "EOF", ""),
        ("checksum", data[-8:][::-1].hex(), ""),
    ]


def value_file(kind: int, body: bytes) -> bytes:
    data = b"REDIS0011" + bytes([kind]) + b"\x01k" + body + b"\xff"
    return data + crc64(data).to_bytes(8, "little")


def test_old_forms_and_modules():
    ziplist = primitives.string(layouts.write_ziplist([b"a", b"1", b"b" * 300, b"2000"]), False)
    zipmap = primitives.string(b"\x01\x01f\x01\x00v\xff")
    for kind, body in [
        (objects.LIST_ZIPLIST, ziplist),
        (objects.HASH_ZIPLIST, ziplist),
        (objects.LIST_QUICKLIST, b"\x02" + ziplist * 2),
        (objects.ZSET_ZIPLIST, ziplist),
        (objects.HASH_ZIPMAP, zipmap),
        (objects.ZSET, b"\x02\x01a\x031.5\x01b\xfe"),
        (objects.MODULE_2, b"\x81" + bytes(range(8)) + b"\x02\x05\x05\x03abc\x04" + bytes(8) + b"\x00"),
    ]:
        assert checked(value_file(kind, body))[-1].field == "checksum", kind


def test_what_follows_the_end():
    data = b"".join(write(keyspace()))
    assert checked(data + b"*1\r\n")[-1].field == "after the end"
