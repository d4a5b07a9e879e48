"""Blocked clients: waiting for keys, for replicas, for time.

A blocking command that finds no data returns `ctx.block(…)`. When one of its keys becomes ready, the same command is
simply run again with the same arguments (`Dispatch.serve_ready`); if another client was faster and there is no data,
it blocks again, at the end of the queue but with its original deadline. So each command has only one implementation,
blocked or not.

Order: keys are served in the order in which they became ready, and the clients of a key in the order in which they
blocked, after each command or, in a transaction, after EXEC.

https://redis.io/docs/latest/commands/blpop/
"""

from typing import Final, Protocol

from engine.clients import client as flags
from engine.clients.client import (
    BLOCKED_LIST,
    BLOCKED_STREAM,
    BLOCKED_WAIT,
    BLOCKED_WAITAOF,
    BLOCKED_ZSET,
    Blocking,
    Client,
)
from engine.core import Core
from engine.protocol.errors import ReplyError
from engine.protocol.resp import NULL_ARRAY, Reply

_KEY_KINDS: Final = (BLOCKED_LIST, BLOCKED_ZSET, BLOCKED_STREAM)


class Acknowledgements(Protocol):
    """The progress of replicas and disks that WAIT and WAITAOF wait for."""

    def end_waiting(self, client: Client, why: Blocking) -> None:
        """Reply to a WAIT or WAITAOF that has timed out with the number reached."""


class Waiting:
    """The blocked clients of a node, and the keys that became ready."""

    acknowledgements: Acknowledgements

    def __init__(self, core: Core, clients: dict[int, Client]) -> None:
        self.clients = clients
        self.space = core.space
        self.clock = core.clock
        self.timers = core.timers
        self.stats = core.stats
        self.ready: dict[tuple[int, bytes], None] = {}
        self.count = 0
        self.resumable: dict[int, None] = {}  # clients with queued requests that may run again
        self.reblocking: Blocking | None = None  # the original wait of the client whose command is running again
        self.acks_due = False  # an acknowledgement arrived, which may satisfy a WAIT, or one is needed
        self.ask_for_acks = False  # a WAIT needs to know the offsets of the replicas
        self.stalled_until_us = 0  # end of the last DEBUG SLEEP: blocked clients are then served as of that time

    def block(self, client: Client, blocking: Blocking) -> None:
        """Block the client of the running command."""
        before = self.reblocking
        if before is not None and client.flags & flags.REEXECUTING:
            blocking.until_us = before.until_us
            blocking.since_us = before.since_us
        else:
            blocking.since_us = self.clock.monotonic_us
        blocking.command = client.current
        client.blocking = blocking
        client.flags |= flags.BLOCKED
        client.halted = True
        self.count += 1
        if blocking.until_us is not None:
            blocking.timer = self.timers.at(blocking.until_us, "waiting.time_is_up", client.id)
        db = self.space.databases[blocking.db]
        for key in blocking.keys:
            waiters = db.blocked.get(key)
            if waiters is None:
                waiters = db.blocked[key] = {}
            waiters[client.id] = None

    def await_acks(self) -> None:
        """Ask the replicas for their offsets at the end of the round (WAIT)."""
        self.acks_due = self.ask_for_acks = True

    def unblock(self, client: Client) -> Blocking:
        """Remove a client from all queues; its queued requests run as soon as possible."""
        blocking = client.blocking
        assert blocking is not None
        db = self.space.databases[blocking.db]
        for key in blocking.keys:
            waiters = db.blocked.get(key)
            if waiters is not None:
                waiters.pop(client.id, None)
                if not waiters:
                    del db.blocked[key]
        if blocking.timer:
            self.timers.cancel(blocking.timer)
        client.blocking = None
        client.flags &= ~flags.BLOCKED
        client.halted = False
        self.count -= 1
        self.resumable[client.id] = None
        return blocking

    def time_is_up(self, client_id: int) -> None:
        """A blocked client's timeout has expired."""
        self.give_up(self.clients[client_id])

    def give_up(self, client: Client) -> None:
        """End a client's wait as if it had timed out."""
        blocking = client.blocking
        assert blocking is not None
        if blocking.kind in (BLOCKED_WAIT, BLOCKED_WAITAOF):
            self.acknowledgements.end_waiting(client, blocking)
            return
        self.unblock(client)
        self._count(blocking)
        _reply(client, timed_out_reply(blocking))

    def unblock_with_error(self, client: Client, error: ReplyError) -> None:
        """End a client's wait with an error (CLIENT UNBLOCK … ERROR, a role change)."""
        self._count(self.unblock(client), failed=True)
        self.stats.count_error(error)
        _reply(client, error)

    def answer(self, client: Client, reply: Reply) -> None:
        """End a client's wait with a reply."""
        self.unblock(client)
        _reply(client, reply)

    def _count(self, blocking: Blocking, failed: bool = False) -> None:
        """Count a blocked call that ended without running again."""
        if blocking.command is not None:
            stats = self.stats.of(blocking.command.name)
            stats.count(blocking.spent_us)
            stats.failed += failed


def timed_out_reply(blocking: Blocking) -> Reply:
    """Return the reply to a client whose wait timed out."""
    return NULL_ARRAY if blocking.kind in _KEY_KINDS else blocking.data


def _reply(client: Client, reply: Reply) -> None:
    client.reply(reply)
    client.end_reply_skip()
