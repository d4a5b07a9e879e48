"""Connection commands: authentication, protocol, database.

https://redis.io/docs/latest/commands/?group=connection
"""

from typing import Final

from engine.clients import client as flags
from engine.protocol.errors import SYNTAX, ReplyError, c_text, wrong_arity
from engine.protocol.numbers import parse_integer
from engine.protocol.resp import NO_REPLY, OK, PONG, Argv, Push, Reply, Status
from engine.protocol.version import VERSION
from engine.server.context import Context
from engine.table.arguments import int32
from engine.table.declarations import ALLOW_BUSY, FAST, LOADING, NO_AUTH, NOSCRIPT, STALE, command


@command(
    "PING [message]",
    FAST,
    tips=(
        "request_policy:all_shards",
        "response_policy:all_succeeded",
    ),
    since="1.0.0",
    complexity="O(1)",
)
def ping(ctx: Context, argv: Argv) -> Reply:
    if len(argv) > 2:
        raise wrong_arity(b"ping")
    if ctx.flags & flags.PUBSUB and ctx.resp == 2:
        return [b"pong", argv[1] if len(argv) == 2 else b""]
    return argv[1] if len(argv) == 2 else PONG


@command("ECHO message", LOADING, STALE, FAST, since="1.0.0", complexity="O(1)")
def echo(ctx: Context, argv: Argv) -> Reply:
    return argv[1]


@command("SELECT index", LOADING, STALE, FAST, since="1.0.0", complexity="O(1)")
def select(ctx: Context, argv: Argv) -> Reply:
    index = int32(argv[1])
    node = ctx.node
    if node.conditions.cluster_enabled and index != 0:
        raise ReplyError(b"ERR SELECT is not allowed in cluster mode")
    if not 0 <= index < len(node.space.databases):
        raise ReplyError(b"ERR DB index is out of range")
    ctx.db = node.space.databases[index]
    return OK


@command("QUIT", ALLOW_BUSY, NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, arity=-1, since="1.0.0", complexity="O(1)")
def quit_(ctx: Context, argv: Argv) -> Reply:
    ctx.reply(OK)
    ctx.close_after_reply()
    return NO_REPLY


@command("RESET", NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY, since="6.2.0", complexity="O(1)")
def reset(ctx: Context, argv: Argv) -> Reply:
    if ctx.flags & flags.MONITOR:
        ctx.flags &= ~(flags.MONITOR | flags.REPLICA)  # such clients are listed with both flags
    if ctx.flags & (flags.REPLICA | flags.MASTER):
        raise ReplyError(b"ERR can only reset normal client connections")
    node = ctx.node
    node.monitors.remove(ctx)
    node.tracking.disable(ctx)
    ctx.db = node.space.databases[0]
    ctx.resp = 2
    node.acl.welcome(ctx)
    node.transactions.discard(ctx)
    node.pubsub.forget(ctx)
    ctx.name = b""
    ctx.flags &= ~(
        flags.ASKING | flags.READONLY | flags.REPLY_OFF | flags.REPLY_SKIP_NEXT | flags.NO_TOUCH | flags.NO_EVICT
    )
    ctx.update_checks()
    return Status(b"RESET")


@command(
    "AUTH [username] password",
    NOSCRIPT,
    LOADING,
    STALE,
    FAST,
    NO_AUTH,
    ALLOW_BUSY,
    since="1.0.0",
    complexity="O(N) where N is the number of passwords defined for the user",
)
def auth(ctx: Context, argv: Argv) -> Reply:
    if len(argv) > 3:
        raise ReplyError(SYNTAX)
    ctx.redact(*range(1, len(argv)))
    acl = ctx.node.acl
    if len(argv) == 2:
        if acl.default_needs_no_password():
            raise ReplyError(
                b"ERR AUTH <password> called without any password configured for the default user. "
                b"Are you sure your configuration is correct?"
            )
        acl.authenticate(ctx, b"default", argv[1])
    else:
        acl.authenticate(ctx, argv[1], argv[2])
    return OK


def valid_attribute(value: bytes) -> bool:
    """Return whether a value may appear in CLIENT LIST: printable ASCII without spaces, checked up to a NUL."""
    return all(33 <= byte <= 126 for byte in value.partition(b"\0")[0])


INVALID_NAME: Final = b"ERR Client names cannot contain spaces, newlines or special characters."


@command(
    "HELLO [protover [AUTH username password] [SETNAME clientname]]",
    NOSCRIPT,
    LOADING,
    STALE,
    FAST,
    NO_AUTH,
    ALLOW_BUSY,
    since="6.0.0",
    complexity="O(1)",
)
def hello(ctx: Context, argv: Argv) -> Reply:
    version = 0
    if len(argv) > 1:
        number = parse_integer(argv[1])
        if number is None:
            raise ReplyError(b"ERR Protocol version is not an integer or out of range")
        if not 2 <= number <= 3:
            raise ReplyError(b"NOPROTO unsupported protocol version")
        version = number
    credentials: tuple[bytes, bytes] | None = None
    name: bytes | None = None
    i = 2
    while i < len(argv):
        option, more = argv[i].lower(), len(argv) - 1 - i
        if option == b"auth" and more >= 2:
            ctx.redact(i + 1, i + 2)
            credentials = (argv[i + 1], argv[i + 2])
            i += 3
        elif option == b"setname" and more:
            name = argv[i + 1]
            if not valid_attribute(name):
                raise ReplyError(INVALID_NAME)
            i += 2
        else:
            raise ReplyError(b"ERR Syntax error in HELLO option '%b'" % c_text(argv[i]))
    node = ctx.node
    if credentials is not None:
        node.acl.authenticate(ctx, *credentials)
    if not ctx.authenticated:
        raise ReplyError(
            b"NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
            b"<user> <pass> option can be used to authenticate the client and select the RESP protocol version at "
            b"the same time"
        )
    if name is not None:
        ctx.name = name
    if version:
        ctx.resp = version
    return {
        b"server": b"redis",
        b"version": VERSION.encode(),
        b"proto": ctx.resp,
        b"id": ctx.id,
        b"mode": node.mode.encode(),
        b"role": b"replica" if node.config.is_replica else b"master",
        b"modules": [],
    }


__all__ = ["INVALID_NAME", "Push", "valid_attribute"]
