"""Command dispatch: lookup, checks, call.

`process` is the single entry point for requests. `call` runs a handler, measures and counts it, and propagates its
changes; EXEC, scripts and blocked clients also use it.

    bytes → parser → argv → process: look up → arity → checks → call: handler → reply value → encoder → bytes

Speed: if no check applies (neither to the client nor to the node: `needs_checks`), a single test replaces all checks,
and a whole pipeline runs in one loop.
"""

import traceback
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from engine.clients import client as flags
from engine.clients.acl import Acl
from engine.clients.blocking import Waiting
from engine.clients.client import Blocking, Client
from engine.clients.conditions import Conditions
from engine.clients.execution import NO_ARGV
from engine.clients.limits import ClientLimits
from engine.clients.monitor import Monitors
from engine.clients.propagation import Propagation, StreamOffsets
from engine.clients.tracking import Tracking
from engine.clients.transactions import Transactions
from engine.core import Core
from engine.execution.checks import Checks
from engine.keyspace.databases import STRING_TYPES, TOUCH_NOT, Database
from engine.observe.events import CommandExecuted, OffsetAdvanced
from engine.observe.stats import CommandStats
from engine.protocol.errors import EXECABORT, ReplyError, c_text, wrong_arity
from engine.protocol.resp import ENCODERS, Argv, NoReply, Reply
from engine.table.declarations import (
    FAST,
    PROTECTED,
    SKIP_SLOWLOG,
    TOUCHES_ARBITRARY_KEYS,
    Command,
)
from engine.table.declarations import READONLY as READONLY_COMMAND

NEVER_SLOW: Final = 1 << 62


def find_command(commands: dict[bytes, Command], argv: Argv) -> Command:
    """Return the command or subcommand of a request; raises Redis's error for an unknown one."""
    command = commands.get(argv[0]) or commands.get(argv[0].lower())
    if command is None:
        raise ReplyError(_unknown_command(argv))
    if command.subcommands is not None and len(argv) > 1:
        subcommand = command.subcommands.get(argv[1].lower())
        if subcommand is None:
            raise ReplyError(
                b"ERR unknown subcommand '%b'. Try %b HELP." % (c_text(argv[1])[:128], command.name.upper())
            )
        return subcommand
    return command


def _unknown_command(argv: Argv) -> bytes:
    args = b""
    for arg in argv[1:]:
        if len(args) >= 128:
            break
        args += b"'%b' " % arg[: 128 - len(args)]
    return b"ERR unknown command '%b', with args beginning with: %b" % (argv[0][:128], args)


class Refusals(Protocol):
    """Explains why commands are refused."""

    def tell_refused(self, client: Client, error: bytes) -> None:
        """Report to observers why a command was refused, if replication is the reason."""


