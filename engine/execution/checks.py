"""The checks before a command: `passes` reads as the list of reasons for not running it now."""

from typing import Final, Protocol

from engine.clients import client as flags
from engine.clients.acl import Acl
from engine.clients.client import Client
from engine.clients.conditions import Conditions
from engine.clients.execution import Execution
from engine.clients.limits import ClientLimits
from engine.clients.pauses import Pauses
from engine.config import Config
from engine.execution.eviction import Eviction
from engine.protocol.errors import LOADING, NOAUTH, NOREPLICAS, OOM, READONLY, ReplyError
from engine.protocol.resp import QUEUED, Argv
from engine.table.declarations import (
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
from engine.table.declarations import LOADING as ALLOWED_WHILE_LOADING
from engine.table.declarations import READONLY as READONLY_COMMAND

_SUBSCRIBED_COMMANDS: Final = frozenset(
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
_CHANGES: Final = WRITE | MAY_REPLICATE
_KEYSPACE: Final = _CHANGES | READONLY_COMMAND
_SCRIPT_RUNNERS: Final = frozenset((b"eval", b"eval_ro", b"evalsha", b"evalsha_ro", b"fcall", b"fcall_ro"))
_NEVER_QUEUED: Final = frozenset((b"exec", b"discard", b"multi", b"watch", b"quit", b"reset"))


class Scripts(Protocol):
    """The known scripts, and the running one."""

    def flags_of(self, command: Command, argv: Argv) -> int:
        """Return the flags of EVAL, FCALL …, derived from the flags of the script."""

    def busy_error(self) -> bytes:
        """Return the error for clients while a script is busy."""


class PersistenceStatus(Protocol):
    """Whether changes are written to disk."""

    def check_disk(self, ctx: Client, command: Command) -> None:
        """Reject a write or a PING while writes cannot be persisted; raises ReplyError."""


class Replicas(Protocol):
    """The replicas that receive the changes."""

    @property
    def too_few_replicas(self) -> bool:
        """Whether writes are refused because of min-replicas-to-write."""


class Routes(Protocol):
    """Where commands run in a cluster."""

    def serves(self, command: Command, argv: Argv) -> bool:
        """Tell whether it is certain at a glance that a command with keys may run here; `check` decides if not."""

    def check(self, ctx: Client, command: Command, argv: Argv, command_flags: int) -> None:
        """Raise an error unless a command may run here."""


class Checks:
    """The checks of a node."""

    scripts: Scripts
    disk: PersistenceStatus
    replicas: Replicas

    def __init__(
        self,
        config: Config,
        conditions: Conditions,
        execution: Execution,
        acl: Acl,
        limits: ClientLimits,
        pauses: Pauses,
        eviction: Eviction,
    ) -> None:
        self.routes: Routes | None = None  # in a cluster
        self.config = config
        self.conditions = conditions
        self.execution = execution
        self.acl = acl
        self.limits = limits
        self.pauses = pauses
        self.eviction = eviction

    def passes(self, ctx: Client, command: Command, argv: Argv) -> bool:
        """Check all reasons for not running a command now, in Redis's order.

        Returns False if the command was queued or postponed and must not be called now; raises the error reply.
        """
        conditions = self.conditions
        mask = self._flags(command, argv)
        if ctx.flags & (flags.CLOSE_AFTER_REPLY | flags.CLOSE_ASAP):
            return False
        self._check_permission(ctx, command, argv, mask)
        if self.routes is not None and not ctx.flags & (flags.MASTER | flags.INTERNAL):
            self.routes.check(ctx, command, argv, mask)
        if conditions.needs_checks:
            if self.config.maxmemory_clients and self._evicted(ctx, argv):
                return False
            self._check_memory(ctx, command, mask)
            self._check_writing(ctx, command, mask)
        if ctx.flags & flags.PUBSUB and ctx.resp == 2 and command.name not in _SUBSCRIBED_COMMANDS:
            raise ReplyError(
                b"ERR Can't execute '%b': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
                b"in this context" % command.name
            )
        if conditions.needs_checks:
            self._check_data_set(ctx, command, mask)
        if ctx.flags & flags.REPLICA and mask & _KEYSPACE:
            raise ReplyError(b"ERR Replica can't interact with the keyspace")
        if conditions.needs_checks and conditions.paused:
            changes = self._contains(ctx, command, mask, _CHANGES)
            if self.pauses.postpones(ctx, command, argv, changes):
                return False
        if ctx.queue is not None and command.name not in _NEVER_QUEUED:
            ctx.queue.append((command, argv))
            ctx.reply(QUEUED)
            return False
        return True

    def _check_permission(self, ctx: Client, command: Command, argv: Argv, mask: int) -> None:
        """Refuse what this client may not run, whatever the state of the node."""
        if mask & PROTECTED:
            self._check_protected(ctx, command)
        if not ctx.authenticated and not mask & NO_AUTH:
            raise ReplyError(NOAUTH)
        if ctx.flags & flags.MULTI and mask & NO_MULTI:
            raise ReplyError(b"ERR Command not allowed inside a transaction")
        denied = self.acl.refusal(ctx, command, argv)
        if denied is not None:
            raise denied

    def _evicted(self, ctx: Client, argv: Argv) -> bool:
        """Evict the largest clients if all of them use too much memory. Returns whether this client was evicted."""
        outer = self.execution.enter(ctx, argv)  # the request counts even if it arrived in one piece
        self.limits.evict()
        self.execution.leave(outer)
        return ctx.halted

    def _check_memory(self, ctx: Client, command: Command, mask: int) -> None:
        """Evict keys if the data set is too large; refuse commands that would use more memory if that fails."""
        if (
            self.config.maxmemory
            and not self.conditions.busy
            and not self.eviction.make_room()
            and self._denied_by_memory(ctx, command, mask)
        ):
            raise ReplyError(OOM)

    def _check_writing(self, ctx: Client, command: Command, mask: int) -> None:
        """Refuse writes that cannot be persisted or replicated, and all writes of clients on a read-only replica."""
        may_write = self._contains(ctx, command, mask, WRITE)
        if may_write or command.name == b"ping":  # PING: so Sentinel sees a master that cannot save as down
            self.disk.check_disk(ctx, command)
        if may_write:
            if self.replicas.too_few_replicas:
                raise ReplyError(NOREPLICAS)
            if self.conditions.read_only_replica and not ctx.flags & flags.MASTER:
                raise ReplyError(READONLY)

    def _check_data_set(self, ctx: Client, command: Command, mask: int) -> None:
        """Refuse commands while the data set is out of date, being loaded, or in use by a busy script."""
        conditions = self.conditions
        if conditions.stale and not self._allowed(ctx, command, mask, STALE):
            raise ReplyError(b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")
        if conditions.load is not None:
            if conditions.load.asynchronous:
                refused = self._contains(ctx, command, mask, NO_ASYNC_LOADING)
            else:
                refused = not self._allowed(ctx, command, mask, ALLOWED_WHILE_LOADING)
            if refused:
                raise ReplyError(LOADING)
        if conditions.busy and not mask & ALLOW_BUSY:
            raise ReplyError(self.scripts.busy_error())

    def _check_protected(self, ctx: Client, command: Command) -> None:
        """Refuse DEBUG and MODULE unless the configuration allows them for this client."""
        setting = self.config.enable_debug_command if command.name.startswith(b"debug") else "no"
        local = ctx.kind == "unix" or ctx.peer.startswith(("127.", "[::1]"))
        if setting == "yes" or (setting == "local" and local):
            return
        name = command.name.split(b"|")[0]
        raise ReplyError(
            b'ERR %b command not allowed. If the enable-%b-command option is set to "local", you can run it from '
            b"a local connection, otherwise you need to set this option in the configuration file, and then restart "
            b"the server." % (name.upper(), name)
        )

    def _flags(self, command: Command, argv: Argv) -> int:
        """Return a command's flags; those of a script or function depend on its declaration."""
        return self.scripts.flags_of(command, argv) if command.name in _SCRIPT_RUNNERS else command.flags

    def _queue_has(self, ctx: Client, mask: int) -> bool:
        return any(self._flags(command, argv) & mask for command, argv in ctx.queue or ())

    def _contains(self, ctx: Client, command: Command, flags_of_it: int, mask: int) -> bool:
        """Return whether a command has one of the flags; for EXEC, whether it or a queued command has."""
        return bool(flags_of_it & mask) or (command.name == b"exec" and self._queue_has(ctx, mask))

    def _allowed(self, ctx: Client, command: Command, flags_of_it: int, mask: int) -> bool:
        """Return whether a command has a flag that allows it; for EXEC, all queued commands must have it."""
        if not flags_of_it & mask:
            return False
        return command.name != b"exec" or all(self._flags(queued, argv) & mask for queued, argv in ctx.queue or ())

    def _denied_by_memory(self, ctx: Client, command: Command, mask: int) -> bool:
        if command.name == b"exec":
            return self._queue_has(ctx, DENYOOM)
        if ctx.queue is not None and command.name not in (b"discard", b"quit", b"reset"):
            return True  # queueing takes memory, too
        return bool(mask & DENYOOM)
