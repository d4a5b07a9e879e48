"""CLIENT and its subcommands: names, lists, kills, pauses, replies.

https://redis.io/docs/latest/commands/?group=connection
"""

from engine.clients import client as flags
from engine.clients.client import Client
from engine.clients.describe import client_type, describe
from engine.commands.connection import INVALID_NAME, valid_attribute
from engine.protocol.errors import SYNTAX, ReplyError, c_text, subcommand_syntax
from engine.protocol.numbers import INT64_MAX, parse_integer
from engine.protocol.resp import NO_REPLY, OK, Argv, RawReply, Reply, SetReply, Verbatim, encode2
from engine.server import Server
from engine.server.context import Context
from engine.table.arguments import integer, timeout
from engine.table.declarations import ADMIN, LOADING, NOSCRIPT, STALE, command, container
from engine.table.help import help_reply

_TYPES = {
    b"normal": b"normal",
    b"slave": b"replica",
    b"replica": b"replica",
    b"pubsub": b"pubsub",
    b"master": b"master",
}


def _type_named(name: bytes) -> bytes:
    kind = _TYPES.get(name.lower())
    if kind is None:
        raise ReplyError(b"ERR Unknown client type '%b'" % c_text(name))
    return kind


def _connected(node: Server) -> list[Client]:
    return [client for client in node.clients.values() if client.link]


container("CLIENT", since="2.4.0", group="connection")


@command("CLIENT ID", NOSCRIPT, LOADING, STALE, since="5.0.0", complexity="O(1)")
def client_id(ctx: Context, argv: Argv) -> Reply:
    return ctx.id


@command("CLIENT INFO", NOSCRIPT, LOADING, STALE, tips=("nondeterministic_output",), since="6.2.0", complexity="O(1)")
def client_info(ctx: Context, argv: Argv) -> Reply:
    return Verbatim(describe(ctx) + b"\n")


@command(
    "CLIENT LIST [TYPE <normal | master | replica | pubsub>] [ID client-id [client-id ...]]",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=("nondeterministic_output",),
    since="2.4.0",
    complexity="O(N) where N is the number of client connections",
)
def client_list(ctx: Context, argv: Argv) -> Reply:
    node = ctx.node
    option = argv[2].lower() if len(argv) > 2 else b""
    if option == b"type" and len(argv) == 4:
        kind = _type_named(argv[3])
        listed = [client for client in _connected(node) if client_type(client) == kind]
    elif option == b"id" and len(argv) > 3:
        listed = []
        for number in [integer(arg, b"ERR Invalid client ID") for arg in argv[3:]]:
            client = node.clients.get(number)
            if client is not None:
                listed.append(client)
    elif len(argv) == 2:
        listed = _connected(node)
    else:
        raise ReplyError(SYNTAX)
    return Verbatim(b"".join([describe(client) + b"\n" for client in listed]))


@command("CLIENT REPLY <ON | OFF | SKIP>", NOSCRIPT, LOADING, STALE, since="3.2.0", complexity="O(1)")
def client_reply(ctx: Context, argv: Argv) -> Reply:
    mode = argv[2].lower()
    if mode == b"on":
        ctx.flags &= ~(flags.REPLY_SKIP | flags.REPLY_OFF)
        ctx.update_checks()
        return OK
    if mode == b"off":
        ctx.flags |= flags.REPLY_OFF
    elif mode == b"skip":
        if not ctx.flags & flags.REPLY_OFF:
            ctx.flags |= flags.REPLY_SKIP_NEXT
    else:
        raise ReplyError(SYNTAX)
    ctx.update_checks()
    return NO_REPLY


def _on_off(ctx: Context, arg: bytes, flag: int) -> Reply:
    mode = arg.lower()
    if mode == b"on":
        ctx.flags |= flag
    elif mode == b"off":
        ctx.flags &= ~flag
    else:
        raise ReplyError(SYNTAX)
    ctx.update_checks()
    return OK


@command("CLIENT NO-EVICT <ON | OFF>", ADMIN, NOSCRIPT, LOADING, STALE, since="7.0.0", complexity="O(1)")
def client_no_evict(ctx: Context, argv: Argv) -> Reply:
    return _on_off(ctx, argv[2], flags.NO_EVICT)


