"""Clients that are made to wait: CLIENT PAUSE, failover, shutdown.

Each purpose has its own end and mode; together they pause the union. A paused client's command is postponed, not
refused: it runs, with all that came after it, when the pause ends. While any pause is on no key expires and none is
evicted, so that the data set stands still for whoever is to take over.

https://redis.io/docs/latest/commands/client-pause/
"""

from typing import TYPE_CHECKING

from engine import client as flags
from engine.client import BLOCKED_POSTPONE, Blocking, Client
from engine.keyspace import EXPIRE_DELETE, EXPIRE_HIDE
from engine.resp import Argv
from engine.table import Command

if TYPE_CHECKING:
    from engine.node import Node

NEVER_MS = 1 << 62  # the end of a pause that somebody will end


class Pauses:
    """The pauses of a node."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.purposes: dict[bytes, tuple[int, bool]] = {}  # purpose -> (until ms, all commands)
        self.postponed: dict[int, None] = {}

    @property
    def active(self) -> bool:
        """Whether any pause is on."""
        return bool(self.purposes)

    @property
    def all_commands(self) -> bool:
        """Whether reads are paused too."""
        return any(everything for _, everything in self.purposes.values())

    def next_deadline(self) -> int:
        """Return when the next pause ends, in ms."""
        return min(until for until, _ in self.purposes.values())

    def pause(self, purpose: bytes, until_ms: int, everything: bool) -> None:
        """Start or prolong a pause: it never gets shorter, and its mode never milder."""
        if purpose in self.purposes:
            until, before = self.purposes[purpose]
            until_ms, everything = max(until, until_ms), everything or before
        self.purposes[purpose] = (until_ms, everything)
        self._apply()

    def end(self, purpose: bytes) -> None:
        """End a pause, if it is on."""
        if self.purposes.pop(purpose, None) is not None:
            self._apply()
            if not self.purposes:
                self._release()

    def wake_due(self) -> None:
        """End the pauses whose time is up."""
        for purpose, (until, _) in list(self.purposes.items()):
            if until <= self.node.now_ms:
                self.end(purpose)

    def _apply(self) -> None:
        self.node.space.expire_mode = EXPIRE_HIDE if self.active or self.node.is_replica else EXPIRE_DELETE
        self.node.update_gated()

    def postpones(self, ctx: Client, command: Command, argv: Argv, changes: bool) -> bool:
        """Postpone a command if it must wait, for it `changes` something or all must; True when that was done."""
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
        # It will be looked up and checked anew: permissions and roles may have changed by then.
        ctx.requests.appendleft(argv)
        self.node.waiting.count += 1
        self.postponed[ctx.id] = None
        return True

    def _release(self) -> None:
        node = self.node
        for client_id in list(self.postponed):
            client = node.clients.get(client_id)
            if client is not None and client.blocking is not None:
                client.blocking = None
                client.flags &= ~flags.BLOCKED
                client.halted = False
                node.waiting.count -= 1
                node.resumable[client_id] = None
        self.postponed.clear()
