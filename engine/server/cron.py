"""The periodic tasks of a node: `hz` times a second, and once a second for replication.

While a script or a load suspends the node, the cron only updates its clock; the other tasks wait until it ends.
"""

from engine.clients.ending import Ending
from engine.clients.limits import ClientLimits
from engine.clients.propagation import Propagation
from engine.core import Core
from engine.execution.eviction import Eviction
from engine.keyspace.databases import EXPIRE_DELETE
from engine.observe.stats import Rates
from engine.persistence.aof.log import AppendOnlyFile
from engine.persistence.snapshots import Persistence
from engine.replication.master import MasterRole
from engine.replication.replica import REPL_STATE_NONE, ReplicaRole
from engine.server.shutdown import Shutdown

EXPIRED_PER_CYCLE = 1000  # maximum number of keys removed from a database per cycle; more would delay clients


class Cron:
    """The periodic timers. Each callback returns the time at which it is due again."""

    def __init__(
        self,
        core: Core,
        propagation: Propagation,
        eviction: Eviction,
        limits: ClientLimits,
        ending: Ending,
        persistence: Persistence,
        aof: AppendOnlyFile,
        master: MasterRole,
        replica: ReplicaRole,
        shutdown: Shutdown,
    ) -> None:
        self.config = core.config
        self.clock = core.clock
        self.timers = core.timers
        self.space = core.space
        self.stats = core.stats
        self.latency = core.latency
        self.propagation = propagation
        self.eviction = eviction
        self.limits = limits
        self.ending = ending
        self.persistence = persistence
        self.aof = aof
        self.master = master
        self.replica = replica
        self.shutdown = shutdown
        now = core.clock.monotonic_us
        self.loops = 0
        self.paused = False  # DEBUG PAUSE-CRON
        self.active_expire = True  # DEBUG SET-ACTIVE-EXPIRE
        self._clock = core.timers.at(now, "cron.tick", while_suspended=True)
        self._round = core.timers.at(now, "cron.round")
        # The first cycle runs immediately, before any client can connect.
        self._replication = core.timers.at(now, "cron.replication")

    @property
    def due_us(self) -> int:
        """The time at which the next cycle is due."""
        return self.timers.due_us(self._round)

    def soon(self) -> None:
        """Schedule the next cycle for now."""
        for timer in (self._clock, self._round):
            self.timers.put_off(timer, self.clock.monotonic_us)

    def stop(self) -> None:
        """Leave the rounds to a caller of `tick` and `round`."""
        for timer in (self._clock, self._round, self._replication):
            self.timers.cancel(timer)

    def tick(self) -> int:
        """Count the cycles and sample the rates."""
        now_us, hz = self.clock.monotonic_us, self.config.hz
        if not self.paused:
            self.loops += 1
            self.space.update_lru_clock(now_us)
            if self.loops % (hz * Rates.PERIOD_MS // 1000 or 1) == 0:
                self.stats.rates.sample(self.stats, self.stats.calls(), now_us)
        return now_us + 1_000_000 // hz

    def round(self) -> int:
        """Expire keys, continue long tasks, and start the ones that are due."""
        if not self.paused:
            self._run()
            self.stats.cron_time_us += max(1, self.clock.stopwatch() - self.propagation.execution.clock_us)
        return self.clock.monotonic_us + 1_000_000 // self.config.hz

    def replication(self) -> int:
        """Send pings and acknowledgments, reconnect, and close links that timed out."""
        if not self.paused:
            if self.replica.state != REPL_STATE_NONE:
                self.replica.cron()
            self.master.cron()
        return self.clock.monotonic_us + 1_000_000

    def _run(self) -> None:
        space = self.space
        if space.own_expiring:
            if not self.config.is_replica:
                space.own_expiring.clear()
            elif self.active_expire:
                space.expire_own(EXPIRED_PER_CYCLE)
        if self.active_expire and space.expire_mode == EXPIRE_DELETE:
            self._expire_keys()
        if self.eviction.due:
            self.eviction.due = False
            if self.config.maxmemory:
                self.eviction.make_room()
        self.persistence.cron()
        self.aof.cron()
        self.shutdown.cron()
        if self.ending.exiting:
            return  # the final snapshot is on disk: the data must not change any more
        self.limits.cron()
        if self.propagation.pending:
            self.propagation.flush(as_unit=False)

    def _expire_keys(self) -> None:
        """Remove expired keys."""
        started_us = self.clock.stopwatch()
        for db in self.space.databases:
            if db.expires:
                db.expire_due(EXPIRED_PER_CYCLE)
        elapsed_us = self.clock.stopwatch() - started_us
        self.stats.expire_cycle_us += elapsed_us
        self.latency.took(b"expire-cycle", elapsed_us, self.clock.now_us)
