"""Shared by HRANDFIELD and ZRANDMEMBER: arguments, and replies with pairs.

https://redis.io/docs/latest/commands/hrandfield/
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.numbers import INT64_MAX, INT64_MIN
from engine.protocol.resp import Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer

T = TypeVar("T")
DRAWN_AT_ONCE: Final = 10_000
ELEMENT_BYTES_MIN: Final = len(b"$0\r\n\r\n")


def random_count(arg: bytes) -> int:
    """Parse a count of random elements: negative to allow repeated elements."""
    count = integer(arg)
    if count == INT64_MIN:
        raise ReplyError(b"ERR value is out of range, value must between %d and %d" % (-INT64_MAX, INT64_MAX))
    return count


def random_arguments(argv: Argv, option: bytes) -> tuple[int, bool]:
    """Parse `count [option]` after the key. Returns the count and whether the option is present."""
    count = random_count(argv[2])
    if len(argv) > 4 or (len(argv) == 4 and argv[3].lower() != option):
        raise ReplyError(SYNTAX)
    if len(argv) == 4 and abs(count) > INT64_MAX // 2:
        raise ReplyError(b"ERR value is out of range")
    return count, len(argv) == 4


def draw(ctx: Context, one: Callable[[], T], count: int) -> list[T]:
    """Draw `count` times with repetition; stops if the client is disconnected because of its output limit."""
    drawn: list[T] = []
    while len(drawn) < count:
        drawn += [one() for _ in range(min(DRAWN_AT_ONCE, count - len(drawn)))]
        if not ctx.node.limits.enforce_reply_limit(ctx, len(drawn) * ELEMENT_BYTES_MIN):
            break
    return drawn


def pairs_reply(ctx: Context, pairs: Sequence[tuple[Reply, Reply]], both: bool) -> Reply:
    """Return the first items of pairs, or both items: as pairs in RESP3, as a flat list in RESP2."""
    if not both:
        return [pair[0] for pair in pairs]
    return pairs if ctx.resp == 3 else [item for pair in pairs for item in pair]
