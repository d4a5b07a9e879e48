"""What the sorted set commands share: reporting, storing and replying with members and scores.

https://redis.io/docs/latest/commands/?group=sorted-set
"""

from engine.client import Client
from engine.keyspace import NOTIFY_GENERIC, NOTIFY_ZSET
from engine.resp import Reply, format_double
from engine.values.zset import ZSetValue

Pairs = list[tuple[float, bytes]]  # scores with members, as sorted sets hold them


def report_removed(ctx: Client, key: bytes, value: ZSetValue, event: bytes, count: int) -> None:
    """Report members that were removed; an empty sorted set is removed itself."""
    db = ctx.db
    if value.members:
        db.modified(key, NOTIFY_ZSET, event, count)
    else:
        db.delete(key)
        db.modified(key, NOTIFY_ZSET, event, count)
        db.notify(NOTIFY_GENERIC, b"del", key)


def scored_reply(ctx: Client, pairs: Pairs, with_scores: bool) -> Reply:
    """Return members, or members with scores: as pairs for RESP3, in one flat list for RESP2."""
    if not with_scores:
        return [member for _, member in pairs]
    if ctx.resp == 3:
        return [[member, score] for score, member in pairs]
    # RESP2 has no doubles: as text they make a list of bytes, which is encoded four times as fast.
    flat: list[Reply] = [None] * (2 * len(pairs))
    flat[::2] = [pair[1] for pair in pairs]
    flat[1::2] = [format_double(pair[0]) for pair in pairs]
    return flat


def store(ctx: Client, key: bytes, result: ZSetValue, event: bytes) -> int:
    """Set a key to a result; an empty one removes the key."""
    db = ctx.db
    if len(result):
        db.set(key, result)
        db.modified(key, NOTIFY_ZSET, event)
    elif db.delete(key):
        db.modified(key, NOTIFY_GENERIC, b"del")
    return len(result)
