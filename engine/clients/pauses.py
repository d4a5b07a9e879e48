"""Pausing clients: CLIENT PAUSE, failover, shutdown.

Each purpose has its own end and mode; together they pause the union. A paused client's command is postponed, not
refused: it runs when the pause ends, followed by the client's later requests. During a pause keys neither expire nor
are evicted, so the data set does not change before a handover.

https://redis.io/docs/latest/commands/client-pause/
"""

from engine.clients import client as flags
from engine.clients.blocking import Waiting
from engine.clients.client import BLOCKED_POSTPONE, Blocking, Client
from engine.clients.conditions import Conditions
from engine.core import Core
from engine.keyspace.databases import EXPIRE_DELETE, EXPIRE_HIDE
from engine.protocol.resp import Argv
from engine.table.declarations import Command


class Pauses:
    """The pauses of a node."""

    def __init__(self, core: Core, waiting: Waiting, conditions: Conditions) -> None:
        self.config = core.config
        self.timers = core.timers
        self.space = core.space
        self.waiting = waiting
        self.conditions = conditions
        self.purposes: dict[bytes, tuple[int, bool]] = {}  # purpose -> (ID of the timer that ends it, all commands)
        self.postponed: dict[int, None] = {}

    @property
    def active(self) -> bool:
        """Whether any pause is active."""
        return bool(self.purposes)

    @property
    def all_commands(self) -> bool:
        """Whether reads are also paused."""
        return any(everything for _, everything in self.purposes.values())

    def pause(self, purpose: bytes, until_us: int, everything: bool) -> None:
        """Start or extend a pause. An active pause never becomes shorter or less strict.

        It ends at a time of the monotonic clock, or with `NEVER_US` when `end` is called.
        """
        timers = self.timers
        if purpose in self.purposes:
            timer, before = self.purposes[purpose]
            everything = everything or before
            timers.put_off(timer, max(timers.due_us(timer), until_us))
        else:
            timer = timers.at(until_us, "pauses.end", purpose)
        self.purposes[purpose] = (timer, everything)
        self._apply()

    def end(self, purpose: bytes) -> None:
        """End a pause if it is active, and retry the postponed commands that no remaining pause holds back."""
        all_before = self.all_commands
        timer, _ = self.purposes.pop(purpose, (0, False))
        if timer:
            self.timers.cancel(timer)
            self._apply()
            if not self.purposes or all_before > self.all_commands:
                self._release()

    def _apply(self) -> None:
        self.update_expire_mode()
        self.conditions.paused = self.active
        self.conditions.update()

    def update_expire_mode(self) -> None:
        """Recompute what happens to expired keys: replicas and paused nodes hide them and do not delete them."""
        hidden = self.active or self.config.is_replica
        self.space.expire_mode = EXPIRE_HIDE if hidden else EXPIRE_DELETE

    def postpones(self, ctx: Client, command: Command, argv: Argv, changes: bool) -> bool:
        """Postpone a command if it `changes` data or all commands are paused. Returns whether it was postponed."""
        if ctx.flags & (flags.REPLICA | flags.MASTER | flags.DENY_BLOCKING):
            return False
        if not (changes or self.all_commands):
            return False
        blocking = Blocking(BLOCKED_POSTPONE, ctx.db.index, [], None)
        blocking.command = command
        blocking.argv = argv
        ctx.blocking = blocking
        ctx.flags |= flags.BLOCKED
        ctx.halted = True
        # It will be looked up and checked again: permissions and roles may have changed by then.
        ctx.requests.appendleft(argv)
        self.waiting.count += 1
        self.postponed[ctx.id] = None
        return True

    def _release(self) -> None:
        waiting = self.waiting
        for client_id in list(self.postponed):
            client = waiting.clients.get(client_id)
            if client is not None and client.blocking is not None:
                client.blocking = None
                client.flags &= ~flags.BLOCKED
                client.halted = False
                waiting.count -= 1
                waiting.resumable[client_id] = None
        self.postponed.clear()
