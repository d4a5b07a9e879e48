"""The way of a command: look up, gates, call.

`process` is the one door for requests. `gates` reads as the list of reasons why a command may not run. `call` runs a
handler, times and counts it, and propagates its changes: EXEC, scripts and blocked clients come through it too.

    bytes → parser → argv → process: look up → arity → gates → call: handler → reply value → encoder → bytes

Speed: a client that no gate can concern (`ctx.gated` and `node.gated` are false) pays one test for all of them, and
its whole pipeline is run in one loop.
"""

import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine import client as flags
from engine.errors import (
    EXECABORT,
    LOADING,
    NOAUTH,
    OOM,
    READONLY,
    ReplyError,
    wrong_arity,
)
from engine.events import CommandExecuted
from engine.keyspace import TOUCH_NOT
from engine.resp import ENCODERS, QUEUED, Argv, NoReply, Reply
from engine.stats import CommandStats
from engine.table import (
    ALLOW_BUSY,
    DENYOOM,
    MAY_REPLICATE,
    NO_ASYNC_LOADING,
    NO_AUTH,
    NO_MULTI,
    PROTECTED,
    STALE,
    WRITE,
    Command,
)
from engine.table import LOADING as ALLOWED_WHILE_LOADING
from engine.table import READONLY as READONLY_COMMAND

if TYPE_CHECKING:
    from engine.client import Client
    from engine.node import Node


def find_command(node: "Node", argv: Argv) -> Command:
    """Return the command or subcommand that a request names; raises Redis's error for an unknown one."""
    command = node.commands.get(argv[0]) or node.commands.get(argv[0].lower())
    if command is None:
        raise ReplyError(_unknown_command(argv))
    if command.subcommands is not None and len(argv) > 1:
        subcommand = command.subcommands.get(argv[1].lower())
        if subcommand is None:
            raise ReplyError(b"ERR unknown subcommand '%b'. Try %b HELP." % (argv[1][:128], command.name.upper()))
        return subcommand
    return command


def _unknown_command(argv: Argv) -> bytes:
    args = b""
    for arg in argv[1:]:
        if len(args) >= 128:
            break
        args += b"'%b' " % arg[: 128 - len(args)]
    return b"ERR unknown command '%b', with args beginning with: %b" % (argv[0][:128], args)


def process(node: "Node", ctx: "Client", requests: Iterator[Argv]) -> None:
    """Run requests of a client in order and queue their replies, until there are no more or the client must wait.

    What nothing stands in the way of is run here, in one loop for a whole pipeline; `call` does the same for one
    command and besides serves those who look on (MONITOR, tracking, observers), whom the gates count as a reason.
    """
    commands = node.commands
    space = node.space
    stopwatch = node.stopwatch
    all_stats = node.command_stats
    encoders = ENCODERS[ctx.resp]
    started = node.mark_us
    for argv in requests:
        command = commands.get(argv[0])
        gated = node.gated
        if command is None or command.special or ctx.gated or (gated and (gated < 0 or command.flags & gated)):
            node.executing = None
            process_gated(node, ctx, argv)
            if ctx.halted:
                return
            encoders = ENCODERS[ctx.resp]
            started = node.mark_us
            continue
        count = len(argv)
        arity = command.arity
        if count != arity and (arity > 0 or count < -arity):
            reject(node, ctx, command, argv, wrong_arity(command.name))
            continue
        ctx.current = command
        node.executing = ctx
        node.executing_argv = argv
        dirty = space.dirty
        try:
            reply = command.handler(ctx, argv)
        except Exception as error:
            reply = _error(node, command, argv, error)
        node.mark_us = stopped = stopwatch()
        elapsed = stopped - started
        started = stopped
        kind = type(reply)
        stats = all_stats.get(command.name) or node.stats_of(command)
        if kind is NoReply and ctx.blocking is not None:
            ctx.blocking.spent_us += elapsed
        else:
            stats.durations.append(elapsed)
            if elapsed >= node.slow_us:
                node.slow_command(ctx, command, argv, elapsed)
        if space.dirty != dirty or node.force_propagation or node.instead is not None:
            node.propagate_call(ctx, argv, space.dirty != dirty)
        if kind is bytes:
            data = b"$%d\r\n%b\r\n" % (len(reply), reply)
        else:
            if kind is ReplyError:
                _count_failure(node, stats, reply)
            data = encoders[kind](reply)
        if ctx.out:
            ctx.out.append(data)
        elif data:
            ctx.write(data)
        if node.aftermath:
            node.executing = None
            node.after_command(command)
            if ctx.push_after:
                ctx.flush_pushes()
            ctx.written_offset = node.replication.offset
            started = node.mark_us
        if ctx.halted:
            break
    node.executing = None
    node.executing_argv = []