@command("CLIENT NO-TOUCH <ON | OFF>", NOSCRIPT, LOADING, STALE, since="7.2.0", complexity="O(1)")
def client_no_touch(ctx: Context, argv: Argv) -> Reply:
    return _on_off(ctx, argv[2], flags.NO_TOUCH)


class _Filter:
    """The filters of CLIENT KILL."""

    def __init__(self) -> None:
        self.id: int | None = None
        self.type: bytes | None = None
        self.addr: bytes | None = None
        self.laddr: bytes | None = None
        self.user: bytes | None = None
        self.skip_me = True

    def selects(self, client: Client, me: Client) -> bool:
        return (
            (self.addr is None or client.peer.encode() == self.addr)
            and (self.laddr is None or client.local.encode() == self.laddr)
            and (self.type is None or client_type(client) == self.type)
            and (self.id is None or client.id == self.id)
            and (self.user is None or client.user == self.user)
            and not (client is me and self.skip_me)
        )


def _parse_filter(ctx: Context, args: Argv) -> _Filter:
    chosen = _Filter()
    if len(args) % 2:
        raise ReplyError(SYNTAX)
    for option, value in zip(args[::2], args[1::2]):
        name = option.lower()
        if name == b"id":
            number = parse_integer(value)
            if number is None or not 1 <= number <= INT64_MAX:
                raise ReplyError(b"ERR client-id should be greater than 0")
            chosen.id = number
        elif name == b"type":
            chosen.type = _type_named(value)
        elif name == b"addr":
            chosen.addr = value
        elif name == b"laddr":
            chosen.laddr = value
        elif name == b"user":
            if not ctx.node.acl.has_user(value):
                raise ReplyError(b"ERR No such user '%b'" % c_text(value))
            chosen.user = value
        elif name == b"skipme" and value.lower() in (b"yes", b"no"):
            chosen.skip_me = value.lower() == b"yes"
        else:
            raise ReplyError(SYNTAX)
    return chosen


@command(
    "CLIENT KILL <ip:port | <[ID client-id] | [TYPE <normal | master | slave | replica | pubsub>] | [USER username] | [ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>]> [<[ID client-id] | [TYPE <normal | master | slave | replica | pubsub>] | [USER username] | [ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>]> ...]>",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    arity=-3,
    since="2.4.0",
    complexity="O(N) where N is the number of client connections",
)
def client_kill(ctx: Context, argv: Argv) -> Reply:
    node = ctx.node
    if len(argv) == 3:
        chosen = _Filter()
        chosen.addr = argv[2]
        chosen.skip_me = False
    else:
        chosen = _parse_filter(ctx, argv[2:])
    killed = [client for client in _connected(node) if chosen.selects(client, ctx)]
    for client in killed:
        if client is not ctx:
            node.connections.close_now(client)
    if len(argv) == 3 and not killed:
        raise ReplyError(b"ERR No such client")
    reply = OK if len(argv) == 3 else len(killed)
    if ctx in killed:
        ctx.close_after_reply()
    return reply


@command(
    "CLIENT UNBLOCK client-id [TIMEOUT | ERROR]",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    since="5.0.0",
    complexity="O(log N) where N is the number of client connections",
)
def client_unblock(ctx: Context, argv: Argv) -> Reply:
    error = False
    if len(argv) == 4:
        reason = argv[3].lower()
        if reason not in (b"timeout", b"error"):
            raise ReplyError(b"ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
        error = reason == b"error"
    target = ctx.node.clients.get(integer(argv[2]))
    if target is None or target.blocking is None or target.blocking.kind == flags.BLOCKED_POSTPONE:
        return 0
    if error:
        ctx.node.waiting.unblock_with_error(target, ReplyError(b"UNBLOCKED client unblocked via CLIENT UNBLOCK"))
    else:
        ctx.node.waiting.give_up(target)
    return 1


@command(
    "CLIENT SETNAME connection-name",
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "response_policy:all_succeeded",
    ),
    since="2.6.9",
    complexity="O(1)",
)
def client_setname(ctx: Context, argv: Argv) -> Reply:
    if not valid_attribute(argv[2]):
        raise ReplyError(INVALID_NAME)
    ctx.name = argv[2]
    return OK


@command("CLIENT GETNAME", NOSCRIPT, LOADING, STALE, since="2.6.9", complexity="O(1)")
def client_getname(ctx: Context, argv: Argv) -> Reply:
    return ctx.name or None


