"""Transactions: the commands that a client queues between MULTI and EXEC, and its watched keys.

A change of a watched key makes the next EXEC fail. A key that had already expired when it was watched counts as
missing: deleting it changes nothing, creating it does.

https://redis.io/docs/latest/develop/interact/transactions/
"""

from engine.clients import client as flags
from engine.clients.client import Client
from engine.clients.conditions import Conditions
from engine.keyspace.databases import Database, Keyspace


class Transactions:
    """The transactions of a node's clients. Each database stores the watchers of its keys."""

    def __init__(self, clients: dict[int, Client], space: Keyspace, conditions: Conditions) -> None:
        self.clients = clients
        self.space = space
        self.conditions = conditions

    def discard(self, ctx: Client) -> None:
        """End a client's transaction and unwatch its keys."""
        ctx.queue = None
        ctx.flags &= ~(flags.MULTI | flags.DIRTY_CAS | flags.DIRTY_EXEC)
        self.unwatch(ctx)
        ctx.update_checks()

    def watch(self, ctx: Client, key: bytes) -> None:
        """Watch a key of the client's database: if it changes, the client's next EXEC fails."""
        db = ctx.db
        if (db.index, key) in ctx.watched:
            return
        ctx.watched[(db.index, key)] = db.passed(key)
        db.watchers.setdefault(key, {})[ctx.id] = None
        self.conditions.update_attended()

    def unwatch(self, ctx: Client) -> None:
        """Unwatch all keys of a client."""
        for index, key in ctx.watched:
            watchers = self.space.databases[index].watchers
            watchers[key].pop(ctx.id, None)
            if not watchers[key]:
                del watchers[key]
        ctx.watched.clear()
        self.conditions.update_attended()

    def watched_key_expired(self, ctx: Client) -> bool:
        """Return whether a key has expired since the client began to watch it, but is not yet deleted."""
        for (index, key), was_expired in ctx.watched.items():
            if not was_expired and self.space.databases[index].passed(key):
                return True
        return False

    def key_modified(self, db: Database, key: bytes) -> None:
        """Mark the transactions of clients that watch a key as failed."""
        for client_id in db.watchers[key]:
            client = self.clients[client_id]
            if client.watched[(db.index, key)] and key not in db:
                client.watched[(db.index, key)] = False
                continue
            client.flags |= flags.DIRTY_CAS

    def flushing(self, db: Database) -> None:
        """Mark the transactions of clients that watch keys of a database about to be flushed as failed."""
        for key, watchers in db.watchers.items():
            if key not in db:
                continue
            for client_id in watchers:
                client = self.clients[client_id]
                if client.watched[(db.index, key)]:
                    client.watched[(db.index, key)] = False
                else:
                    client.flags |= flags.DIRTY_CAS

    def swapping(self, db: Database, other: Database) -> None:
        """Mark the transactions of clients that watch keys of a database about to be swapped as failed."""
        for key, watchers in db.watchers.items():
            existed, replaced = key in db, key in other
            if not existed and not replaced:
                continue
            dies = other.passed(key)
            for client_id in watchers:
                client = self.clients[client_id]
                was_expired = client.watched[(db.index, key)]
                if was_expired and (not replaced or dies):
                    client.watched[(db.index, key)] = dies
                elif not was_expired and not existed and dies:
                    client.watched[(db.index, key)] = True
                else:
                    client.flags |= flags.DIRTY_CAS
