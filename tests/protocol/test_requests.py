"""Requests parsed in batches are what the careful parser makes of them, whatever the bytes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.protocol import resp
from engine.protocol.resp import (
    INLINE_MAX,
    READ_AT_ONCE,
    BatchParser,
    ProtocolError,
    Request,
    RequestLimits,
    encode_command,
)
from tests.inprocess import InProcess

ARGS = st.sampled_from(
    [b"GET", b"", b"x" * 12, b"a\r\nb", b"*1", b"$3\r\n", b"=5\r\ntxt:a", b"~", b">", b"=", b"y" * 1030]
)
REQUEST = st.lists(ARGS, min_size=1, max_size=4).map(encode_command)
ODD = st.sampled_from(
    b"*0|*-1|+x|=5|txt:a|~1|>1|:1|(1|_|*1|*2|$3|$-1|*100000||".replace(b"|", b"\r\n|").split(b"|")
    + b"\r|\n|PING|0|*|$|".split(b"|")
)
PARSER = BatchParser()  # one for all, as a node has it: nothing of one batch may be left for the next


def carefully(data):
    """Return the requests that the project's own parser finds, the error's text last if there is one."""
    request = Request()
    request.buffer += data
    found = []
    try:
        while (argv := request.next(RequestLimits())) is not None:
            if argv:
                found.append(argv)
    except ProtocolError as error:
        found.append(str(error))
    return found


@given(st.lists(REQUEST | ODD, min_size=1, max_size=8).map(b"".join).filter(bool), st.data())
@example(b"*2\r\n+x\r\n$3\r\n+x\r\n*2\r\n", None)
@example(b"~2\r\n$4\r\na\r\nb\r\n$2\r\n*1\r\n", None)
def test_a_batch_holds_what_its_bytes_say(data, draw):
    if draw is not None and draw.draw(st.booleans()):
        at = draw.draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw.draw(ODD) + data[at + draw.draw(st.integers(0, 2)) :] or b"*"
    batch, used = PARSER.parse(data)
    assert batch + (carefully(data[used:]) if used < len(data) else []) == carefully(data)


@pytest.mark.interpreted
def test_pieces_of_a_long_pipeline_are_parsed_in_batches(monkeypatch):
    """However a pipeline is cut, only the requests at the cuts go through the careful parser."""
    careful = []
    requests = [[b"SET", b"key:%d" % i, b"*" if i % 7 == 0 else b"x" * (i % 50)] for i in range(2000)]
    data = b"".join(map(encode_command, requests))
    node = InProcess()
    node.run(1, b"PING")
    next_ = Request.next
    monkeypatch.setattr(Request, "next", lambda request, limits: careful.append(1) or next_(request, limits))
    for at in range(0, len(data), 4001):
        node.send(1, data[at : at + 4001])
    assert node.take(1) == [b"+OK"] * 2000
    assert len(careful) <= 4 * (len(data) // 4001 + 1)
    assert node.run(1, b"GET", b"key:1999") == [b"$" + b"x" * (1999 % 50)]


@pytest.mark.interpreted
def test_much_at_once_is_parsed_piece_by_piece(monkeypatch):
    """A reader of hiredis moves what it holds again and again: eight megabytes took it ten times as long."""
    requests = [encode_command([b"SET", b"key:%d" % i, b"x" * (i % 50)]) for i in range(6000)]
    requests[3000] = encode_command([b"SET", b"long", b"y" * 100_000])
    data = b"".join(requests)
    fed = []
    whole = BatchParser._parse_whole
    monkeypatch.setattr(
        BatchParser, "_parse_whole", lambda parser, data: fed.append(len(data)) or whole(parser, data)
    )
    node = InProcess()
    node.send(1, data[:-1])
    assert node.take(1) == [b"+OK"] * 5999
    assert max(fed) <= READ_AT_ONCE
    assert sum(fed) < 2 * len(data)
    node.send(1, data[-1:])
    assert node.take(1) == [b"+OK"]
    assert node.run(1, b"STRLEN", b"long") == [b":100000"]


def test_a_client_that_must_wait_within_a_piece_goes_on_where_it_was():
    node = InProcess()
    node.run(1, b"PING")
    head = encode_command([b"SET", b"a", b"0"])
    rest = b"".join(map(encode_command, [[b"INCR", b"a"], [b"BLPOP", b"l", b"0"], [b"INCR", b"a"], [b"GET", b"a"]]))
    node.send(1, head[:7])
    node.send(1, head[7:] + rest + b"PING\r\n")
    assert node.take(1) == [b"+OK", b":1"]
    node.run(2, b"RPUSH", b"l", b"x")
    assert node.take(1) == [[b"*", b"$l", b"$x"], b":2", b"$2", b"+PONG"]


def test_a_stranger_may_send_little_even_in_one_piece():
    node = InProcess()
    node.run(1, b"CONFIG", b"SET", b"requirepass", b"secret")
    node.send(2, encode_command([b"PING"] * 11))
    assert node.take(2) == [b"-ERR Protocol error: unauthenticated multibulk length", b"-HUNGUP"]
    node.send(3, encode_command([b"AUTH", b"secret"]) + encode_command([b"MSET"] + [b"k"] * 12))
    assert node.take(3) == [b"+OK", b"+OK"]


def in_pieces(data, size):
    """Return what a request's parser finds in bytes that come in pieces, the error's text last if there is one."""
    request = Request()
    found = []
    try:
        for at in range(0, len(data), size):
            request.buffer += data[at : at + size]
            while (argv := request.next(RequestLimits())) is not None:
                if argv:
                    found.append(argv)
    except ProtocolError as error:
        found.append(str(error))
    return found


@given(
    st.lists(ARGS | st.binary(max_size=30), min_size=20, max_size=200),
    st.integers(1, 3000),
    st.none() | st.tuples(st.integers(0, 10_000), ODD),
)
@example([b"a"] * 20 + [b"=5\r\ntxt:a", b"$3\r\nabc\r\n"] * 20, 600, None)
@example([b"abcd"] * 100, 600, (509, b"+abcd\r\n"))
def test_a_request_of_many_arguments_is_parsed_in_batches_as_it_would_be_one_by_one(args, size, damage):
    data = encode_command(args) + encode_command([b"PING"])
    if damage is None:
        assert in_pieces(data, size) == [args, [b"PING"]]
        return
    at, odd = damage
    data = data[: at % len(data)] + odd + data[at % len(data) :]
    batched = in_pieces(data, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resp, "_MANY", len(data))
        assert batched == in_pieces(data, size)


@pytest.mark.interpreted
def test_pieces_of_a_long_request_are_looked_at_once(monkeypatch):
    """However many arguments come in however many pieces, none is parsed by itself but those at the cuts."""
    careful = []
    line = Request._line
    monkeypatch.setattr(Request, "_line", lambda *args, **named: careful.append(1) or line(*args, **named))
    args = [b"arg:%d" % i for i in range(5000)]
    data = encode_command(args)
    assert in_pieces(data, 4000) == [args]
    assert len(careful) <= 4 * (len(data) // 4000 + 1)


@pytest.mark.parametrize("begin", [b"GET ", b"*", b"*2\r\n$"])
def test_the_end_of_a_line_is_not_looked_for_twice(begin):
    request = Request()
    request.buffer += begin
    for _ in range(100):
        assert request.next(RequestLimits()) is None
        before, request.looked = request.looked, 0
        assert request.next(RequestLimits()) is None
        assert request.looked == before >= len(request.buffer) - len(begin)
        request.buffer += b"1"


def test_a_line_that_comes_in_pieces_is_read_whole():
    assert in_pieces(b"SET 'a b' c\r\nPING\r\n*1\r\n$4\r\nPING\r\n", 1) == [
        [b"SET", b"a b", b"c"],
        [b"PING"],
        [b"PING"],
    ]
    assert in_pieces(b"a\0b\nPING\n", 2) == []
    assert in_pieces(b"x" * (INLINE_MAX + 2), 1000) == ["b'too big inline request'"]
