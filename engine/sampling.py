"""What HRANDFIELD and ZRANDMEMBER share: their arguments, and replies of pairs.

https://redis.io/docs/latest/commands/hrandfield/
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from engine.arguments import INT64_MAX, INT64_MIN, integer
from engine.client import Client
from engine.errors import SYNTAX, ReplyError
from engine.resp import Argv, Reply

T = TypeVar("T")
DRAWN_AT_ONCE = 10_000
ELEMENT_BYTES_MIN = len(b"$0\r\n\r\n")


def random_count(arg: bytes) -> int:
    """Read a count of random elements: negative for one that may repeat them."""
    count = integer(arg)
    if count == INT64_MIN:
        raise ReplyError(b"ERR value is out of range, value must between %d and %d" % (-INT64_MAX, INT64_MAX))
    return count


def random_arguments(argv: Argv, option: bytes) -> tuple[int, bool]:
    """Read `count [option]` behind the key; returns the count and whether the option is there."""
    count = random_count(argv[2])
    if len(argv) > 4 or (len(argv) == 4 and argv[3].lower() != option):
        raise ReplyError(SYNTAX)
    if len(argv) == 4 and abs(count) > INT64_MAX // 2:
        raise ReplyError(b"ERR value is out of range")
    return count, len(argv) == 4


def draw(ctx: Client, one: Callable[[], T], count: int) -> list[T]:
    """Draw `count` times with repetition; stops when the client may not have that much output, and is hung up on."""
    drawn: list[T] = []
    while len(drawn) < count:
        drawn += [one() for _ in range(min(DRAWN_AT_ONCE, count - len(drawn)))]
        if not ctx.may_be_sent(len(drawn) * ELEMENT_BYTES_MIN):
            break
    return drawn


def pairs_reply(ctx: Client, pairs: Sequence[tuple[Reply, Reply]], both: bool) -> Reply:
    """Return the first items of pairs, or both: as pairs for RESP3, in one flat list for RESP2."""
    if not both:
        return [pair[0] for pair in pairs]
    return pairs if ctx.resp == 3 else [item for pair in pairs for item in pair]
