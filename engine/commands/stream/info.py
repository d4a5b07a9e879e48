"""XINFO: details of a stream, its groups and their consumers.

https://redis.io/docs/latest/commands/xinfo-stream/
"""

from itertools import islice
from typing import Final

from engine.commands.stream.shared import entries_reply, no_such_group
from engine.protocol.errors import NO_SUCH_KEY, ReplyError, subcommand_syntax
from engine.protocol.resp import Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import LOADING, READONLY, STALE, command, container
from engine.table.help import help_reply
from engine.values.pending import UNKNOWN_ENTRIES_READ, Consumer, Group, Id, Nack, Pending
from engine.values.stream import MAX_ID, MIN_ID, StreamValue, format_id

GROUP: Final = "stream"

_FULL_COUNT: Final = 10

container("XINFO", since="5.0.0", group="stream")


def _stream(ctx: Context, argv: Argv) -> StreamValue:
    value = ctx.db.read(argv[2], StreamValue)
    if value is None:
        raise ReplyError(NO_SUCH_KEY)
    return value


def _known(entries_read: int) -> int | None:
    return None if entries_read == UNKNOWN_ENTRIES_READ else entries_read


@command("XINFO STREAM key [FULL [COUNT count]]", READONLY, keys=("2 RO access",), since="5.0.0", complexity="O(1)")
def xinfo_stream(ctx: Context, argv: Argv) -> Reply:
    value = _stream(ctx, argv)
    options = argv[3:]
    count = _FULL_COUNT
    if options:
        if len(options) not in (1, 3) or options[0].lower() != b"full":
            raise subcommand_syntax(argv)
        if len(options) == 3:
            if options[1].lower() != b"count":
                raise subcommand_syntax(argv)
            count = integer(options[2])
            if count < 0:
                count = _FULL_COUNT
    reply: dict[bytes, Reply] = {
        b"length": value.length,
        b"radix-tree-keys": len(value.nodes),
        b"radix-tree-nodes": value.tree_nodes,
        b"last-generated-id": format_id(value.last_id),
        b"max-deleted-entry-id": format_id(value.max_deleted_id),
        b"entries-added": value.entries_added,
        b"recorded-first-entry-id": format_id(value.first_id),
    }
    if options:
        reply[b"entries"] = entries_reply(value.range(MIN_ID, MAX_ID, count))
        reply[b"groups"] = [_group_in_full(value, group, count) for group in value.groups_in_order()]
    else:
        reply[b"groups"] = len(value.groups)
        reply[b"first-entry"] = _edge_entry(value, reverse=False)
        reply[b"last-entry"] = _edge_entry(value, reverse=True)
    return reply


def _edge_entry(value: StreamValue, reverse: bool) -> Reply:
    entries = entries_reply(value.range(MIN_ID, MAX_ID, 1, reverse))
    return entries[0] if entries else None


def _group_in_full(value: StreamValue, group: Group, count: int) -> Reply:
    pending = [
        [format_id(id), nack.consumer, nack.delivered_ms, nack.deliveries]
        for id, nack in _first(group.pending, count)
    ]
    return {
        b"name": group.name,
        b"last-delivered-id": format_id(group.last_id),
        b"entries-read": _known(group.entries_read),
        b"lag": value.lag(group),
        b"pel-count": len(group.pending),
        b"pending": pending,
        b"consumers": [_consumer_in_full(consumer, count) for consumer in group.in_order()],
    }


def _consumer_in_full(consumer: Consumer, count: int) -> Reply:
    pending = [[format_id(id), nack.delivered_ms, nack.deliveries] for id, nack in _first(consumer.pending, count)]
    return {
        b"name": consumer.name,
        b"seen-time": consumer.seen_ms,
        b"active-time": consumer.active_ms,
        b"pel-count": len(consumer.pending),
        b"pending": pending,
    }


def _first(pending: Pending, count: int) -> list[tuple[Id, Nack]]:
    """Return the first `count` pending entries, or all if it is 0."""
    return [(id, pending.nacks[id]) for id in islice(pending.ids(), count or None)]


@command("XINFO GROUPS key", READONLY, keys=("2 RO access",), since="5.0.0", complexity="O(1)")
def xinfo_groups(ctx: Context, argv: Argv) -> Reply:
    value = _stream(ctx, argv)
    return [
        {
            b"name": group.name,
            b"consumers": len(group.consumers),
            b"pending": len(group.pending),
            b"last-delivered-id": format_id(group.last_id),
            b"entries-read": _known(group.entries_read),
            b"lag": value.lag(group),
        }
        for group in value.groups_in_order()
    ]


@command(
    "XINFO CONSUMERS key group",
    READONLY,
    keys=("2 RO access",),
    tips=("nondeterministic_output",),
    since="5.0.0",
    complexity="O(1)",
)
def xinfo_consumers(ctx: Context, argv: Argv) -> Reply:
    group = _stream(ctx, argv).groups.get(argv[3])
    if group is None:
        raise no_such_group(argv[2], argv[3])
    now = ctx.node.clock.now_ms
    return [
        {
            b"name": consumer.name,
            b"pending": len(consumer.pending),
            b"idle": max(0, now - consumer.seen_ms),
            b"inactive": -1 if consumer.active_ms == -1 else now - consumer.active_ms,
        }
        for consumer in group.in_order()
    ]


@command("XINFO HELP", LOADING, STALE, since="5.0.0", complexity="O(1)")
def xinfo_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(
        argv,
        """
        CONSUMERS <key> <groupname>
            Show consumers of <groupname>.
        GROUPS <key>
            Show the stream consumer groups.
        STREAM <key> [FULL [COUNT <count>]
            Show information about the stream.
        """,
    )
