"""The standard commands do not grow: calls of functions are counted, not timed, so a busy machine changes nothing.

A limit is what a command takes on the Python on which it takes most. Raise one only with a reason, and lower it when
a command becomes cheaper: that keeps the gain.
"""

import sys
from types import FrameType
from typing import Any

import pytest

from engine.protocol.resp import encode_command
from tests.inprocess import InProcess

pytestmark = pytest.mark.interpreted

PIPELINE = 16
ROUNDS = 20
# The calls that one command of a pipeline takes, in Python and in C, parsing and encoding included.
LIMITS = {
    "PING": 17,
    "SET key:{} xxx": 33,
    "GET key:{}": 18,
    "INCR counter:{}": 31,
    "LPUSH list xxx": 32,
    "RPOP list": 29,
    "HSET hash field:{} xxx": 37,
    "ZADD zset {} member:{}": 41,
    "LRANGE list 0 99": 33,
    "MSET a:{} 1 b:{} 2 c:{} 3": 68,
    "SADD set member:{}": 31,
    "XADD stream MAXLEN ~ 1000 * field value": 67,
    "BITFIELD bits INCRBY u16 100 1": 63,
    "PFADD log {}": 64,
    "EVAL return(redis.call('INCR',KEYS[1])) 1 n": 64,
}


def calls(usage: str) -> float:
    """Return how many calls a command takes."""
    node = InProcess()
    numbers = range(ROUNDS * PIPELINE)
    argvs = [[word.replace("{}", str(n * 7919 % 1000)).encode() for word in usage.split()] for n in numbers]
    pipelines = [b"".join(map(encode_command, argvs[at : at + PIPELINE])) for at in range(0, len(argvs), PIPELINE)]
    node.send(1, encode_command([b"LPUSH", b"list", *[b"x"] * 1000]) + pipelines[0])
    count = 0

    def counted(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    server = node.node
    link = next(iter(server.links))
    sys.setprofile(counted)
    try:
        for data in pipelines:
            server.received(link, data, node.now_us)
            server.end_round(node.now_us)
    finally:
        sys.setprofile(None)
    return count / len(argvs)


@pytest.mark.parametrize("usage", LIMITS)
def test_a_command_takes_no_more_calls(usage: str) -> None:
    assert calls(usage) <= LIMITS[usage]
