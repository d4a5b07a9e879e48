"""Shared by the sorted set commands: reporting, storing and returning members and scores.

https://redis.io/docs/latest/commands/?group=sorted-set
"""

from engine.keyspace.databases import NOTIFY_GENERIC, NOTIFY_ZSET
from engine.protocol.resp import Reply, format_double
from engine.server.context import Context
from engine.values.zset import ZSetValue

Pairs = list[tuple[float, bytes]]  # scores and members, in the form of sorted sets


def report_removed(ctx: Context, key: bytes, value: ZSetValue, event: bytes, count: int) -> None:
    """Report that members were removed; an empty sorted set is removed itself."""
    db = ctx.db
    if value.positions:
        db.modified(key, NOTIFY_ZSET, event, count)
    else:
        db.delete(key)
        db.modified(key, NOTIFY_ZSET, event, count)
        db.notify(NOTIFY_GENERIC, b"del", key)


def scored_reply(ctx: Context, pairs: Pairs, with_scores: bool) -> Reply:
    """Return members, or members and scores: as pairs in RESP3, as a flat list in RESP2."""
    if not with_scores:
        return [member for _, member in pairs]
    if ctx.resp == 3:
        return [[member, score] for score, member in pairs]
    # RESP2 has no doubles: converted to text, they are part of a list of bytes, which is encoded four times as fast.
    flat: list[Reply] = [None] * (2 * len(pairs))
    flat[::2] = [pair[1] for pair in pairs]
    flat[1::2] = [format_double(pair[0]) for pair in pairs]
    return flat


def store(ctx: Context, key: bytes, result: ZSetValue, event: bytes) -> int:
    """Store a result in a key; an empty result removes the key."""
    db = ctx.db
    if len(result):
        db.set(key, result)
        db.modified(key, NOTIFY_ZSET, event)
    elif db.delete(key):
        db.modified(key, NOTIFY_GENERIC, b"del")
    return len(result)
