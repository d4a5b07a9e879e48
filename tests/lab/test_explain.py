"""Every byte of a connection is explained, however it is cut."""

from hypothesis import given
from hypothesis import strategies as st

from engine.persistence.rdb.writer import write
from engine.protocol.resp import encode_command
from tests.persistence.test_rdb_files import filled
from tutor.lab.explain import LinkDecoder

RDB = b"".join(write(filled([(0, b"k", b"v", None)])))
MARK = b"m" * 40
ID = b"8de1" * 10
ASKED = encode_command([b"PSYNC", b"?", b"-1"])
STREAM = encode_command([b"SELECT", b"0"]) + encode_command([b"SET", b"k", b"\r\n$"]) + encode_command([b"PING"])
FULL = b"+PONG\r\n+OK\r\n\n\n+FULLRESYNC %b 100\r\n" % ID
SIZED = FULL + b"\n$%d\r\n" % len(RDB) + RDB + STREAM
MARKED = FULL + b"$EOF:" + MARK + b"\r\n" + RDB + MARK + STREAM
CONTINUED = b"+CONTINUE %b\r\n" % ID + STREAM


def parts_of(conversation, data, cuts, from_dialler=False):
    parts, at = [], 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        parts += conversation.feed(from_dialler, data[at:cut])
        at = max(at, cut)
    return parts


def check(conversation, parts, data, from_dialler=False):
    spans = [span for part in parts for span in part.spans()]
    rest = conversation.rest(from_dialler)
    at = 0
    for span in [*spans, *([rest] if rest else [])]:
        assert span.offset == at
        assert span.data == data[at : at + len(span.data)] and span.data
        at += len(span.data)
    assert at == len(data)


@given(st.sampled_from([SIZED, MARKED]), st.lists(st.integers(0, 1000), max_size=8), st.integers(0, 1000))
def test_a_full_resynchronization(data, cuts, end):
    conversation = LinkDecoder()
    conversation.feed(True, ASKED)
    data = data[: len(data) - end % len(data)]
    check(conversation, parts_of(conversation, data, cuts), data)


def test_what_the_parts_say():
    for data, kinds in ((SIZED, ["size", "snapshot"]), (MARKED, ["size", "snapshot", "mark"])):
        conversation = LinkDecoder()
        conversation.feed(True, ASKED)
        parts = [part for part in conversation.feed(False, data) if part.kind not in ("reply", "newline")]
        assert [part.kind for part in parts] == ["fullresync", *kinds, "stream", "stream", "stream"]
        assert (parts[-3].before, parts[-1].after) == (100, 100 + len(STREAM))
    conversation = LinkDecoder()
    conversation.feed(True, encode_command([b"PSYNC", ID, b"986"]))
    parts = conversation.feed(False, CONTINUED)
    assert [part.kind for part in parts] == ["continue", "stream", "stream", "stream"]
    assert (parts[1].before, parts[-1].after) == (985, 985 + len(STREAM))


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5), st.booleans())
def test_any_bytes(data, cuts, from_dialler):
    conversation = LinkDecoder()
    parts = parts_of(conversation, data, cuts, from_dialler)
    check(conversation, parts, data, from_dialler)


@given(st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=4), max_size=5), st.lists(st.integers(0, 500)))
def test_commands(commands, cuts):
    data = b"".join(map(encode_command, commands))
    conversation = LinkDecoder()
    parts = parts_of(conversation, data, cuts, True)
    assert len(parts) == len(commands)
    check(conversation, parts, data, True)


def test_replies():
    data = b"*2\r\n$1\r\na\r\n*1\r\n:5\r\n$-1\r\n*-1\r\n%1\r\n+k\r\n,1.5\r\n-ERR no\r\n"
    conversation = LinkDecoder()
    parts = conversation.feed(False, data)
    assert [part.summary for part in parts][:2] == ["2 elements", "(nil)"]
    check(conversation, parts, data)