def process_gated(node: "Node", ctx: "Client", argv: Argv) -> None:
    """Run one request that something may stand in the way of, and queue its reply."""
    command = node.commands.get(argv[0])
    if command is None or command.subcommands is not None:
        try:
            command = find_command(node, argv)
        except ReplyError as error:
            ctx.current = None
            if ctx.link and argv[0].lower() in (b"post", b"host:"):
                node.limits.refuse_browser(ctx)
            else:
                reject(node, ctx, None, argv, error)
            return
    if not command.takes(len(argv)):
        reject(node, ctx, command, argv, wrong_arity(command.name))
        return
    ctx.current = command
    if ctx.gated or node.gated or command.flags & PROTECTED:
        try:
            passed = gates(node, ctx, command, argv)
        except ReplyError as error:
            reject(node, ctx, command, argv, error)
            return
        if not passed:
            return
    if ctx.gated:
        reply = _call_gated(node, ctx, command, argv)
    else:
        reply = call(node, ctx, command, argv)
    if type(reply) is not NoReply:
        ctx.reply(reply)
    if ctx.push_after:
        ctx.flush_pushes()
    if node.aftermath:
        node.after_command(command)
        ctx.written_offset = node.replication.offset
    if ctx.flags & (flags.REPLY_SKIP | flags.REPLY_SKIP_NEXT):
        # CLIENT REPLY SKIP silences the command after it and no more.
        skip_next = ctx.flags & flags.REPLY_SKIP_NEXT
        ctx.flags &= ~(flags.REPLY_SKIP | flags.REPLY_SKIP_NEXT)
        if skip_next:
            ctx.flags |= flags.REPLY_SKIP
        ctx.update_gated()


def apply(node: "Node", ctx: "Client", argv: Argv) -> None:
    """Run a command of the master's stream: outside a transaction hardly anything stands in its way."""
    command = node.commands.get(argv[0])
    plain = command is not None and not command.special and ctx.queue is None and node.gated >= 0
    if command is None or not plain or not command.takes(len(argv)):
        process_gated(node, ctx, argv)
        return
    ctx.current = command
    reply = call(node, ctx, command, argv)
    if type(reply) is ReplyError:
        ctx.reply(reply)
    if node.aftermath:
        node.after_command(command)


def _call_gated(node: "Node", ctx: "Client", command: Command, argv: Argv) -> Reply:
    """Run a command of a client with special wishes: NO-TOUCH, CLIENT CACHING."""
    space = node.space
    touch = space.touch
    if ctx.flags & flags.NO_TOUCH and command.name != b"touch":
        space.touch = TOUCH_NOT
    reply = call(node, ctx, command, argv)
    if space.touch == TOUCH_NOT:
        space.touch = touch
    _end_caching(ctx, command)
    return reply


def _end_caching(ctx: "Client", command: Command | None) -> None:
    """CLIENT CACHING concerns the next command or transaction, other CLIENT commands not counted."""
    if not ctx.flags & flags.TRACKING_CACHING or ctx.flags & flags.MULTI:
        return
    if command is None or not command.name.startswith(b"client"):
        ctx.flags &= ~flags.TRACKING_CACHING