@command(
    "CLIENT SETINFO <lib-name libname | lib-ver libver>",
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "response_policy:all_succeeded",
    ),
    since="7.2.0",
    complexity="O(1)",
)
def client_setinfo(ctx: Context, argv: Argv) -> Reply:
    option = argv[2].lower()
    if option not in (b"lib-name", b"lib-ver"):
        raise ReplyError(b"ERR Unrecognized option '%b'" % c_text(argv[2]))
    if not valid_attribute(argv[3]):
        raise ReplyError(b"ERR %b cannot contain spaces, newlines or special characters." % c_text(argv[2]))
    if option == b"lib-name":
        ctx.lib_name = argv[3]
    else:
        ctx.lib_ver = argv[3]
    return OK


@command("CLIENT PAUSE timeout [WRITE | ALL]", ADMIN, NOSCRIPT, LOADING, STALE, since="3.0.0", complexity="O(1)")
def client_pause(ctx: Context, argv: Argv) -> Reply:
    if len(argv) > 4:
        raise subcommand_syntax(argv)
    mode = argv[3].lower() if len(argv) == 4 else b"all"
    if mode not in (b"all", b"write"):
        raise ReplyError(b"ERR CLIENT PAUSE mode must be WRITE or ALL")
    until_us = timeout(ctx.node.clock, argv[2], unit_ms=1)
    ctx.node.pauses.pause(b"client", ctx.node.clock.monotonic_us if until_us is None else until_us, mode == b"all")
    return OK


@command(
    "CLIENT UNPAUSE",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    since="6.2.0",
    complexity="O(N) Where N is the number of paused clients",
)
def client_unpause(ctx: Context, argv: Argv) -> Reply:
    ctx.node.pauses.end(b"client")
    return OK


_TRACKING_OPTIONS = {
    b"bcast": flags.TRACKING_BCAST,
    b"optin": flags.TRACKING_OPTIN,
    b"optout": flags.TRACKING_OPTOUT,
    b"noloop": flags.TRACKING_NOLOOP,
}


@command(
    "CLIENT TRACKING <ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
    NOSCRIPT,
    LOADING,
    STALE,
    since="6.0.0",
    complexity="O(1). Some options may introduce additional complexity.",
)
def client_tracking(ctx: Context, argv: Argv) -> Reply:
    node = ctx.node
    redirect, options = 0, 0
    prefixes: list[bytes] = []
    i = 3
    while i < len(argv):
        option, more = argv[i].lower(), i + 1 < len(argv)
        if option == b"redirect" and more:
            i += 1
            if redirect:
                raise ReplyError(b"ERR A client can only redirect to a single other client")
            redirect = integer(argv[i])
            if redirect not in node.clients:
                raise ReplyError(b"ERR The client ID you want redirect to does not exist")
        elif option in _TRACKING_OPTIONS:
            options |= _TRACKING_OPTIONS[option]
        elif option == b"prefix" and more:
            i += 1
            prefixes.append(argv[i])
        else:
            raise ReplyError(SYNTAX)
        i += 1
    mode = argv[2].lower()
    if mode == b"off":
        node.tracking.disable(ctx)
        return OK
    if mode != b"on":
        raise ReplyError(SYNTAX)
    _check_tracking(ctx, options, prefixes)
    error = node.tracking.enable(ctx, redirect, options, prefixes)
    if error is None:
        return OK
    node.stats.count_error(error)
    assert ctx.current is not None
    node.stats.of(ctx.current.name).failed += 1
    return RawReply(encode2(error) + encode2(OK))


def _check_tracking(ctx: Context, options: int, prefixes: list[bytes]) -> None:
    """Reject options that contradict each other or the client's current state."""
    bcast = options & flags.TRACKING_BCAST
    optin, optout = options & flags.TRACKING_OPTIN, options & flags.TRACKING_OPTOUT
    if prefixes and not bcast:
        raise ReplyError(b"ERR PREFIX option requires BCAST mode to be enabled")
    if ctx.flags & flags.TRACKING and bool(ctx.flags & flags.TRACKING_BCAST) != bool(bcast):
        raise ReplyError(
            b"ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling "
            b"it with a different mode."
        )
    if bcast and (optin or optout):
        raise ReplyError(b"ERR OPTIN and OPTOUT are not compatible with BCAST")
    if optin and optout:
        raise ReplyError(b"ERR You can't specify both OPTIN mode and OPTOUT mode")
    if (optin and ctx.flags & flags.TRACKING_OPTOUT) or (optout and ctx.flags & flags.TRACKING_OPTIN):
        raise ReplyError(
            b"ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling "
            b"it with a different mode."
        )


