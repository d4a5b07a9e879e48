"""Transactions: MULTI, EXEC, DISCARD, WATCH and UNWATCH.

https://redis.io/docs/latest/develop/interact/transactions/
"""

from typing import Final

from engine.clients import client as flags
from engine.clients.acl import DENIED_CMD, DENIED_KEY
from engine.protocol.errors import EXECABORT, ReplyError
from engine.protocol.resp import NULL_ARRAY, OK, Argv, NoReply, RawReply, Reply, encode2, encode3
from engine.server.context import Context
from engine.table.declarations import ALLOW_BUSY, FAST, LOADING, NOSCRIPT, SKIP_SLOWLOG, STALE, command


@command("MULTI", NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, since="1.2.0", complexity="O(1)")
def multi(ctx: Context, argv: Argv) -> Reply:
    if ctx.flags & flags.MULTI:
        raise ReplyError(b"ERR MULTI calls can not be nested")
    ctx.flags |= flags.MULTI
    ctx.queue = []
    ctx.update_checks()
    return OK


@command(
    "DISCARD",
    NOSCRIPT,
    LOADING,
    STALE,
    FAST,
    ALLOW_BUSY,
    since="2.0.0",
    complexity="O(N), when N is the number of queued commands",
)
def discard(ctx: Context, argv: Argv) -> Reply:
    if not ctx.flags & flags.MULTI:
        raise ReplyError(b"ERR DISCARD without MULTI")
    ctx.node.transactions.discard(ctx)
    return OK


_REASONS: Final = {
    DENIED_CMD: b"no permission to execute the command or subcommand",
    DENIED_KEY: b"no permission to touch the specified keys",
}
_DENIED_CHANNEL: Final = b"no permission to access one of the channels used as arguments to the command"


@command(
    "EXEC", NOSCRIPT, LOADING, STALE, SKIP_SLOWLOG, since="1.2.0", complexity="Depends on commands in the transaction"
)
def exec_(ctx: Context, argv: Argv) -> Reply:
    node = ctx.node
    if not ctx.flags & flags.MULTI:
        raise ReplyError(b"ERR EXEC without MULTI")
    if node.transactions.watched_key_expired(ctx):
        ctx.flags |= flags.DIRTY_CAS
    queue = ctx.queue or []
    state = ctx.flags
    node.transactions.discard(ctx)
    if state & flags.DIRTY_EXEC:
        raise ReplyError(EXECABORT)
    if state & flags.DIRTY_CAS:
        return NULL_ARRAY
    replies: list[Reply] = []
    ctx.queue, protocol = queue, ctx.resp
    denied_before = ctx.flags & flags.DENY_BLOCKING
    ctx.flags |= flags.DENY_BLOCKING | flags.MULTI
    for queued, request in queue:
        # Permissions may have been revoked since the command was queued, even by this transaction.
        denial = node.acl.check(ctx, queued, request)
        if denial is not None:
            node.acl.note(ctx, denial, request, queued)
            error = ReplyError(
                b"NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
                b"This command is no longer allowed for the following reason: "
                + _REASONS.get(denial.reason, _DENIED_CHANNEL)
            )
            node.stats.count_error(error)
            replies.append(error)
            continue
        earlier = ctx.take_pushes()
        reply = node.dispatch.call(ctx, queued, request)
        if ctx.resp != protocol:
            encode = encode3 if protocol == 3 else encode2
            replies = [RawReply(encode(before)) for before in replies]  # HELLO changes the following replies
            protocol = ctx.resp
        if type(reply) is not NoReply:
            replies.append(reply)
        else:
            # The confirmation of SUBSCRIBE replaces its reply: only one, even for several channels, because the
            # length of the array is the number of commands.
            replies.append(RawReply(b"".join(ctx.take_pushes())))
        ctx.push_after = earlier + ctx.push_after
    ctx.queue = None
    ctx.flags &= ~(flags.DENY_BLOCKING | flags.MULTI)
    ctx.flags |= denied_before
    ctx.update_checks()
    ctx.no_propagate()
    return replies


@command(
    "WATCH key [key ...]",
    NOSCRIPT,
    LOADING,
    STALE,
    FAST,
    ALLOW_BUSY,
    keys=("1..-1 RO",),
    since="2.2.0",
    complexity="O(1) for every key.",
)
def watch(ctx: Context, argv: Argv) -> Reply:
    if ctx.flags & flags.MULTI:
        raise ReplyError(b"ERR WATCH inside MULTI is not allowed")
    if not ctx.flags & flags.DIRTY_CAS:  # already failed: further changes have no effect
        for key in argv[1:]:
            ctx.node.transactions.watch(ctx, key)
    return OK


@command("UNWATCH", NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, since="2.2.0", complexity="O(1)")
def unwatch(ctx: Context, argv: Argv) -> Reply:
    ctx.node.transactions.unwatch(ctx)
    ctx.flags &= ~flags.DIRTY_CAS
    return OK