def reject(node: "Node", ctx: "Client", command: Command | None, argv: Argv, error: ReplyError) -> None:
    """Answer a request that did not pass; inside MULTI the transaction is lost with it."""
    if ctx.queue is not None and (command is None or command.name != b"exec"):
        ctx.flags |= flags.DIRTY_EXEC
    elif command is not None and command.name == b"exec":
        # A refused EXEC ends its transaction and says why.
        node.transactions.discard(ctx)
        error = ReplyError(b"EXECABORT Transaction discarded because of: " + error.text.removeprefix(b"ERR "))
    _end_caching(ctx, command)
    if command is not None:
        node.stats_of(command).rejected += 1
    if node.observers:
        node.replication.tell_refused(ctx, error.text)
    node.count_error(error)
    ctx.reply(error)
    if command is not None and command.name == b"exec":
        node.monitors.show(ctx, argv, at_once=True)  # they have seen the MULTI


def gates(node: "Node", ctx: "Client", command: Command, argv: Argv) -> bool:
    """Check every reason why a command may not run now, in Redis's order.

    Returns False when the command was queued or postponed and must not be called now; raises what is to be answered.
    """
    mask = _flags(ctx, command, argv)
    name = command.name
    if ctx.flags & (flags.CLOSE_AFTER_REPLY | flags.CLOSE_ASAP):
        return False
    if mask & PROTECTED:
        node.check_protected(ctx, command)
    if not ctx.authenticated and not mask & NO_AUTH:
        raise ReplyError(NOAUTH)
    if ctx.flags & flags.MULTI and mask & NO_MULTI:
        raise ReplyError(b"ERR Command not allowed inside a transaction")
    denied = node.acl.refusal(ctx, command, argv)
    if denied is not None:
        raise denied
    if node.gated:
        if node.cluster_enabled and not ctx.flags & flags.MASTER:
            node.check_cluster(ctx, command, argv)
        if node.config.maxmemory_clients:
            outer = node.executing, node.executing_argv
            node.executing, node.executing_argv = ctx, argv  # what it asks for counts, however quickly it came
            node.limits.evict()
            node.executing, node.executing_argv = outer
            if ctx.halted:
                return False  # it was the largest itself
        if (
            node.config.maxmemory
            and not node.busy
            and not node.make_room(command, ctx)
            and _denied_by_memory(ctx, command, mask)
        ):
            raise ReplyError(OOM)
        may_write = mask & WRITE or (name == b"exec" and _queue_has(ctx, WRITE))
        if may_write:
            refusal = node.write_refusal(ctx, command)
            if refusal is not None:
                raise ReplyError(refusal)
            if (
                node.read_only_replica
                and not ctx.flags & flags.MASTER
                and (mask & WRITE or (name == b"exec" and _queue_has(ctx, WRITE)))
            ):
                raise ReplyError(READONLY)
    if ctx.flags & flags.PUBSUB and ctx.resp == 2 and name not in _SUBSCRIBED_COMMANDS:
        raise ReplyError(
            b"ERR Can't execute '%b': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
            b"in this context" % name
        )
    if node.gated:
        if node.stale and not _allowed(ctx, command, mask, STALE):
            raise ReplyError(b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")
        if node.load is not None:
            if node.load.asynchronous:
                refused = mask & NO_ASYNC_LOADING or (name == b"exec" and _queue_has(ctx, NO_ASYNC_LOADING))
            else:
                refused = not _allowed(ctx, command, mask, ALLOWED_WHILE_LOADING)
            if refused:
                raise ReplyError(LOADING)
        if node.busy and not mask & ALLOW_BUSY:
            raise ReplyError(node.busy_error())
    if ctx.flags & flags.REPLICA and mask & _KEYSPACE:
        raise ReplyError(b"ERR Replica can't interact with the keyspace")
    if node.gated and node.pauses.active:
        changes = bool(mask & _CHANGES) or (name == b"exec" and _queue_has(ctx, _CHANGES))
        if node.pauses.postpones(ctx, command, argv, changes):
            return False
    if ctx.queue is not None and name not in _NEVER_QUEUED:
        ctx.queue.append((command, argv))
        ctx.reply(QUEUED)
        return False
    return True


_SUBSCRIBED_COMMANDS = frozenset(
    (
        b"ping",
        b"subscribe",
        b"ssubscribe",
        b"sunsubscribe",
        b"unsubscribe",
        b"psubscribe",
        b"punsubscribe",
        b"quit",
        b"reset",
    )
)
_CHANGES = WRITE | MAY_REPLICATE
_KEYSPACE = _CHANGES | READONLY_COMMAND
_SCRIPT_RUNNERS = frozenset((b"eval", b"eval_ro", b"evalsha", b"evalsha_ro", b"fcall", b"fcall_ro"))
_NEVER_QUEUED = frozenset((b"exec", b"discard", b"multi", b"watch", b"quit", b"reset"))


def _flags(ctx: "Client", command: Command, argv: Argv) -> int:
    """Return a command's flags; those of a script or function depend on what it declares."""
    return ctx.node.scripting.flags_of(command, argv) if command.name in _SCRIPT_RUNNERS else command.flags


def _queue_has(ctx: "Client", mask: int) -> bool:
    return any(_flags(ctx, command, argv) & mask for command, argv in ctx.queue or ())


def _allowed(ctx: "Client", command: Command, flags_of_it: int, mask: int) -> bool:
    """Tell whether a command has a flag that lets it run; for EXEC, all that is queued must have it too."""
    if not flags_of_it & mask:
        return False
    return command.name != b"exec" or all(_flags(ctx, queued, argv) & mask for queued, argv in ctx.queue or ())


def _denied_by_memory(ctx: "Client", command: Command, mask: int) -> bool:
    if command.name == b"exec":
        return _queue_has(ctx, DENYOOM)
    if ctx.queue is not None and command.name not in _NEVER_QUEUED:
        # Queueing itself takes memory: refuse whatever is not sure to free it.
        return command.name != b"discard"
    return bool(mask & DENYOOM)


def call(node: "Node", ctx: "Client", command: Command, argv: Argv) -> Reply:
    """Run a command's handler: time it, count it, propagate what it changed. Errors come back as values."""
    space = node.space
    dirty = space.dirty
    outer, node.executing = node.executing, ctx
    outer_command, ctx.current = ctx.current, command
    outer_argv, node.executing_argv = node.executing_argv, argv
    started = node.mark_us
    try:
        reply = command.handler(ctx, argv)
    except Exception as error:
        reply = _error(node, command, argv, error)
    node.executing = outer
    ctx.current = outer_command
    node.executing_argv = outer_argv
    node.mark_us = stopped = node.stopwatch()
    elapsed = stopped - started
    stats = node.stats_of(command)
    if type(reply) is not NoReply or ctx.blocking is None:
        stats.durations.append(elapsed)
    else:
        ctx.blocking.spent_us += elapsed  # a blocked call is counted once, when it ends
    if type(reply) is ReplyError:
        _count_failure(node, stats, reply)
    if elapsed >= node.slow_us and ctx.blocking is None:
        node.slow_command(ctx, command, argv, elapsed)
    if node.monitors.clients and not ctx.flags & flags.REEXECUTING:
        node.monitors.feed(ctx, command, argv)
    if node.tracks and command.flags & READONLY_COMMAND:
        node.tracking.remember(node.script_caller or ctx, command, argv)
    if node.observers:
        node.emit(CommandExecuted(node.now_us, ctx.id, ctx.db.index, argv, reply, elapsed))
    if space.dirty != dirty or node.force_propagation or node.instead is not None:
        node.propagate_call(ctx, argv, space.dirty != dirty)
    return reply


def _error(node: "Node", command: Command, argv: Argv, error: Exception) -> ReplyError:
    """Return what is answered for an exception of a handler: itself, or that something is wrong with us."""
    if isinstance(error, ReplyError):
        error.__traceback__ = None
        return error
    node.internal_error(command, argv, error, traceback.format_exc())
    return ReplyError(b"ERR internal error in '%b': %b" % (command.name, type(error).__name__.encode()))


def _count_failure(node: "Node", stats: CommandStats, error: ReplyError) -> None:
    stats.failed += 1
    if not error.counted:
        node.count_error(error)


__all__ = ["EXECABORT", "call", "find_command", "gates", "process", "process_gated", "reject"]