@command("CLIENT CACHING <YES | NO>", NOSCRIPT, LOADING, STALE, since="6.0.0", complexity="O(1)")
def client_caching(ctx: Context, argv: Argv) -> Reply:
    if not ctx.flags & flags.TRACKING:
        raise ReplyError(
            b"ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
            b"enabled"
        )
    mode = argv[2].lower()
    if mode == b"yes":
        if not ctx.flags & flags.TRACKING_OPTIN:
            raise ReplyError(b"ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    elif mode == b"no":
        if not ctx.flags & flags.TRACKING_OPTOUT:
            raise ReplyError(b"ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    else:
        raise ReplyError(SYNTAX)
    ctx.flags |= flags.TRACKING_CACHING
    return OK


@command("CLIENT GETREDIR", NOSCRIPT, LOADING, STALE, since="6.0.0", complexity="O(1)")
def client_getredir(ctx: Context, argv: Argv) -> Reply:
    return ctx.node.tracking.redirection(ctx)


@command("CLIENT TRACKINGINFO", NOSCRIPT, LOADING, STALE, since="6.2.0", complexity="O(1)")
def client_trackinginfo(ctx: Context, argv: Argv) -> Reply:
    held = ctx.flags
    shown = [b"on" if held & flags.TRACKING else b"off"]
    caching = held & flags.TRACKING_CACHING
    if held & flags.TRACKING_BCAST:
        shown.append(b"bcast")
    if held & flags.TRACKING_OPTIN:
        shown += [b"optin", b"caching-yes"] if caching else [b"optin"]
    if held & flags.TRACKING_OPTOUT:
        shown += [b"optout", b"caching-no"] if caching else [b"optout"]
    if held & flags.TRACKING_NOLOOP:
        shown.append(b"noloop")
    if held & flags.TRACKING_BROKEN_REDIR:
        shown.append(b"broken_redirect")
    state = ctx.tracking
    return {
        b"flags": SetReply(shown),
        b"redirect": ctx.node.tracking.redirection(ctx),
        b"prefixes": sorted(state.prefixes) if state is not None else [],
    }


@command("CLIENT HELP", LOADING, STALE, since="5.0.0", complexity="O(1)")
def client_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(argv, CLIENT_HELP)


CLIENT_HELP = """\
CACHING (YES|NO)
    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.
GETREDIR
    Return the client ID we are redirecting to when tracking is enabled.
GETNAME
    Return the name of the current connection.
ID
    Return the ID of the current connection.
INFO
    Return information about the current client connection.
KILL <ip:port>
    Kill connection made from <ip:port>.
KILL <option> <value> [<option> <value> [...]]
    Kill connections. Options are:
    * ADDR (<ip:port>|<unixsocket>:0)
      Kill connections made from the specified address
    * LADDR (<ip:port>|<unixsocket>:0)
      Kill connections made to specified local address
    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
      Kill connections by type.
    * USER <username>
      Kill connections authenticated by <username>.
    * SKIPME (YES|NO)
      Skip killing current connection (default: yes).
LIST [options ...]
    Return information about client connections. Options:
    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
      Return clients of specified type.
UNPAUSE
    Stop the current client pause, resuming traffic.
PAUSE <timeout> [WRITE|ALL]
    Suspend all, or just write, clients for <timeout> milliseconds.
REPLY (ON|OFF|SKIP)
    Control the replies sent to the current connection.
SETNAME <name>
    Assign the name <name> to the current connection.
SETINFO <option> <value>
    Set client meta attr. Options are:
    * LIB-NAME: the client lib name.
    * LIB-VER: the client lib version.
UNBLOCK <clientid> [TIMEOUT|ERROR]
    Unblock the specified blocked client.
TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]
         [OPTIN] [OPTOUT] [NOLOOP]
    Control server assisted client side caching.
TRACKINGINFO
    Report tracking status for the current connection.
NO-EVICT (ON|OFF)
    Protect current client connection from eviction.
NO-TOUCH (ON|OFF)
    Will not touch LRU/LFU stats when this mode is on.
"""
