"""Reading a node's data without side effects.

Checks of lessons and the inspector use `inspect`: the command's handler runs, but without the side effects of a
client's command: no access time, no hit or miss, no lazy expiry (an expired key is simply not shown), no statistics,
no entry in MONITOR, slow log or ACL log, no random numbers.
"""

from itertools import islice

from engine.clients import client as flags
from engine.clients.acl import DEFAULT_USER
from engine.execution.dispatch import find_command
from engine.keyspace.databases import EXPIRE_HIDE, TOUCH_NOT
from engine.node import Node
from engine.protocol.errors import ReplyError, wrong_arity
from engine.protocol.resp import Argv, Reply
from engine.server.context import Context
from engine.table.declarations import READONLY


def inspect(node: Node, argv: Argv, db: int = 0, now: int | None = None) -> Reply:
    """Run a read-only command with all permissions. Returns its reply value; errors are returned, too.

    `now` is the monotonic time to use; None means the node's current time. Raises ValueError for a command
    that could change anything. `INSPECT what` is also supported: see `inspect_part`.
    """
    if argv[0].upper() == b"INSPECT" and len(argv) == 2:
        return inspect_part(node, argv[1].decode(errors="replace"))
    try:
        command = find_command(node.dispatch.commands, argv)
    except ReplyError as error:
        return error
    if not command.flags & READONLY and command.name not in _LOOKS:
        raise ValueError(f"{command.name.decode()} is not a command to look with")
    if not command.takes(len(argv)):
        return wrong_arity(command.name)
    space = node.space
    restored = (
        (space, ("touch", "expire_mode", "hits", "misses", "notify_misses", "now_ms")),
        (space.rng, ("state",)),
        (node.core.rng, ("state",)),
        (node.clock, ("monotonic_us", "now_us", "now_ms", "shown_us")),
    )
    kept = [(part, name, getattr(part, name)) for part, names in restored for name in names]
    space.touch, space.expire_mode, space.notify_misses = TOUCH_NOT, EXPIRE_HIDE, False
    if now is not None:
        node.set_time(now)
    ctx = Context(node)
    ctx.flags = flags.INTERNAL | flags.DENY_BLOCKING
    ctx.user = DEFAULT_USER
    ctx.db = space.databases[db]
    try:
        with node.execution.suspended():
            node.execution.enter(ctx, argv)
            return command.handler(ctx, argv)
    except ReplyError as error:
        return error
    finally:
        for part, name, value in kept:
            setattr(part, name, value)


# Read-only commands that access no keys: Redis does not flag them as readonly.
_LOOKS = frozenset(
    (
        b"acl|cat",
        b"acl|dryrun",
        b"acl|getuser",
        b"acl|list",
        b"acl|log",
        b"acl|users",
        b"client|list",
        b"cluster|count-failure-reports",
        b"cluster|countkeysinslot",
        b"cluster|getkeysinslot",
        b"cluster|info",
        b"cluster|keyslot",
        b"cluster|links",
        b"cluster|myid",
        b"cluster|myshardid",
        b"cluster|nodes",
        b"cluster|replicas",
        b"cluster|shards",
        b"cluster|slots",
        b"command",
        b"command|count",
        b"command|docs",
        b"command|info",
        b"command|list",
        b"config|get",
        b"echo",
        b"function|list",
        b"info",
        b"lastsave",
        b"latency|histogram",
        b"latency|latest",
        b"ping",
        b"pubsub|channels",
        b"pubsub|numpat",
        b"pubsub|numsub",
        b"pubsub|shardchannels",
        b"pubsub|shardnumsub",
        b"role",
        b"script|exists",
        b"sentinel|ckquorum",
        b"sentinel|get-master-addr-by-name",
        b"sentinel|info-cache",
        b"sentinel|master",
        b"sentinel|masters",
        b"sentinel|myid",
        b"sentinel|pending-scripts",
        b"sentinel|replicas",
        b"sentinel|sentinels",
        b"sentinel|slaves",
        b"slowlog|get",
        b"slowlog|len",
        b"time",
    )
)


# --- facts that no command returns --------------------------------------------------------------------------------

INSPECTED_MAX = 16  # maximum number of items of each kind
INSPECTED_BYTES = 64  # maximum size of an argument


def inspect_part(node: Node, what: str) -> Reply:
    """Return facts that no command of Redis returns, as reply values; at most `INSPECTED_MAX` of each kind.

    transactions    for each client in a transaction: ID, state, number of queued commands, the first of them, watched
    keys subscriptions   for each name: channel, pattern or shard; name, number of subscribers, the IDs of the first
    ones persistence     the offsets of the append-only file in bytes, and the number of changes since the last
    snapshot
    """
    views = {"transactions": _transactions, "subscriptions": _subscriptions, "persistence": _persistence}
    view = views.get(what)
    return view(node) if view is not None else ReplyError(b"ERR no such view")


def _transactions(node: Node) -> Reply:
    found: list[Reply] = []
    for client in node.clients.values():
        if client.queue is None and not client.watched:
            continue
        state = b"spoiled" if client.flags & flags.DIRTY_CAS else b"open" if client.queue is not None else b"watching"
        if client.flags & flags.DIRTY_EXEC:
            state = b"refused"
        queue = client.queue or []
        queued = [[word[:INSPECTED_BYTES] for word in argv[:INSPECTED_MAX]] for _, argv in queue[:INSPECTED_MAX]]
        watched: list[Reply] = [[db, key[:INSPECTED_BYTES]] for db, key in list(client.watched)[:INSPECTED_MAX]]
        found.append([client.id, state, len(queue), queued, watched])
        if len(found) == INSPECTED_MAX:
            break
    return found


def _subscriptions(node: Node) -> Reply:
    pubsub = node.pubsub
    kinds = ((b"channel", pubsub.channels), (b"pattern", pubsub.patterns), (b"shard", pubsub.shard_channels))
    return [
        [kind, name[:INSPECTED_BYTES], len(ids), list(islice(ids, INSPECTED_MAX))]
        for kind, names in kinds
        for name, ids in islice(names.items(), INSPECTED_MAX)
    ]


def _persistence(node: Node) -> Reply:
    aof, persistence = node.aof, node.persistence
    increments = aof.manifest.increments
    due_us = (aof.last_sync_s + 1) * 1_000_000 - node.clock.monotonic_us
    return {
        b"aof": aof.state.encode(),
        b"appendfsync": node.config.appendfsync.encode(),
        b"increment": increments[-1].name.encode() if increments else b"",
        b"increment-bytes": aof.increment_size,
        b"synced-bytes": aof.increment_synced,
        b"syncing": aof.syncing,
        b"buffered-bytes": aof.buffer_bytes,
        b"sync-due-ms": max(0, due_us // 1000),
        b"rewriting": int(bool(aof.rewriting)),
        b"changes": node.space.dirty,
        b"saved-changes": persistence.dirty_at_save,
        b"saving": int(bool(persistence.saving)),
        b"saves": persistence.saves,
        b"save-points": int(bool(node.config.save)),
    }
