"""Whole databases: size, flush, swap.

https://redis.io/docs/latest/commands/?group=server
"""

from engine.arguments import integer
from engine.client import Client
from engine.errors import SYNTAX, ReplyError
from engine.resp import OK, Argv, Reply
from engine.table import FAST, READONLY, WRITE, command

GROUP = "server"


@command(
    "DBSIZE",
    READONLY,
    FAST,
    acl=("keyspace",),
    tips=(
        "request_policy:all_shards",
        "response_policy:agg_sum",
    ),
    since="1.0.0",
    complexity="O(1)",
)
def dbsize(ctx: Client, argv: Argv) -> Reply:
    return len(ctx.db)


def _check_mode(argv: Argv) -> None:
    # Freeing is the interpreter's work, and the same for both: the option is only checked.
    if len(argv) > 2 or (len(argv) == 2 and argv[1].lower() not in (b"sync", b"async")):
        raise ReplyError(SYNTAX)


@command(
    "FLUSHDB [ASYNC | SYNC]",
    WRITE,
    acl=(
        "keyspace",
        "dangerous",
    ),
    tips=(
        "request_policy:all_shards",
        "response_policy:all_succeeded",
    ),
    since="1.0.0",
    complexity="O(N) where N is the number of keys in the selected database",
)
def flushdb(ctx: Client, argv: Argv) -> Reply:
    _check_mode(argv)
    ctx.node.flush([ctx.db])
    ctx.force_propagate()
    return OK


@command(
    "FLUSHALL [ASYNC | SYNC]",
    WRITE,
    acl=(
        "keyspace",
        "dangerous",
    ),
    tips=(
        "request_policy:all_shards",
        "response_policy:all_succeeded",
    ),
    since="1.0.0",
    complexity="O(N) where N is the total number of keys in all databases",
)
def flushall(ctx: Client, argv: Argv) -> Reply:
    _check_mode(argv)
    node = ctx.node
    node.flush(node.space.databases)
    node.persistence.kill_save()  # what it writes is no more
    node.master.kill_snapshot()
    if node.config.save and node.load is None:
        node.persistence.save()
    ctx.force_propagate()
    return OK


@command(
    "SWAPDB index1 index2",
    WRITE,
    FAST,
    acl=(
        "keyspace",
        "dangerous",
    ),
    since="4.0.0",
    complexity="O(N) where N is the count of clients watching or blocking on keys from both databases.",
)
def swapdb(ctx: Client, argv: Argv) -> Reply:
    node = ctx.node
    if node.cluster_enabled:
        raise ReplyError(b"ERR SWAPDB is not allowed in cluster mode")
    first = integer(argv[1], b"ERR invalid first DB index", -(2**31), 2**31 - 1)
    second = integer(argv[2], b"ERR invalid second DB index", -(2**31), 2**31 - 1)
    count = len(node.space.databases)
    if not (0 <= first < count and 0 <= second < count):
        raise ReplyError(b"ERR DB index is out of range")
    if first != second:
        node.swap(node.space.databases[first], node.space.databases[second])
    node.space.dirty += 1
    return OK
