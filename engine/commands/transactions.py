"""Transactions: MULTI, EXEC and what WATCH makes of them.

https://redis.io/docs/latest/develop/interact/transactions/
"""

from engine import client as flags
from engine.acl import DENIED_CMD, DENIED_KEY
from engine.client import Client
from engine.errors import EXECABORT, ReplyError
from engine.resp import NULL_ARRAY, OK, Argv, NoReply, RawReply, Reply, encode2, encode3
from engine.table import ALLOW_BUSY, FAST, LOADING, NOSCRIPT, SKIP_SLOWLOG, STALE, command


@command("MULTI", NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, since="1.2.0", complexity="O(1)")
def multi(ctx: Client, argv: Argv) -> Reply:
    if ctx.flags & flags.MULTI:
        raise ReplyError(b"ERR MULTI calls can not be nested")
    ctx.flags |= flags.MULTI
    ctx.queue = []
    ctx.update_gated()
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
def discard(ctx: Client, argv: Argv) -> Reply:
    if not ctx.flags & flags.MULTI:
        raise ReplyError(b"ERR DISCARD without MULTI")
    ctx.node.transactions.discard(ctx)
    return OK


_REASONS = {
    DENIED_CMD: b"no permission to execute the command or subcommand",
    DENIED_KEY: b"no permission to touch the specified keys",
}
_DENIED_CHANNEL = b"no permission to access one of the channels used as arguments to the command"


@command(
    "EXEC", NOSCRIPT, LOADING, STALE, SKIP_SLOWLOG, since="1.2.0", complexity="Depends on commands in the transaction"
)
def exec_(ctx: Client, argv: Argv) -> Reply:
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
        # Permissions may have been taken since the command was queued, even by this transaction.
        denial = node.acl.check(ctx, queued, request)
        if denial is not None:
            node.acl.note(ctx, denial, request, queued)
            error = ReplyError(
                b"NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
                b"This command is no longer allowed for the following reason: "
                + _REASONS.get(denial.reason, _DENIED_CHANNEL)
            )
            node.count_error(error)
            replies.append(error)
            continue
        earlier = ctx.take_pushes()
        reply = node.call(ctx, queued, request)
        if ctx.resp != protocol:
            encode = encode3 if protocol == 3 else encode2
            replies = [RawReply(encode(before)) for before in replies]  # HELLO changes what follows
            protocol = ctx.resp
        if type(reply) is not NoReply:
            replies.append(reply)
        else:
            # What SUBSCRIBE confirms stands in the place of its reply: of one reply, however many channels it names,
            # as the length of the array counts commands.
            replies.append(RawReply(b"".join(ctx.take_pushes())))
        ctx.push_after = earlier + ctx.push_after
    ctx.queue = None
    ctx.flags &= ~(flags.DENY_BLOCKING | flags.MULTI)
    ctx.flags |= denied_before
    ctx.update_gated()
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
def watch(ctx: Client, argv: Argv) -> Reply:
    if ctx.flags & flags.MULTI:
        raise ReplyError(b"ERR WATCH inside MULTI is not allowed")
    if not ctx.flags & flags.DIRTY_CAS:  # lost already: nothing more can happen to it
        for key in argv[1:]:
            ctx.node.transactions.watch(ctx, key)
    return OK


@command("UNWATCH", NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, since="2.2.0", complexity="O(1)")
def unwatch(ctx: Client, argv: Argv) -> Reply:
    ctx.node.transactions.unwatch(ctx)
    ctx.flags &= ~flags.DIRTY_CAS
    return OK
