"""Replies read from bytes, whole and in pieces, and what a hostile server may send."""

import pickle

import pytest

from engine.protocol.errors import ReplyError
from engine.protocol.replies import DEPTH_MAX, LINE_MAX_BYTES, SIZE_MAX_BYTES, ReplyReader
from engine.protocol.resp import NullArray, ProtocolError, Status

REPLIES = (
    b"+OK\r\n-ERR no\r\n:-7\r\n$5\r\na\r\nbc\r\n$-1\r\n*-1\r\n*0\r\n*3\r\n:1\r\n*2\r\n$1\r\nx\r\n+y\r\n$0\r\n\r\n"
)


def read_all(data: bytes, size: int) -> list[object]:
    take, buffer, replies = ReplyReader(), bytearray(), []
    for start in range(0, len(data), size):
        buffer += data[start : start + size]
        while (reply := take(buffer)) is not None:
            replies.append(reply)
        take = pickle.loads(pickle.dumps(take))
    assert not buffer
    return replies


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_replies_of_all_kinds_are_read_however_they_are_cut(size: int) -> None:
    ok, error, number, text, null, null_array, empty, nested = read_all(REPLIES, size)
    assert (ok, type(ok)) == (b"OK", Status)
    assert isinstance(error, ReplyError) and error.text == b"ERR no"
    assert (number, text, empty) == (-7, b"a\r\nbc", [])
    assert isinstance(null, NullArray) and isinstance(null_array, NullArray)
    assert nested == [1, [b"x", b"y"], b""]


@pytest.mark.parametrize(
    "data",
    [
        b"$%d\r\n" % (SIZE_MAX_BYTES + 1),
        b"*%d\r\n" % (SIZE_MAX_BYTES + 1),
        b"*1\r\n" * (DEPTH_MAX + 1),
        b"+" + b"x" * (LINE_MAX_BYTES + 1),
        b":" + b"9" * 30 + b"\r\n",
        b"$five\r\n",
        b"\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"*2000\r\n" + b"$1000\r\n%b\r\n" % (b"x" * 1000) * 1100,
    ],
)
def test_what_no_server_sends_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_all(data, len(data))


def test_what_has_been_taken_leaves_the_buffer() -> None:
    take, buffer = ReplyReader(), bytearray(b"*2\r\n$3\r\nabc\r\n$3\r\nde")
    assert take(buffer) is None
    assert buffer == b"$3\r\nde"
    buffer += b"f\r\n+next"
    assert take(buffer) == [b"abc", b"def"]
    assert buffer == b"+next"
