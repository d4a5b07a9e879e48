"""Whole databases: size, flush, swap.

https://redis.io/docs/latest/commands/?group=server
"""

from typing import Final

from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.resp import OK, Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import FAST, READONLY, WRITE, command

GROUP: Final = "server"


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
def dbsize(ctx: Context, argv: Argv) -> Reply:
    return len(ctx.db)


def _check_mode(argv: Argv) -> None:
    # The interpreter frees memory in the same way for both: the option is only validated.
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
def flushdb(ctx: Context, argv: Argv) -> Reply:
    _check_mode(argv)
    ctx.node.keyspace_events.flush([ctx.db])
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
def flushall(ctx: Context, argv: Argv) -> Reply:
    _check_mode(argv)
    node = ctx.node
    node.keyspace_events.flush(node.space.databases)
    node.persistence.kill_save()  # the data that it writes is being deleted
    node.master.kill_snapshot()
    if node.config.save and node.conditions.load is None:
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
def swapdb(ctx: Context, argv: Argv) -> Reply:
    node = ctx.node
    if node.conditions.cluster_enabled:
        raise ReplyError(b"ERR SWAPDB is not allowed in cluster mode")
    first = integer(argv[1], b"ERR invalid first DB index", -(2**31), 2**31 - 1)
    second = integer(argv[2], b"ERR invalid second DB index", -(2**31), 2**31 - 1)
    count = len(node.space.databases)
    if not (0 <= first < count and 0 <= second < count):
        raise ReplyError(b"ERR DB index is out of range")
    if first != second:
        node.keyspace_events.swap(node.space.databases[first], node.space.databases[second])
    node.space.dirty += 1
    return OK
