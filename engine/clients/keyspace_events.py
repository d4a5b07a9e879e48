"""Reactions to changes of keys: watching transactions, tracking, blocked clients, keyspace notifications.

https://redis.io/docs/latest/develop/use/keyspace-notifications/
"""

from engine.clients.blocking import Waiting
from engine.clients.conditions import Conditions
from engine.clients.propagation import Propagation
from engine.clients.pubsub import PubSub
from engine.clients.tracking import Tracking
from engine.clients.transactions import Transactions
from engine.core import Core
from engine.keyspace.databases import NOTIFY_KEYEVENT, NOTIFY_KEYSPACE, Database
from engine.observe.events import KeyChanged, KeyExpired


class KeyspaceEvents:
    """The keyspace's observer."""

    def __init__(
        self,
        core: Core,
        conditions: Conditions,
        propagation: Propagation,
        waiting: Waiting,
        transactions: Transactions,
        tracking: Tracking,
        pubsub: PubSub,
    ) -> None:
        self.space = core.space
        self.clock = core.clock
        self.config = core.config
        self.conditions = conditions
        self.events = core.events
        self.propagation = propagation
        self.execution = propagation.execution
        self.waiting = waiting
        self.transactions = transactions
        self.tracking = tracking
        self.pubsub = pubsub

    def key_modified(self, db: Database, key: bytes) -> None:
        """A key changed: transactions that watch it will fail."""
        if key in db.watchers:
            self.transactions.key_modified(db, key)
        if self.conditions.tracked:
            self.tracking.changed(key)
        if self.events.observers:
            self.events.emit(KeyChanged(self.clock.now_us, db.index, key))

    def key_ready(self, db: Database, key: bytes) -> None:
        """A key that clients are blocked on was added or grew."""
        self.waiting.ready[(db.index, key)] = None
        self.execution.post_execution = True

    def key_expired(self, db: Database, key: bytes) -> None:
        """A key expired: replicas receive an explicit command to delete it."""
        self.propagation.also(db.index, [self.config.deletion, key])
        if self.events.observers:
            self.events.emit(KeyExpired(self.clock.now_us, db.index, key))

    def keyspace_event(self, kind: int, event: bytes, key: bytes, db: int) -> None:
        """Publish a keyspace notification."""
        if self.space.notify_mask & NOTIFY_KEYSPACE:
            self.pubsub.publish(b"__keyspace@%d__:%b" % (db, key), event)
        if self.space.notify_mask & NOTIFY_KEYEVENT:
            self.pubsub.publish(b"__keyevent@%d__:%b" % (db, event), key)

    # --- whole databases ----------------------------------------------------------------------------------------

    def flush(self, databases: list[Database]) -> None:
        """Remove all keys of some databases and report the change."""
        for db in databases:
            self.transactions.flushing(db)
            self.space.dirty += db.clear()
            for key in db.blocked:
                self.key_ready(db, key)
        self.tracking.flushed()

    def swap(self, first: Database, second: Database) -> None:
        """Exchange two databases and report the change."""
        self.transactions.swapping(first, second)
        self.transactions.swapping(second, first)
        first.swap(second)
        for db in (first, second):
            for key in db.blocked:
                self.key_ready(db, key)