class Dispatch:
    """Runs the commands of a node's clients."""

    refusals: Refusals
    out_of_memory: Callable[[], None]

    def __init__(
        self,
        core: Core,
        commands: dict[bytes, Command],
        propagation: Propagation,
        offsets: StreamOffsets,
        conditions: Conditions,
        checks: Checks,
        waiting: Waiting,
        acl: Acl,
        limits: ClientLimits,
        monitors: Monitors,
        tracking: Tracking,
        transactions: Transactions,
    ) -> None:
        self.commands = commands
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.space = core.space
        self.stats = core.stats
        self.latency = core.latency
        self.slowlog = core.slowlog
        self.events = core.events
        self.propagation = propagation
        self.execution = propagation.execution
        self.offsets = offsets
        self.conditions = conditions
        self.checks = checks
        self.waiting = waiting
        self.acl = acl
        self.limits = limits
        self.monitors = monitors
        self.tracking = tracking
        self.transactions = transactions
        self.slow_us = NEVER_SLOW  # the lower of the limits of slow log and latency monitor

    def process(self, ctx: Client, requests: Iterator[Argv]) -> None:
        """Run requests of a client in order and queue their replies, until there are no more or the client must wait.

        Commands that need no checks run here, in one loop for a whole pipeline. `call` does the same for one command,
        and also serves MONITOR, tracking and observers, which make checks necessary.
        """
        commands = self.commands
        conditions = self.conditions
        space = self.space
        stopwatch = self.clock.stopwatch
        all_stats = self.stats.commands
        routes = self.checks.routes
        encoders = ENCODERS[ctx.resp]
        execution, propagation = self.execution, self.propagation
        started = execution.clock_us
        for argv in requests:
            command = commands.get(argv[0])
            checked = conditions.needs_checks
            if (
                command is None
                or command.special
                or ctx.needs_checks
                or (checked and (checked < 0 or command.flags & checked))
                or (routes is not None and command.routed and not routes.serves(command, argv))
            ):
                execution.client = None
                self.process_checked(ctx, argv)
                if ctx.halted:
                    return
                encoders = ENCODERS[ctx.resp]
                started = execution.clock_us
                continue
            count = len(argv)
            arity = command.arity
            if count != arity and (arity > 0 or count < -arity):
                self.reject(ctx, command, argv, wrong_arity(command.name))
                continue
            ctx.current = command
            execution.client = ctx
            execution.argv = argv
            dirty = space.dirty
            try:
                reply = command.handler(ctx, argv)
            except Exception as error:
                reply = self._error(command, argv, error)
            execution.clock_us = stopped = stopwatch()
            elapsed = stopped - started
            started = stopped
            kind = type(reply)
            stats = all_stats.get(command.name) or self.stats.of(command.name)
            if kind is NoReply and ctx.blocking is not None:
                ctx.blocking.spent_us += elapsed
            else:
                try:
                    stats.calls_by_us[elapsed] += 1
                except IndexError:
                    stats.count(elapsed)
                if elapsed >= self.slow_us:
                    self._slow(ctx, command, argv, elapsed)
            if (propagation.active and space.dirty != dirty) or execution.override is not None:
                propagation.command(ctx.db.index, argv, space.dirty != dirty)
            if kind is bytes:
                data = b"$%d\r\n%b\r\n" % (len(reply), reply)
            else:
                if kind is ReplyError:
                    self._count_failure(stats, reply)
                data = encoders[kind](reply)
            if ctx.out:
                ctx.out.append(data)
            elif data:
                ctx.write(data)
            if execution.post_execution:
                execution.client = None
                if ctx.push_after or ctx.invalidations:
                    self._flush_pushes(ctx)
                self.post_execution(command)
                ctx.written_offset = self.offsets.offset
                started = execution.clock_us
            if ctx.halted:
                break
        execution.client = None
        execution.argv = NO_ARGV

    def process_checked(self, ctx: Client, argv: Argv) -> None:
        """Run one request that needs checks, and queue its reply."""
        asked = ctx.flags & flags.ASKING
        self._run_checked(ctx, argv)
        if asked and not ctx.flags & flags.MULTI:
            command = ctx.current
            if command is None or command.name != b"asking":  # it is for one command
                ctx.flags &= ~flags.ASKING
                ctx.update_checks()
        ctx.end_reply_skip()

    def _run_checked(self, ctx: Client, argv: Argv) -> None:
        command = self.commands.get(argv[0])
        if command is None or command.subcommands is not None:
            try:
                command = find_command(self.commands, argv)
            except ReplyError as error:
                ctx.current = None
                if ctx.link and argv[0].lower() in (b"post", b"host:"):
                    self.limits.refuse_browser(ctx)
                else:
                    self.reject(ctx, None, argv, error)
                return
        if not command.takes(len(argv)):
            self.reject(ctx, command, argv, wrong_arity(command.name))
            return
        ctx.current = command
        routed = self.checks.routes is not None
        if ctx.needs_checks or self.conditions.needs_checks or routed or command.flags & PROTECTED:
            try:
                passed = self.checks.passes(ctx, command, argv)
            except ReplyError as error:
                self.reject(ctx, command, argv, error)
                return
            if not passed:
                return
        if ctx.needs_checks:
            reply = self._call_checked(ctx, command, argv)
        else:
            reply = self.call(ctx, command, argv)
        if type(reply) is not NoReply:
            ctx.reply(reply)
        if ctx.push_after or ctx.invalidations:
            self._flush_pushes(ctx)
        if self.execution.post_execution:
            self.post_execution(command)
            offset = self.offsets.offset
            if self.events.observers and offset != ctx.written_offset and not ctx.flags & flags.MASTER:
                self.events.emit(OffsetAdvanced(self.clock.now_us, offset))
            ctx.written_offset = offset

    def apply(self, ctx: Client, argv: Argv) -> None:
        """Run a command of the master's stream, which needs hardly any checks outside a transaction."""
        command = self.commands.get(argv[0])
        plain = (
            command is not None and not command.special and ctx.queue is None and self.conditions.needs_checks >= 0
        )
        if command is None or not plain or not command.takes(len(argv)):
            self.process_checked(ctx, argv)
            return
        ctx.current = command
        reply = self.call(ctx, command, argv)
        if type(reply) is ReplyError:
            ctx.reply(reply)
        if self.execution.post_execution:
            self.post_execution(command)

    def _call_checked(self, ctx: Client, command: Command, argv: Argv) -> Reply:
        """Run a command of a client with special options: NO-TOUCH, CLIENT CACHING."""
        space = self.space
        touch = space.touch
        if ctx.flags & flags.NO_TOUCH and command.name != b"touch":
            space.touch = TOUCH_NOT
        reply = self.call(ctx, command, argv)
        if space.touch == TOUCH_NOT:
            space.touch = touch
        self._end_caching(ctx, command)
        return reply

    @staticmethod
    def _end_caching(ctx: Client, command: Command | None) -> None:
        """End CLIENT CACHING, which applies to the next command or transaction other than CLIENT commands."""
        if not ctx.flags & flags.TRACKING_CACHING or ctx.flags & flags.MULTI:
            return
        if command is None or not command.name.startswith(b"client"):
            ctx.flags &= ~flags.TRACKING_CACHING

    def reject(self, ctx: Client, command: Command | None, argv: Argv, error: ReplyError) -> None:
        """Reply with an error to a request that did not pass the checks; inside MULTI this aborts the transaction."""
        if ctx.queue is not None and (command is None or command.name != b"exec"):
            ctx.flags |= flags.DIRTY_EXEC
        elif command is not None and command.name == b"exec":
            # A rejected EXEC ends its transaction and replies with the reason.
            self.transactions.discard(ctx)
            if not error.redirects:
                error = ReplyError(b"EXECABORT Transaction discarded because of: " + error.text.removeprefix(b"ERR "))
        self._end_caching(ctx, command)
        if command is not None:
            self.stats.of(command.name).rejected += 1
        if self.events.observers:
            self.refusals.tell_refused(ctx, error.text)
        self.stats.count_error(error)
        ctx.reply(error)
        if command is not None and command.name == b"exec":
            self.monitors.show(ctx, argv, at_once=True)  # they have seen the MULTI

    def call(self, ctx: Client, command: Command, argv: Argv) -> Reply:
        """Run a command's handler, measure and count it, and propagate its changes. Errors are returned as values."""
        space = self.space
        dirty = space.dirty
        execution = self.execution
        outer = execution.enter(ctx, argv)
        outer_command, ctx.current = ctx.current, command
        started = execution.clock_us
        try:
            reply = command.handler(ctx, argv)
        except Exception as error:
            reply = self._error(command, argv, error)
        execution.leave(outer)
        ctx.current = outer_command
        execution.clock_us = stopped = self.clock.stopwatch()
        elapsed = stopped - started
        stats = self.stats.of(command.name)
        if type(reply) is not NoReply or ctx.blocking is None:
            try:
                stats.calls_by_us[elapsed] += 1
            except IndexError:
                stats.count(elapsed)
        else:
            ctx.blocking.spent_us += elapsed  # a blocked call is counted once, when it ends
        if type(reply) is ReplyError:
            self._count_failure(stats, reply)
        if elapsed >= self.slow_us and ctx.blocking is None:
            self._slow(ctx, command, argv, elapsed)
        if self.monitors.clients and not ctx.flags & flags.REEXECUTING:
            self.monitors.feed(ctx, command, argv)
        if self.conditions.tracked and command.flags & READONLY_COMMAND:
            self.tracking.remember(execution.script_caller or ctx, command, argv)
        if self.events.observers:
            wrote = space.dirty != dirty and outer[0] is None
            self.events.emit(CommandExecuted(self.clock.now_us, ctx.id, ctx.db.index, argv, reply, elapsed, wrote))
        propagation = self.propagation
        if (propagation.active and space.dirty != dirty) or execution.override is not None:
            propagation.command(ctx.db.index, argv, space.dirty != dirty)
        return reply

    def _error(self, command: Command, argv: Argv, error: Exception) -> ReplyError:
        """Return the reply for an exception raised by a handler: the ReplyError itself, or an internal error."""
        if isinstance(error, ReplyError):
            # The traceback would keep the local variables of its frames alive, and through them the error itself.
            error.__traceback__ = error.__context__ = error.__cause__ = None
            return error
        if isinstance(error, MemoryError):
            # The command may have been interrupted halfway: do not reply, propagate or write any of it.
            error.__traceback__ = None
            self.out_of_memory()
        else:
            self._internal_error(argv)
        return ReplyError(b"ERR internal error in '%b': %b" % (command.name, type(error).__name__.encode()))

    def _count_failure(self, stats: CommandStats, error: ReplyError) -> None:
        stats.failed += 1
        if not error.counted:
            self.stats.count_error(error)

    def _internal_error(self, argv: Argv) -> None:
        """Log a handler's unexpected exception; the server continues."""
        shown = " ".join(repr(arg[:64])[1:] for arg in argv[:8])
        self.output.log("#", f"Internal error in command {shown}: {traceback.format_exc()}")

    def _flush_pushes(self, ctx: Client) -> None:
        """Send the messages that were held back until after the reply of a command."""
        ctx.flush_pushes()
        if ctx.invalidations:
            self.tracking.send_postponed(ctx)

    def configured(self) -> None:
        """Apply the limits of slow log and latency monitor."""
        config = self.config
        limits = [config.slowlog_log_slower_than] if config.slowlog_log_slower_than >= 0 else []
        self.latency.threshold_ms = config.latency_monitor_threshold
        if config.latency_monitor_threshold:
            limits.append(config.latency_monitor_threshold * 1000)
        self.slow_us = min(limits, default=NEVER_SLOW)

    def _slow(self, ctx: Client, command: Command, argv: Argv, elapsed_us: int) -> None:
        """Record a command that exceeded the limit of the slow log or of the latency monitor."""
        config = self.config
        self.latency.took(b"fast-command" if command.flags & FAST else b"command", elapsed_us, self.clock.now_us)
        limit_us = config.slowlog_log_slower_than
        if 0 <= limit_us <= elapsed_us and not command.flags & SKIP_SLOWLOG:
            shown = self.execution.shown(argv)
            who = self.execution.script_caller or ctx
            self.slowlog.note(
                self.clock.now_us // 1_000_000, elapsed_us, shown, who.peer.encode(), who.name, config.slowlog_max_len
            )

    # --- after a command ----------------------------------------------------------------------------------------

    def post_execution(self, command: Command | None = None) -> None:
        """End an execution unit: propagate its changes, serve blocked clients."""
        self.execution.post_execution = False
        ctx = self.execution.client
        if self.propagation.pending:
            self.propagation.flush(command is None or not command.flags & TOUCHES_ARBITRARY_KEYS)
        if self.waiting.ready and ctx is None:
            if self.waiting.stalled_until_us > self.clock.monotonic_us:
                self.clock.set(self.waiting.stalled_until_us)
                self.space.now_ms = self.clock.now_ms
            self.serve_ready()

    def serve_ready(self) -> None:
        """Run the commands of blocked clients whose keys are ready, until there are no more."""
        waiting = self.waiting
        while waiting.ready:
            ready, waiting.ready = waiting.ready, {}
            for index, key in ready:
                db = self.space.databases[index]
                waiters = db.blocked.get(key)
                if not waiters:
                    continue
                for client_id in list(waiters):
                    client = waiting.clients[client_id]
                    if client.blocking is not None and _wakes(db, key, client.blocking):
                        self._run_again(client)

    def _run_again(self, client: Client) -> None:
        """Run the command of a blocked client again."""
        waiting, execution = self.waiting, self.execution
        blocking = waiting.unblock(client)
        assert blocking.command is not None
        client.flags |= flags.REEXECUTING
        waiting.reblocking = blocking
        execution.clock_us = self.clock.stopwatch()
        denied = None if client.user is None else self.acl.refusal(client, blocking.command, blocking.argv)
        if denied is not None:
            # Its permissions were revoked while it waited.
            self.stats.of(blocking.command.name).rejected += 1
            self.stats.count_error(denied)
            reply: Reply = denied
        else:
            reply = self.call(client, blocking.command, blocking.argv)
        waiting.reblocking = None
        client.flags &= ~flags.REEXECUTING
        if type(reply) is not NoReply:
            client.reply(reply)
        if client.push_after or client.invalidations:
            self._flush_pushes(client)
        client.end_reply_skip()
        if client.blocking is not None:
            waiting.resumable.pop(client.id, None)
        if self.propagation.pending:
            self.propagation.flush()


def _wakes(db: Database, key: bytes, blocking: Blocking) -> bool:
    # Read-only: an expired key unblocks no client, but is not deleted here.
    value = db.held(key)
    if value is None or db.expires.get(key, db.space.now_ms + 1) <= db.space.now_ms:
        return blocking.on_nokey
    if type(value) in STRING_TYPES:
        return blocking.on_nokey
    return bool(value.type_name == blocking.kind) or blocking.on_nokey


__all__ = ["EXECABORT", "Dispatch", "find_command"]
