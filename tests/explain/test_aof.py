"""The annotated view of append-only files and manifests covers every byte of anything."""

from hypothesis import given
from hypothesis import strategies as st

from engine.persistence.rdb.writer import write
from engine.protocol.resp import encode_command
from tests.persistence.test_rdb_files import filled
from tutor.explain.aof import explain_aof, explain_manifest
from tutor.explain.rdb import Span

commands = st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=5), max_size=8)


def checked(data: bytes) -> list[Span]:
    spans = list(explain_aof(data))
    at = 0
    for span in spans:
        assert span.offset == at
        assert span.data
        at += len(span.data)
    assert b"".join([span.data for span in spans]) == data
    return spans


@given(commands, st.booleans())
def test_every_byte_is_explained(argvs, with_base):
    data = b"".join(write(filled([(0, b"k", b"v", None)]))) if with_base else b""
    data += b"".join([encode_command(argv) for argv in argvs])
    spans = checked(data)
    assert sum(span.field == "command" for span in spans) == len(argvs)
    assert not any(span.field == "not readable" for span in spans)


@given(commands, st.integers(0, 10**6), st.binary(max_size=5))
def test_cut_and_damaged_files_are_covered(argvs, cut, noise):
    data = b"".join([encode_command(argv) for argv in argvs])
    at = cut % (len(data) + 1)
    checked(data[:at])
    checked(data[:at] + noise + data[at:])


@given(st.binary(max_size=60))
def test_noise_is_covered(noise):
    checked(noise)
    assert b"".join([span.data for span in explain_manifest(noise)]) == noise


def test_what_a_small_file_says():
    data = b"#TS:1700000000\r\n" + encode_command([b"SELECT", b"1"]) + encode_command([b"SET", b"k", b""])
    told = [(span.field, span.value, span.place) for span in checked(data)]
    assert told == [
        ("time", "1700000000 (2023-11-14 22:13:20 UTC)", ""),
        ("command", "2 arguments", "command 1 · db 1 · SELECT 1"),
        ("length", "6", "command 1 · db 1 · SELECT 1"),
        ("name", '"SELECT"', "command 1 · db 1 · SELECT 1"),
        ("end", "", "command 1 · db 1 · SELECT 1"),
        ("length", "1", "command 1 · db 1 · SELECT 1"),
        ("argument", '"1"', "command 1 · db 1 · SELECT 1"),
        ("end", "", "command 1 · db 1 · SELECT 1"),
        ("command", "3 arguments", "command 2 · db 1 · SET k "),
        ("length", "3", "command 2 · db 1 · SET k "),
        ("name", '"SET"', "command 2 · db 1 · SET k "),
        ("end", "", "command 2 · db 1 · SET k "),
        ("length", "1", "command 2 · db 1 · SET k "),
        ("argument", '"k"', "command 2 · db 1 · SET k "),
        ("end", "", "command 2 · db 1 · SET k "),
        ("length", "0", "command 2 · db 1 · SET k "),
        ("end", "", "command 2 · db 1 · SET k "),
    ]


def test_why_a_file_cannot_be_read_on():
    multi = encode_command([b"MULTI"])
    for data, why in [
        (multi + b"*2\r\n$3\r\nDEL", "ends in the middle of a command (the whole transaction is discarded)"),
        (b"*1\r\n$4\r\nPINGxx", "damaged: an argument does not have the stated length"),
        (b"hello", "damaged: no command begins here"),
        (b"*1\r\n:4\r\n", "damaged: no argument begins here"),
        (b"*1", "ends in the middle of a command"),
        (b"#TS:1", "ends in the middle of a note"),
    ]:
        assert checked(data)[-1].meaning == why


def test_manifest():
    lines = b"file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\nnonsense\n"
    spans = list(explain_manifest(lines))
    assert [span.field for span in spans] == ["file", "file", "not readable"]
    assert spans[0].meaning.startswith("base")
    assert spans[1].value == '"a.aof.1.incr.aof"'
