"""Saving: SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE.

https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from engine.clients.client import DENY_BLOCKING
from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.resp import OK, Argv, Reply, Status
from engine.server.context import Context
from engine.table.declarations import ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT, STALE, command

GROUP = "server"


@command(
    "SAVE",
    NO_ASYNC_LOADING,
    ADMIN,
    NOSCRIPT,
    NO_MULTI,
    since="1.0.0",
    complexity="O(N) where N is the total number of keys in all databases",
)
def save(ctx: Context, argv: Argv) -> Reply:
    persistence = ctx.node.persistence
    if persistence.saving:
        raise ReplyError(b"ERR Background save already in progress")
    if not persistence.save():
        raise ReplyError(b"ERR")
    return OK


@command("BGSAVE [SCHEDULE]", NO_ASYNC_LOADING, ADMIN, NOSCRIPT, since="1.0.0", complexity="O(1)")
def bgsave(ctx: Context, argv: Argv) -> Reply:
    schedule = False
    if len(argv) > 1:
        if len(argv) > 2 or argv[1].lower() != b"schedule":
            raise ReplyError(SYNTAX)
        schedule = True
    persistence = ctx.node.persistence
    if persistence.saving:
        raise ReplyError(b"ERR Background save already in progress")
    if persistence.busy:
        if not schedule:
            raise ReplyError(
                b"ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to "
                b"schedule a BGSAVE whenever possible."
            )
        persistence.save_scheduled = True
        return Status(b"Background saving scheduled")
    if not persistence.background_save():
        raise ReplyError(b"ERR")
    return Status(b"Background saving started")


@command("BGREWRITEAOF", NO_ASYNC_LOADING, ADMIN, NOSCRIPT, since="1.0.0", complexity="O(1)")
def bgrewriteaof(ctx: Context, argv: Argv) -> Reply:
    aof = ctx.node.aof
    if aof.rewriting:
        raise ReplyError(b"ERR Background append only file rewriting already in progress")
    if aof.child_active or ctx.flags & DENY_BLOCKING:
        aof.rewrite_scheduled = True
        aof.failures = 0  # an explicit request ignores the limit on retries
        return Status(b"Background append only file rewriting scheduled")
    if aof.start_rewrite():
        return Status(b"Background append only file rewriting started")
    raise ReplyError(
        b"ERR Can't execute an AOF background rewriting. Please check the server logs for more information."
    )


@command(
    "LASTSAVE",
    LOADING,
    STALE,
    FAST,
    acl=(
        "admin",
        "dangerous",
    ),
    tips=("nondeterministic_output",),
    since="1.0.0",
    complexity="O(1)",
)
def lastsave(ctx: Context, argv: Argv) -> Reply:
    return ctx.node.persistence.last_save_s
