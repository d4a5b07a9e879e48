"""Requests parsed in batches are what the careful parser makes of them, whatever the bytes."""

from hypothesis import example, given
from hypothesis import strategies as st

from engine.resp import BatchParser, Limits, ProtocolError, Request, encode_command
from tests.inprocess import InProcess

ARGS = st.sampled_from([b"GET", b"", b"x" * 12, b"a\r\nb", b"*1", b"$3\r\n", b"=5\r\ntxt:a", b"y" * 1030])
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
        while (argv := request.next(Limits())) is not None:
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
        data = data[:at] + draw.draw(ODD) + data[at + draw.draw(st.integers(0, 2)) :]
    batch, used = PARSER.parse(data)
    assert batch + (carefully(data[used:]) if used < len(data) else []) == carefully(data)


def test_a_stranger_may_send_little_even_in_one_piece():
    node = InProcess()
    node.run(1, b"CONFIG", b"SET", b"requirepass", b"secret")
    node.send(2, encode_command([b"PING"] * 11))
    assert node.take(2) == [b"-ERR Protocol error: unauthenticated multibulk length", b"-HUNGUP"]
    node.send(3, encode_command([b"AUTH", b"secret"]) + encode_command([b"MSET"] + [b"k"] * 12))
    assert node.take(3) == [b"+OK", b"+OK"]
