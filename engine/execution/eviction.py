"""Eviction: which keys are deleted when memory reaches maxmemory.

Approximated LRU, LFU and TTL as in Redis: a few random keys of every database are sampled, the best candidates are
kept in a pool between calls, and the best one of the pool is evicted. The result is nearly as good as exact LRU, LFU
or TTL order, without storing that order.

https://redis.io/docs/latest/develop/reference/eviction/
"""

from typing import Final

from engine.clients.conditions import Conditions
from engine.clients.memory import MemoryUse
from engine.clients.propagation import Propagation
from engine.core import Core
from engine.keyspace.databases import NOTIFY_EVICTED, Database

POOL_SIZE: Final = 16


class Candidate:
    """A key that may be evicted: the key with the highest `idle` is evicted first."""

    __slots__ = ("db", "idle", "key")

    def __init__(self, db: int, key: bytes, idle: int) -> None:
        self.db = db
        self.key = key
        self.idle = idle


class Eviction:
    """The eviction of a node, with its pool of candidates."""

    def __init__(self, core: Core, propagation: Propagation, conditions: Conditions, memory: MemoryUse) -> None:
        self.config = core.config
        self.clock = core.clock
        self.rng = core.rng
        self.space = core.space
        self.stats = core.stats
        self.latency = core.latency
        self.propagation = propagation
        self.conditions = conditions
        self.memory = memory
        self.pool: list[Candidate] = []  # the best one last
        self.next_db = 0
        self.due = False  # maxmemory was set: evict soon, without waiting for a command

    def make_room(self) -> bool:
        """Evict keys until memory is within maxmemory. Returns False if no more keys can be evicted."""
        config = self.config
        if config.is_replica and config.replica_ignore_maxmemory:
            return True
        if self.conditions.load is not None:
            return True  # a data set is always loaded completely
        needed = self.memory.used() - self.memory.not_counted_for_eviction() - config.maxmemory
        if needed <= 0:
            return True
        freed = 0
        began_us = self.clock.stopwatch()
        while freed < needed:
            victim = None if config.maxmemory_policy == "noeviction" else self._choose()
            if victim is None:
                break
            freed += self._evict(*victim)
        self.latency.took(b"eviction-cycle", self.clock.stopwatch() - began_us, self.clock.now_us)
        if freed:
            self.propagation.execution.post_execution = True
            self.propagation.flush(as_unit=False)
        return freed >= needed

    def _evict(self, db: Database, key: bytes) -> int:
        """Remove a key. Returns the number of bytes freed.

        Messages to clients about the removal use memory, too, but must not cause more evictions.
        """
        name = b"UNLINK" if self.config.lazyfree_lazy_eviction else b"DEL"
        before = self.space.used
        began_us = self.clock.stopwatch()
        db.delete(key)
        self.latency.took(b"eviction-del", self.clock.stopwatch() - began_us, self.clock.now_us)
        freed = before - self.space.used
        self.propagation.also(db.index, [name, key])
        self.stats.evicted_keys += 1
        db.notify(NOTIFY_EVICTED, b"evicted", key)
        db.touched(key)
        return freed

    def _choose(self) -> tuple[Database, bytes] | None:
        policy = self.config.maxmemory_policy
        volatile = policy.startswith("volatile")
        databases = self.space.databases
        if policy.endswith("random"):
            for _ in databases:
                db = databases[self.next_db % len(databases)]
                self.next_db += 1
                found = self._sample(db, volatile, 1)
                if found:
                    return db, found[0]
            return None
        # Candidates may change or disappear while they are in the pool: judge them by their current state.
        for _ in range(100):
            total = 0
            for db in databases:
                if not (db.expires if volatile else len(db)):
                    continue
                sample = self._sample(db, volatile, self.config.maxmemory_samples)
                total += len(sample)
                for key in sample:
                    self._consider(Candidate(db.index, key, self._idle(db, key, policy)))
            while self.pool:
                best = self.pool.pop()
                db = databases[best.db]
                if best.key in (db.expires if volatile else db.positions):
                    return db, best.key
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

    def _idle(self, db: Database, key: bytes, policy: str) -> int:
        if policy.endswith("-ttl"):
            return -db.expires.get(key, 0)
        if policy.endswith("-lfu"):
            return 255 - db.lfu_decayed(db.access(key))
        return self.clock.monotonic_us // 1_000_000 - db.access(key)

    def _sample(self, db: Database, volatile: bool, count: int) -> list[bytes]:
        """Return up to `count` random keys, only those with a time to live if `volatile`."""
        rng = self.rng
        found: list[bytes] = []
        if not volatile:
            for _ in range(min(count, len(db))):
                found.append(db.members[db.random_position(rng)])
            return found
        count = min(count, len(db.expires))
        tries = 0
        while len(found) < count and db.due:
            if tries == 10 * count:
                db.forget_past_times()  # apparently most of them are outdated; after this, every attempt succeeds
            tries += 1
            when, key = db.due[rng.below(len(db.due))]
            if db.expires.get(key) == when:
                found.append(key)
        return found
