"""Any request at all: no command fails in a way that is our fault, and every value keeps its invariants."""

import random

import pytest

from engine.config import Config
from engine.effects import Exit, Log
from engine.node import Node
from engine.protocol.resp import encode_command
from engine.table.declarations import SERVER
from tests.inprocess import check_space
from tests.world import QuietWorld

pytestmark = pytest.mark.long

# What ends the server or a connection, waits for other machines, or is slow on purpose.
LEFT_OUT = frozenset(
    b"debug shutdown sync psync replicaof slaveof monitor quit subscribe psubscribe ssubscribe failover replconf "
    b"reset acl client auth flushall flushdb hello config migrate pfselftest script function save bgsave "
    b"bgrewriteaof".split()
)
KEYS = [b"k%d" % i for i in range(8)]
TEXT = """
0 1 -1 2 10 9223372036854775807 -9223372036854775808 1.5 inf -inf nan a b * (1 [a + - $ > NX XX GT LT CH
INCR EX PX EXAT KEEPTTL GET LIMIT WITHSCORES COUNT MATCH LEFT RIGHT BEFORE AFTER BYSCORE BYLEX REV AGGREGATE
MAX WEIGHTS STORE BY ALPHA DESC WITHVALUES MAXLEN MINID ~ = 1-1 5-0 STREAMS GROUP g1 c1 BLOCK IDLE FULL u8
i16 #1 SET INCRBY OVERFLOW SAT FAIL and not bit REPLACE ASYNC m km FROMLONLAT BYRADIUS ASC 13.3 38.1 RANK DB
IDX LEN hello ENTRIESREAD MKSTREAM JUSTID
"""
WORDS = [*TEXT.encode().split(), b"", b"\x00\xff", b"x" * 70]


def requests(rng: random.Random, count: int) -> list[list[bytes]]:
    """Return requests of every command: mostly of the right length, rarely sensible."""
    names = []
    for command in SERVER.values():
        if command.name not in LEFT_OUT:
            held = [command] if command.subcommands is None else list(command.subcommands.values())
            names += [(one.name.split(b"|"), one.arity) for one in held]
    made = []
    for _ in range(count):
        name, arity = rng.choice(names)
        size = abs(arity) + (rng.choice([0, 0, 0, 1, 1, 2, 3, 4]) if arity < 0 else rng.choice([0] * 20 + [1]))
        argv = list(name)
        while len(argv) < size:
            as_key = (len(argv) <= 2 and rng.random() < 0.7) or rng.random() < 0.2
            argv.append(rng.choice(KEYS) if as_key else rng.choice(WORDS))
        made.append(argv)
    return made


@pytest.mark.parametrize("seed", range(3))
def test_no_request_is_our_fault(seed: int) -> None:
    rng = random.Random(seed)
    now = 1_700_000_000_000_000
    node = Node(Config(), seed, now)
    node.attach(QuietWorld())
    node.start(now)
    link = 1
    for number, argv in enumerate(requests(rng, 5000)):
        now += rng.choice([0, 1000, 5000, 100_000])
        client = node.links.get(link)
        if client is None or client.halted:
            if client is not None:
                node.closed(link, now)
            link += 1
            node.opened(link, f"127.0.0.1:{link}", "tcp", now)
            if rng.random() < 0.5:
                node.received(link, encode_command([b"HELLO", b"3"]), now)
        node.received(link, encode_command(argv), now)
        if now >= node.deadline():
            node.wake(now)
        for effect in node.end_round(now):
            assert not isinstance(effect, Exit), argv
            assert not (isinstance(effect, Log) and "Internal error" in effect.text), effect.text
        if number % 1000 == 0:
            check_space(node.space)
