"""Clients that wait: for keys, for replicas, for time.

A blocking command that finds nothing returns `ctx.block(…)`. When a key of its becomes ready the same command is
simply run again with the same arguments; if it finds nothing this time (somebody was quicker) it blocks again, at
the end of the queue but with its first deadline. So there is one implementation of each command, blocked or not.

Order: keys are served in the order in which they became ready, clients of a key in the order in which they blocked,
after each command and, for a transaction, after EXEC.

https://redis.io/docs/latest/commands/blpop/
"""

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from engine import client as flags
from engine.client import (
    BLOCKED_LIST,
    BLOCKED_STREAM,
    BLOCKED_ZSET,
    Blocking,
    Client,
)
from engine.errors import ReplyError
from engine.keyspace import STRING_TYPES, Database
from engine.resp import NULL_ARRAY, NoReply, Reply

if TYPE_CHECKING:
    from engine.node import Node

_KEY_KINDS = (BLOCKED_LIST, BLOCKED_ZSET, BLOCKED_STREAM)


class Waiting:
    """A node's blocked clients: who waits until when, and which keys became ready."""

    def __init__(self) -> None:
        self.deadlines: list[tuple[int, int]] = []  # heap of (until_ms, client id), may be outdated
        self.ready: dict[tuple[int, bytes], None] = {}
        self.count = 0

    def next_deadline(self, clients: dict[int, Client]) -> int | None:
        """Return the earliest time in ms at which a blocked client gives up."""
        while self.deadlines:
            until, client_id = self.deadlines[0]
            client = clients.get(client_id)
            if client is not None and client.blocking is not None and client.blocking.until_ms == until:
                return until
            heappop(self.deadlines)
        return None


def block(node: "Node", client: Client, blocking: Blocking) -> None:
    """Block a client whose command runs now."""
    before = node.reblocking
    if before is not None and client.flags & flags.REEXECUTING:
        blocking.until_ms = before.until_ms
        blocking.since_us = before.since_us
    else:
        blocking.since_us = node.now_us
    blocking.command = client.current
    client.blocking = blocking
    client.flags |= flags.BLOCKED
    client.halted = True
    node.waiting.count += 1
    if blocking.until_ms is not None:
        heappush(node.waiting.deadlines, (blocking.until_ms, client.id))
    db = node.space.databases[blocking.db]
    for key in blocking.keys:
        waiters = db.blocked.get(key)
        if waiters is None:
            waiters = db.blocked[key] = {}
        waiters[client.id] = None


def unblock(node: "Node", client: Client) -> Blocking:
    """Take a client out of every queue; its waiting requests run at the next chance."""
    blocking = client.blocking
    assert blocking is not None
    db = node.space.databases[blocking.db]
    for key in blocking.keys:
        waiters = db.blocked.get(key)
        if waiters is not None:
            waiters.pop(client.id, None)
            if not waiters:
                del db.blocked[key]
    client.blocking = None
    client.flags &= ~flags.BLOCKED
    client.halted = False
    node.waiting.count -= 1
    node.resumable[client.id] = None
    return blocking


def timed_out_reply(blocking: Blocking) -> Reply:
    """Return what a client gets whose time is up."""
    return NULL_ARRAY if blocking.kind in _KEY_KINDS else blocking.data


def serve_ready(node: "Node") -> None:
    """Run the commands of clients whose keys became ready, until none is left."""
    waiting = node.waiting
    while waiting.ready:
        ready, waiting.ready = waiting.ready, {}
        for index, key in ready:
            db = node.space.databases[index]
            waiters = db.blocked.get(key)
            if not waiters:
                continue
            for client_id in list(waiters):
                client = node.clients[client_id]
                if client.blocking is not None and _wakes(db, key, client.blocking):
                    _run_again(node, client)


def _wakes(db: Database, key: bytes, blocking: Blocking) -> bool:
    # Only a look: a key whose time has come serves nobody, but it is not for us to remove it.
    entry = db.entries.get(key)
    if entry is None or (entry.expire is not None and entry.expire <= db.space.now_ms):
        return blocking.on_nokey
    if type(entry.value) in STRING_TYPES:
        return blocking.on_nokey
    return bool(entry.value.type_name == blocking.kind) or blocking.on_nokey


def _run_again(node: "Node", client: Client) -> None:
    blocking = unblock(node, client)
    assert blocking.command is not None
    client.flags |= flags.REEXECUTING
    node.reblocking = blocking
    node.mark_us = node.stopwatch()
    denied = None if client.user is None else node.acl.refusal(client, blocking.command, blocking.argv)
    if denied is not None:
        # Its permissions were taken while it waited.
        node.stats_of(blocking.command).rejected += 1
        node.count_error(denied)
        reply: Reply = denied
    else:
        reply = node.call(client, blocking.command, blocking.argv)
    node.reblocking = None
    client.flags &= ~flags.REEXECUTING
    if type(reply) is not NoReply:
        client.reply(reply)
    if client.push_after:
        client.flush_pushes()
    if client.blocking is not None:
        node.resumable.pop(client.id, None)
    node.after_unit()


def wake_due(node: "Node") -> None:
    """Answer the clients whose time is up."""
    waiting = node.waiting
    while True:
        until = waiting.next_deadline(node.clients)
        if until is None or until > node.now_ms:
            return
        _, client_id = heappop(waiting.deadlines)
        client = node.clients[client_id]
        give_up(node, client)


def give_up(node: "Node", client: Client) -> None:
    """End a client's wait as if its time were up."""
    assert client.blocking is not None
    if not node.on_timeout(client):
        blocking = unblock(node, client)
        _count(node, blocking)
        client.reply(timed_out_reply(blocking))


def _count(node: "Node", blocking: Blocking, failed: bool = False) -> None:
    """Count a call that was blocked and has ended without running again."""
    if blocking.command is not None:
        stats = node.stats_of(blocking.command)
        stats.durations.append(blocking.spent_us)
        stats.failed += failed


def unblock_with_error(node: "Node", client: Client, error: ReplyError) -> None:
    """End a client's wait with an error (CLIENT UNBLOCK … ERROR, a change of role)."""
    _count(node, unblock(node, client), failed=True)
    node.count_error(error)
    client.reply(error)
