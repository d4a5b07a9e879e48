"""Making room: which keys go when memory reaches maxmemory.

Approximated LRU, LFU and TTL as Redis does them: a few random keys of every database are looked at, the best
candidates are kept in a pool between calls, and the best of the pool goes. So the choice gets nearly as good as an
exact one while no order of keys is kept.

https://redis.io/docs/latest/develop/reference/eviction/
"""

from typing import TYPE_CHECKING

from engine.keyspace import NOTIFY_EVICTED, Database, Entry
from engine.memory import used_memory

if TYPE_CHECKING:
    from engine.node import Node

POOL_SIZE = 16


class Candidate:
    """A key that may be evicted: the higher `idle`, the sooner."""

    __slots__ = ("db", "idle", "key")

    def __init__(self, db: int, key: bytes, idle: int) -> None:
        self.db = db
        self.key = key
        self.idle = idle


class Eviction:
    """The pool of candidates of a node."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.pool: list[Candidate] = []  # the best last
        self.next_db = 0
        self.due = False  # maxmemory was set: look soon whether keys must go, without waiting for a command

    def make_room(self) -> bool:
        """Evict until memory is within maxmemory; False when nothing more can go."""
        node = self.node
        config = node.config
        if node.load is not None:
            return True  # what is loaded is loaded whole
        needed = used_memory(node) - node.not_counted_for_eviction() - config.maxmemory
        if needed <= 0:
            return True
        freed = 0
        began_us = node.stopwatch()
        while freed < needed:
            victim = None if config.maxmemory_policy == "noeviction" else self._choose()
            if victim is None:
                break
            freed += self._evict(*victim)
        node.latency.sample(node, b"eviction-cycle", began_us)
        if freed:
            node.aftermath = True
            node.flush_propagation(as_unit=False)
        return freed >= needed

    def _evict(self, db: Database, entry: Entry) -> int:
        """Remove a key; returns what that frees, in bytes.

        What is told of it to clients takes memory in its turn, but that must not drive out more keys.
        """
        node = self.node
        name = b"UNLINK" if node.config.lazyfree_lazy_eviction else b"DEL"
        before = node.space.used
        began_us = node.stopwatch()
        db.delete(entry.key)
        node.latency.sample(node, b"eviction-del", began_us)
        freed = before - node.space.used
        node.also_propagate(db.index, [name, entry.key])
        node.stats.evicted_keys += 1
        db.notify(NOTIFY_EVICTED, b"evicted", entry.key)
        db.touched(entry.key)
        return freed

    def _choose(self) -> tuple[Database, Entry] | None:
        policy = self.node.config.maxmemory_policy
        volatile = policy.startswith("volatile")
        databases = self.node.space.databases
        if policy.endswith("random"):
            for _ in databases:
                db = databases[self.next_db % len(databases)]
                self.next_db += 1
                found = self._sample(db, volatile, 1)
                if found:
                    return db, found[0]
            return None
        # Candidates age while they wait in the pool, and may be gone: judge what is there by its state now.
        for _ in range(100):
            total = 0
            for db in databases:
                if not (db.expiring if volatile else len(db)):
                    continue
                sample = self._sample(db, volatile, self.node.config.maxmemory_samples)
                total += len(sample)
                for entry in sample:
                    self._consider(Candidate(db.index, entry.key, self._idle(db, entry, policy)))
            while self.pool:
                best = self.pool.pop()
                held = databases[best.db].entries.get(best.key)
                if held is not None and (held.expire is not None or not volatile):
                    return databases[best.db], held
            if not total:
                return None
        return None

    def _consider(self, candidate: Candidate) -> None:
        pool = self.pool
        if any(held.key == candidate.key and held.db == candidate.db for held in pool):
            return
        pool.append(candidate)
        pool.sort(key=lambda held: held.idle)
        if len(pool) > POOL_SIZE:
            del pool[0]

    def _idle(self, db: Database, entry: Entry, policy: str) -> int:
        if policy.endswith("-ttl"):
            return -(entry.expire or 0)
        if policy.endswith("-lfu"):
            return 255 - db.lfu_decayed(entry.access)
        return self.node.now_ms // 1000 - entry.access

    def _sample(self, db: Database, volatile: bool, count: int) -> list[Entry]:
        """Return up to `count` random keys, of those with a time to live if `volatile`."""
        rng = self.node.rng
        found: list[Entry] = []
        if not volatile:
            for _ in range(min(count, len(db.order))):
                found.append(db.order[rng.below(len(db.order))])
            return found
        count = min(count, db.expiring)
        tries = 0
        while len(found) < count and db.due:
            if tries == 10 * count:
                db.forget_past_times()  # most of them, it seems; after this every try finds one
            tries += 1
            when, key = db.due[rng.below(len(db.due))]
            entry = db.entries.get(key)
            if entry is not None and entry.expire == when:
                found.append(entry)
        return found
