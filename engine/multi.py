"""Transactions: what a client queues between MULTI and EXEC, and the keys it watches until then.

A watched key that changes spoils the next EXEC. One that had reached its end before it was watched counts as absent:
its removal changes nothing, its return does.

https://redis.io/docs/latest/develop/interact/transactions/
"""

from typing import TYPE_CHECKING

from engine import client as flags

if TYPE_CHECKING:
    from engine.client import Client
    from engine.keyspace import Database, Entry
    from engine.node import Node


class Transactions:
    """The transactions of a node's clients. Who watches a key stands at its database."""

    def __init__(self, node: "Node") -> None:
        self.node = node

    def discard(self, ctx: "Client") -> None:
        """Forget a client's transaction and what it watches."""
        ctx.queue = None
        ctx.flags &= ~(flags.MULTI | flags.DIRTY_CAS | flags.DIRTY_EXEC)
        self.unwatch(ctx)
        ctx.update_gated()

    def watch(self, ctx: "Client", key: bytes) -> None:
        """Have a client's next EXEC fail if a key of its database changes."""
        db = ctx.db
        if (db.index, key) in ctx.watched:
            return
        entry = db.entries.get(key)
        ctx.watched[(db.index, key)] = entry is not None and self._expired(entry)
        db.watchers.setdefault(key, {})[ctx.id] = None
        self.node.update_attended()

    def unwatch(self, ctx: "Client") -> None:
        """Forget what a client watches."""
        for index, key in ctx.watched:
            watchers = self.node.space.databases[index].watchers
            watchers[key].pop(ctx.id, None)
            if not watchers[key]:
                del watchers[key]
        ctx.watched.clear()
        self.node.update_attended()

    def watched_key_expired(self, ctx: "Client") -> bool:
        """Tell whether a key that a client watches has reached its end since, without having been removed yet."""
        for (index, key), was_expired in ctx.watched.items():
            entry = self.node.space.databases[index].entries.get(key)
            if not was_expired and entry is not None and self._expired(entry):
                return True
        return False

    def _expired(self, entry: "Entry") -> bool:
        return entry.expire is not None and entry.expire < self.node.now_ms

    def key_modified(self, db: "Database", key: bytes) -> None:
        """Spoil the transactions of those who watch a key."""
        for client_id in db.watchers[key]:
            client = self.node.clients[client_id]
            if client.watched[(db.index, key)] and key not in db.entries:
                client.watched[(db.index, key)] = False
                continue
            client.flags |= flags.DIRTY_CAS

    def flushing(self, db: "Database") -> None:
        """Spoil the transactions of those who watch keys of a database that is about to be emptied."""
        for key, watchers in db.watchers.items():
            if key not in db.entries:
                continue
            for client_id in watchers:
                client = self.node.clients[client_id]
                if client.watched[(db.index, key)]:
                    client.watched[(db.index, key)] = False
                else:
                    client.flags |= flags.DIRTY_CAS

    def swapping(self, db: "Database", other: "Database") -> None:
        """Spoil the transactions of those who watch keys of a database that another's contents are about to take."""
        for key, watchers in db.watchers.items():
            entry, replacement = db.entries.get(key), other.entries.get(key)
            if entry is None and replacement is None:
                continue
            dies = replacement is not None and self._expired(replacement)
            for client_id in watchers:
                client = self.node.clients[client_id]
                was_expired = client.watched[(db.index, key)]
                if was_expired and (replacement is None or dies):
                    client.watched[(db.index, key)] = dies
                elif not was_expired and entry is None and dies:
                    client.watched[(db.index, key)] = True
                else:
                    client.flags |= flags.DIRTY_CAS
