"""XREAD and XREADGROUP: new entries of several streams, blocking for them if requested.

Both are one command, with or without a group. The members of a group share new entries (`>`): each entry is delivered
to one of them and is pending until it is acknowledged. With any other ID a consumer reads its own pending entries.

XREADGROUP changes groups, but its effects are propagated instead: an XCLAIM for each entry, which sets owner, time
and count, or, if nothing becomes pending (NOACK), the creation of the consumer and the group's new last ID.

https://redis.io/docs/latest/commands/xreadgroup/
"""

from typing import Final, NamedTuple

from engine.clients.client import BLOCKED_STREAM
from engine.commands.stream.shared import changed, entries_reply, strict_id
from engine.protocol.errors import SYNTAX, ReplyError, c_text
from engine.protocol.resp import NULL_ARRAY, Argv, MapReply, Reply
from engine.server.context import Context
from engine.table.arguments import integer, timeout
from engine.table.declarations import BLOCKING, READONLY, WRITE, command
from engine.values.pending import Consumer, Group, Id, Nack
from engine.values.stream import MAX_ID, MIN_ID, StreamValue, format_id, next_id

GROUP: Final = "stream"

_NEW: Final = MAX_ID  # the ID for `>`: no entry comes after it


class ReadOptions(NamedTuple):
    """The arguments before the IDs. The keys begin at position `at` and are followed by as many IDs."""

    at: int
    keys: list[bytes]
    limit: int  # entries per stream, 0: all
    blocks: bool
    until_us: int | None
    group: bytes | None
    consumer: bytes
    noack: bool


