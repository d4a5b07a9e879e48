"""Replication commands: choosing a master, and the replicas' side of the protocol.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from engine.clients import client as flags
from engine.clients.client import Client
from engine.clients.describe import describe
from engine.clients.replica_link import ONLINE, ReplicaLink
from engine.commands.reconfigure import set_oom_score
from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.numbers import parse_integer
from engine.protocol.resp import NO_REPLY, OK, Argv, Reply, Status, split_args
from engine.replication.peer import shown
from engine.replication.replica import REPL_STATE_CONNECTED
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import ADMIN, ALLOW_BUSY, LOADING, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT, STALE, command

GROUP = "server"


def _link(client: Client) -> ReplicaLink:
    if client.replica is None:
        client.replica = ReplicaLink()
    return client.replica


def _may_sync(ctx: Context) -> None:
    node = ctx.node
    if ctx.flags & flags.MASTER:
        raise ReplyError(b"ERR A master can't be the replica of its replica")
    if node.failover.under_way:
        raise ReplyError(b"NOMASTERLINK Can't SYNC while failing over")
    if node.config.is_replica and node.replica.state != REPL_STATE_CONNECTED:
        raise ReplyError(b"NOMASTERLINK Can't SYNC while not connected with my master")
    if ctx.out:
        raise ReplyError(b"ERR SYNC and PSYNC are invalid with pending output")
    if ctx.flags & flags.DENY_BLOCKING:
        raise ReplyError(b"ERR SYNC is not allowed here")
    link = _link(ctx)
    if link.contents != "rdb" and not link.capa_eof:
        raise ReplyError(b"ERR Filtered replica requires EOF capability")  # never written to the file


@command("SYNC", NO_ASYNC_LOADING, ADMIN, NO_MULTI, NOSCRIPT, since="1.0.0", complexity="")
def sync(ctx: Context, argv: Argv) -> Reply:
    if ctx.flags & flags.REPLICA:
        return NO_REPLY
    _may_sync(ctx)
    link = _link(ctx)
    link.old_sync = True
    node = ctx.node
    node.output.log("*", f"Replica {node.master.name(ctx, link)} asks for synchronization")
    node.master.full_resync(ctx, link)
    return NO_REPLY


@command(
    "PSYNC replicationid offset", NO_ASYNC_LOADING, ADMIN, NO_MULTI, NOSCRIPT, arity=-3, since="2.8.0", complexity=""
)
def psync(ctx: Context, argv: Argv) -> Reply:
    if ctx.flags & flags.REPLICA:
        return NO_REPLY
    node = ctx.node
    if len(argv) > 3 and argv[3].lower() == b"failover":
        node.output.log("*", f"Failover request received for replid {argv[1].decode(errors='replace')}.")
        if not node.config.is_replica:
            raise ReplyError(b"ERR PSYNC FAILOVER can't be sent to a master.")
        if argv[1].lower() != node.replication.replid:
            raise ReplyError(b"ERR PSYNC FAILOVER replid must match my replid.")
        node.roles.promote(f"failover request from '{describe(ctx).decode(errors='replace')}'")
    _may_sync(ctx)
    link = _link(ctx)
    node.output.log("*", f"Replica {node.master.name(ctx, link)} asks for synchronization")
    offset = parse_integer(argv[2])
    if offset is None:
        node.output.log(
            "#", f"Replica {node.master.name(ctx, link)} asks for synchronization but with a wrong offset"
        )
        raise ReplyError(b"ERR value is not an integer or out of range")
    if not node.master.try_partial_resync(ctx, link, argv[1], offset):
        node.master.full_resync(ctx, link)
    return NO_REPLY


@command("REPLCONF", ADMIN, NOSCRIPT, LOADING, STALE, ALLOW_BUSY, arity=-1, since="3.0.0", complexity="O(1)")
def replconf(ctx: Context, argv: Argv) -> Reply:
    if len(argv) % 2 == 0:
        raise ReplyError(SYNTAX)
    node = ctx.node
    link = _link(ctx)
    for place in range(1, len(argv), 2):
        option, value = argv[place], argv[place + 1]
        name = option.lower()
        if name == b"listening-port":
            link.listening_port = integer(value)
        elif name == b"ip-address":
            if len(value) > 255:
                raise ReplyError(
                    b"ERR REPLCONF ip-address provided by replica instance is too long: %d bytes" % len(value)
                )
            link.announced_ip = shown(value)
        elif name == b"capa":
            link.capa_eof |= value.lower() == b"eof"
            link.capa_psync2 |= value.lower() == b"psync2"
        elif name == b"ack":
            if not ctx.flags & flags.REPLICA or ctx.id not in node.master.replicas:
                return NO_REPLY
            offset = parse_integer(value)
            if offset is None:
                return NO_REPLY
            aof = None
            if len(argv) > place + 3 and argv[place + 2].lower() == b"fack":
                aof = parse_integer(argv[place + 3])
                if aof is None:
                    return NO_REPLY
            node.master.acknowledged(ctx, offset, aof)
            node.waiting.acks_due = True
            return NO_REPLY
        elif name == b"getack":
            if node.replica.client is not None:
                node.replica.acknowledge()
            return NO_REPLY
        elif name == b"rdb-only":
            link.rdb_only = bool(integer(value, low=0, high=1))
        elif name == b"rdb-filter-only":
            link.contents = _filtered(value)
        else:
            raise ReplyError(b"ERR Unrecognized REPLCONF option: %b" % option)
    return OK


def _filtered(wanted: bytes) -> str:
    """Return the kind of snapshot for a list of parts; parts that are not listed are omitted."""
    parts = split_args(wanted)
    if parts is None:
        raise ReplyError(b"ERR Missing rdb-filter-only values")
    for part in parts:
        if part.lower() != b"functions":
            raise ReplyError(b"ERR Unsupported rdb-filter-only option: %b" % part)
    return "functions" if parts else "nothing"


def _replicaof(ctx: Context, argv: Argv) -> Reply:
    node = ctx.node
    if node.conditions.cluster_enabled:
        raise ReplyError(b"ERR REPLICAOF not allowed in cluster mode.")
    if node.failover.under_way:
        raise ReplyError(b"ERR REPLICAOF not allowed while failing over.")
    if argv[1].lower() == b"no" and argv[2].lower() == b"one":
        if node.config.is_replica:
            node.roles.promote(f"user request from '{ctx.peer}'")
            set_oom_score(node, {})
        return OK
    if ctx.flags & flags.REPLICA:
        raise ReplyError(b"ERR Command is not valid when client is a replica.")
    port = integer(argv[2], b"ERR Invalid master port", 0, 65535)
    host = argv[1].decode("utf-8", "replace")
    master = node.config.replicaof
    if master is not None and master.host.lower() == host.lower() and master.port == port:
        node.output.log(
            "*",
            "REPLICAOF would result into synchronization with the master we are already connected with. No operation performed.",
        )
        return Status(b"OK Already connected to specified master")
    node.roles.follow(host, port, f"user request from '{ctx.peer}'")
    set_oom_score(node, {})
    return OK


@command("REPLICAOF <host port | NO ONE>", NO_ASYNC_LOADING, ADMIN, NOSCRIPT, STALE, since="5.0.0", complexity="O(1)")
def replicaof(ctx: Context, argv: Argv) -> Reply:
    return _replicaof(ctx, argv)


@command(
    "FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
    ADMIN,
    NOSCRIPT,
    STALE,
    since="6.2.0",
    complexity="O(1)",
)
def failover(ctx: Context, argv: Argv) -> Reply:
    node = ctx.node
    if node.conditions.cluster_enabled:
        raise ReplyError(b"ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.")
    if len(argv) == 2 and argv[1].lower() == b"abort":
        if not node.failover.under_way:
            raise ReplyError(b"ERR No failover in progress.")
        node.failover.abort("Failover manually aborted")
        return OK
    timeout_ms = 0
    force = False
    target: tuple[str, int] | None = None
    i = 1
    while i < len(argv):
        option = argv[i].lower()
        if option == b"timeout" and i + 1 < len(argv) and not timeout_ms:
            timeout_ms = integer(argv[i + 1])
            if timeout_ms <= 0:
                raise ReplyError(b"ERR FAILOVER timeout must be greater than 0")
            i += 2
        elif option == b"to" and i + 2 < len(argv) and target is None:
            target = argv[i + 1].decode("utf-8", "replace"), integer(argv[i + 2])
            i += 3
        elif option == b"force" and not force:
            force = True
            i += 1
        else:
            raise ReplyError(SYNTAX)
    _may_fail_over(ctx, target, timeout_ms, force)
    node.failover.begin(target, timeout_ms, force)
    return OK


def _may_fail_over(ctx: Context, target: tuple[str, int] | None, timeout_ms: int, force: bool) -> None:
    node = ctx.node
    if node.failover.under_way:
        raise ReplyError(b"ERR FAILOVER already in progress.")
    if node.config.is_replica:
        raise ReplyError(b"ERR FAILOVER is not valid when server is a replica.")
    if not node.master.replicas:
        raise ReplyError(b"ERR FAILOVER requires connected replicas.")
    if force and not (timeout_ms and target):
        raise ReplyError(b"ERR FAILOVER with force option requires both a timeout and target HOST and IP.")
    if target is not None:
        replica = node.failover.find(target)
        if replica is None:
            raise ReplyError(b"ERR FAILOVER target HOST and PORT is not a replica.")
        if _link(replica).state != ONLINE:
            raise ReplyError(b"ERR FAILOVER target replica is not online.")


@command("SLAVEOF <host port | NO ONE>", NO_ASYNC_LOADING, ADMIN, NOSCRIPT, STALE, since="1.0.0", complexity="O(1)")
def slaveof(ctx: Context, argv: Argv) -> Reply:
    return _replicaof(ctx, argv)