def _options(ctx: Context, argv: Argv, grouped: bool) -> ReadOptions:
    name = b"xreadgroup" if grouped else b"xread"
    count = 0
    blocks = noack = False
    until_us: int | None = None
    group: bytes | None = None
    consumer = b""
    at = 1
    size = len(argv)
    while at < size:
        option = argv[at].lower()
        more = size - at - 1
        if option == b"streams" and more:
            at += 1
            streams, odd = divmod(size - at, 2)
            if odd:
                raise ReplyError(
                    b"ERR Unbalanced '%b' list of streams: for each stream key an ID or '%b' must be specified."
                    % (name, b">" if grouped else b"$")
                )
            if grouped and group is None:
                raise ReplyError(b"ERR Missing GROUP option for XREADGROUP")
            return ReadOptions(at, argv[at : at + streams], count, blocks, until_us, group, consumer, noack)
        if option == b"block" and more:
            if ctx.in_script:
                raise ReplyError(b"ERR %b command is not allowed with BLOCK option from scripts" % argv[0])
            at += 1
            until_us = timeout(ctx.node.clock, argv[at], 1)
            blocks = True
        elif option == b"count" and more:
            at += 1
            count = max(0, integer(argv[at]))
        elif option == b"group" and more >= 2:
            if not grouped:
                raise ReplyError(b"ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
            group, consumer = argv[at + 1], argv[at + 2]
            at += 2
        elif option == b"noack":
            if not grouped:
                raise ReplyError(b"ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
            noack = True
        else:
            raise ReplyError(SYNTAX)
        at += 1
    raise ReplyError(SYNTAX)


@command(
    "XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] ID [ID ...]",
    BLOCKING,
    READONLY,
    keys=("STREAMS@1..-1%2 RO access",),
    since="5.0.0",
    complexity="",
)
def xread(ctx: Context, argv: Argv) -> Reply:
    options = _options(ctx, argv, False)
    db = ctx.db
    keys = options.keys
    first_id = options.at + len(keys)
    ids: list[Id] = []
    for key, arg in zip(keys, argv[first_id:]):
        value = db.read(key, StreamValue)
        if arg == b"$":
            ids.append(MIN_ID if value is None else value.last_id)
        elif arg == b">":
            raise ReplyError(
                b"ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> "
                b"<consumer> option."
            )
        else:
            ids.append(strict_id(arg))

    found: list[Reply] = []
    for key, id in zip(keys, ids):
        value = db.read(key, StreamValue)
        if value is not None and value.length and id < value.top():
            found.append(key)
            found.append(entries_reply(value.range(next_id(id), MAX_ID, options.limit)))
    if found:
        return _by_key(ctx, found)
    if not options.blocks or not ctx.can_block:
        return NULL_ARRAY
    # Run again with the current IDs: `$` would not see entries added meanwhile.
    again = argv[:first_id] + [format_id(id) if arg == b"$" else arg for id, arg in zip(ids, argv[first_id:])]
    return ctx.block(BLOCKED_STREAM, keys, options.until_us, argv=again)


def _by_key(ctx: Context, found: list[Reply]) -> Reply:
    """Return the results (alternating keys and entries): a map in RESP3, pairs in RESP2."""
    if ctx.resp == 3:
        return MapReply(found)
    return [list(pair) for pair in zip(found[::2], found[1::2])]


@command(
    "XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] ID [ID ...]",
    BLOCKING,
    WRITE,
    keys=("STREAMS@4..-1%2 RO access",),
    since="5.0.0",
    complexity="For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. "
    "always asking for the first 10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP "
    "blocks, XADD will pay the O(N) time in order to serve the N clients blocked on the stream getting new data.",
)
def xreadgroup(ctx: Context, argv: Argv) -> Reply:
    options = _options(ctx, argv, True)
    db = ctx.db
    keys = options.keys
    name = options.group
    assert name is not None
    ids: list[Id] = []
    groups: list[Group] = []
    for key, arg in zip(keys, argv[options.at + len(keys) :]):
        value = db.read(key, StreamValue)
        group = None if value is None else value.groups.get(name)
        if group is None:
            raise ReplyError(
                b"NOGROUP No such key '%b' or consumer group '%b' in XREADGROUP with GROUP option"
                % (c_text(key), c_text(name))
            )
        groups.append(group)
        if arg == b"$":
            raise ReplyError(
                b"ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this "
                b"consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return "
                b"an empty result set."
            )
        ids.append(_NEW if arg == b">" else strict_id(arg))

    found: list[Reply] = []
    for key, id, group in zip(keys, ids, groups):
        value = db.read(key, StreamValue)
        assert value is not None
        consumer = _consumer(ctx, key, value, group, options)
        if id != _NEW:
            found.append(key)
            found.append(_history(ctx, value, consumer, next_id(id), options.limit))
            db.space.dirty += 1
        elif value.length and value.top() > group.last_id:
            found.append(key)
            found.append(_deliver(ctx, key, value, group, consumer, options))
            db.space.dirty += 1
            db.resized(key)
    ctx.no_propagate()
    if found:
        return _by_key(ctx, found)
    if not options.blocks or not ctx.can_block:
        return NULL_ARRAY
    return ctx.block(BLOCKED_STREAM, keys, options.until_us, on_nokey=True)


def _consumer(ctx: Context, key: bytes, value: StreamValue, group: Group, options: ReadOptions) -> Consumer:
    """Return the reading consumer, creating it if it does not exist."""
    now = ctx.node.clock.now_ms
    consumer = group.consumers.get(options.consumer)
    if consumer is None:
        consumer = value.create_consumer(group, options.consumer, now)
        changed(ctx, key, b"xgroup-createconsumer")
        if options.noack:
            # Otherwise it is created elsewhere by the XCLAIM of its entries.
            ctx.also_propagate(b"XGROUP", b"CREATECONSUMER", key, group.name, consumer.name)
    consumer.seen_ms = now
    return consumer


def _history(ctx: Context, value: StreamValue, consumer: Consumer, start: Id, count: int) -> Reply:
    """Return a consumer's pending entries again; deleted entries have no fields."""
    now = ctx.node.clock.now_ms
    reply: list[Reply] = []
    for id in consumer.pending.ids(start):
        row = value.get(id)
        if row is None:
            reply.append([format_id(id), NULL_ARRAY])
        else:
            nack = consumer.pending.nacks[id]
            nack.delivered_ms = now
            nack.deliveries += 1
            reply.append([format_id(id), row])
        if len(reply) == count:
            break
    return reply


def _deliver(
    ctx: Context, key: bytes, value: StreamValue, group: Group, consumer: Consumer, options: ReadOptions
) -> Reply:
    """Deliver entries to a consumer that its group has not read yet."""
    now = ctx.node.clock.now_ms
    entries = value.range(next_id(group.last_id), MAX_ID, options.limit)
    propagating = ctx.node.propagation.active
    for id, _ in entries:
        value.advance(group, id)
        if not options.noack:
            # It may be pending nevertheless: XGROUP SETID lets a group read again.
            nack = value.assign(group, consumer, id, now)
            consumer.active_ms = now
            if propagating:
                propagate_claim(ctx, key, group, format_id(id), nack)
    if options.noack:
        propagate_last_id(ctx, key, group)
    return entries_reply(entries)


def propagate_claim(ctx: Context, key: bytes, group: Group, id: bytes, nack: Nack) -> None:
    """Propagate the owner and delivery time of an entry: an XCLAIM that has the same effect whenever it is run."""
    if ctx.node.propagation.active:
        time = b"%d" % nack.delivered_ms
        count = b"%d" % nack.deliveries
        name = nack.consumer
        ctx.also_propagate(
            *(b"XCLAIM", key, group.name, name, b"0", id, b"TIME", time, b"RETRYCOUNT", count),
            *(b"FORCE", b"JUSTID", b"LASTID", format_id(group.last_id)),
        )


def propagate_last_id(ctx: Context, key: bytes, group: Group) -> None:
    """Propagate the last ID read by a group."""
    read = b"%d" % group.entries_read
    ctx.also_propagate(b"XGROUP", b"SETID", key, group.name, format_id(group.last_id), b"ENTRIESREAD", read)
