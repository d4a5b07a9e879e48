"""The failover of a master, state by state.

    none ──► wait_start ──► select_slave ──► send_slaveof_noone ──► wait_promotion ──► reconf_slaves ──► update_config
      ▲          │               │                   │                    │                                    │
      └──────────┴───────────────┴───────────────────┴────────────────────┴────────────────────────────────────┘
            not elected     no good replica     not connected        not promoted                           switched
                                                     (after failover-timeout)

Until the replica says that it is a master, a failover can be given up; from then on it goes to its end, if need be by
timeout. `TRANSITIONS` is the diagram; whatever is not in it is an error.

https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
"""

from typing import Protocol

from engine.observe.events import Condition, stated
from engine.sentinel.addresses import Address, AddressError
from engine.sentinel.configuration import ConfigurationFile
from engine.sentinel.instances import (
    FAILOVER_IN_PROGRESS,
    FORCE_FAILOVER,
    NONE,
    O_DOWN,
    PROMOTED,
    RECONF_DONE,
    RECONF_INPROG,
    RECONF_SENT,
    RECONF_SLAVES,
    S_DOWN,
    SELECT_SLAVE,
    SEND_SLAVEOF_NOONE,
    UPDATE_CONFIG,
    WAIT_PROMOTION,
    WAIT_START,
    Master,
    Replica,
)
from engine.sentinel.links import Links
from engine.sentinel.notices import Notices
from engine.sentinel.settings import CRASH_AFTER_ELECTION, CRASH_AFTER_PROMOTION, SimulatedCrashError
from engine.sentinel.votes import Votes
from engine.sentinel.watched import Watched

TRANSITIONS: dict[tuple[str, str], str] = {
    (NONE, "started"): WAIT_START,
    (WAIT_START, "elected"): SELECT_SLAVE,
    (WAIT_START, "not elected"): NONE,
    (SELECT_SLAVE, "selected"): SEND_SLAVEOF_NOONE,
    (SELECT_SLAVE, "no good replica"): NONE,
    (SEND_SLAVEOF_NOONE, "sent"): WAIT_PROMOTION,
    (SEND_SLAVEOF_NOONE, "not connected"): NONE,
    (WAIT_PROMOTION, "promoted"): RECONF_SLAVES,
    (WAIT_PROMOTION, "not promoted"): NONE,
    (RECONF_SLAVES, "ended"): UPDATE_CONFIG,
}
"""State and what happens → the next state. What follows `update_config`, the master at another address, is reset."""

SIMULATED_CRASH_STATUS = 99

START = "sentinel.c, sentinelStartFailoverIfNeeded()"
SELECT = "sentinel.c, sentinelSelectSlave()"


class Process(Protocol):
    """What a failover asks of its process."""

    def local_time(self, monotonic_ms: int) -> str:
        """Return a time as C's `ctime` does, without the line break."""

    def crash(self, status: int) -> None:
        """End at once: nothing leaves that this round has brought about."""


class Failover:
    """The failovers of a Sentinel."""

    process: Process

    def __init__(
        self, watched: Watched, notices: Notices, file: ConfigurationFile, links: Links, votes: Votes
    ) -> None:
        self.settings = watched.settings
        self.watched = watched
        self.notices = notices
        self.file = file
        self.links = links
        self.votes = votes

    def _go(self, master: Master, happening: str) -> None:
        """Go on to the next state."""
        master.failover_state = TRANSITIONS[master.failover_state, happening]
        master.failover_state_change_ms = self.watched.now_ms

    def _elapsed_ms(self, master: Master) -> int:
        return self.watched.now_ms - master.failover_state_change_ms

    # --- the beginning ------------------------------------------------------------------------------------------

    def start_if_needed(self, master: Master) -> bool:
        """Begin a failover if the master is objectively down, and the last attempt is not too recent."""
        if not master.flags & O_DOWN or master.flags & FAILOVER_IN_PROGRESS:
            return False
        not_before_ms = master.failover_start_ms + 2 * master.failover_timeout_ms
        if self.watched.now_ms < not_before_ms:
            if master.failover_delay_logged_ms != master.failover_start_ms:
                master.failover_delay_logged_ms = master.failover_start_ms
                when = self.process.local_time(not_before_ms)
                if self.notices.observed:
                    self._explain_start(master, not_before_ms)
                self.notices.output.log("*", f"Next failover delay: I will not start a failover before {when}")
            return False
        self.start(master)
        return True

    def start(self, master: Master) -> None:
        """Begin a failover: in a new epoch, for which votes are asked for."""
        settings = self.settings
        if self.notices.observed:
            self._explain_start(master, self.watched.now_ms)
        self._go(master, "started")
        master.flags |= FAILOVER_IN_PROGRESS
        settings.current_epoch += 1
        master.failover_epoch = settings.current_epoch
        self.notices.tell("#", "+new-epoch", str(settings.current_epoch), master)
        self.notices.about("#", "+try-failover", master)
        master.failover_start_ms = self.watched.now_ms + self.votes.desync_ms()

    def _explain_start(self, master: Master, not_before_ms: int) -> None:
        """Tell why a failover begins, or why not yet."""
        wait_ms = not_before_ms - self.watched.now_ms
        timeout_ms = master.failover_timeout_ms
        if master.flags & FORCE_FAILOVER:
            conditions = [Condition(True, "SENTINEL FAILOVER asks for it, without agreement or votes", START)]
        else:
            is_down = bool(master.flags & O_DOWN)
            twice = f"2 × failover-timeout ({2 * timeout_ms} ms) ago"
            last = "the last attempt or vote was"
            conditions = [
                stated(is_down, "the master is objectively down", "the master is not objectively down", START),
                stated(wait_ms <= 0, f"{last} more than {twice}", f"{last} less than {twice}", START),
            ]
        answer = f"not before {wait_ms} ms have passed" if wait_ms > 0 else "starts, and asks for votes"
        self.notices.decided(f"Start a failover of {master.name}?", conditions, answer)

    def abort(self, master: Master, happening: str, event: str) -> None:
        """Give a failover up."""
        self.notices.about("#", event, master)
        self._go(master, happening)
        master.flags &= ~(FAILOVER_IN_PROGRESS | FORCE_FAILOVER)
        if master.promoted is not None:
            master.promoted.flags &= ~PROMOTED
            master.promoted = None

    # --- the states ---------------------------------------------------------------------------------------------

    def step(self, master: Master) -> None:
        """Do what the state of a failover demands."""
        if master.flags & FAILOVER_IN_PROGRESS and master.failover_state in _STEPS:
            _STEPS[master.failover_state](self, master)

    def _wait_start(self, master: Master) -> None:
        leads = self.votes.leader(master, master.failover_epoch).lower() == self.settings.my_id.lower()
        if not leads and not master.flags & FORCE_FAILOVER:
            timeout_ms = min(self.settings.periods.election_timeout, master.failover_timeout_ms)
            if self.watched.now_ms - master.failover_start_ms > timeout_ms:
                if self.notices.observed:
                    self.votes.explain_election(master, master.failover_epoch, "not elected: gives up")
                self.abort(master, "not elected", "-failover-abort-not-elected")
            return
        if self.notices.observed and leads:
            self.votes.explain_election(master, master.failover_epoch, "elected")
        self.notices.about("#", "+elected-leader", master)
        if self.settings.simulated_failures & CRASH_AFTER_ELECTION:
            self._crash()
        self._go(master, "elected")
        self.notices.about("#", "+failover-state-select-slave", master)

    def _select(self, master: Master) -> None:
        replica = self.choose(master)
        if self.notices.observed:
            self._explain_choice(master, replica)
        if replica is None:
            self.abort(master, "no good replica", "-failover-abort-no-good-slave")
            return
        self.notices.about("#", "+selected-slave", replica)
        replica.flags |= PROMOTED
        master.promoted = replica
        self._go(master, "selected")
        self.notices.about("*", "+failover-state-send-slaveof-noone", replica)

    def _promote(self, master: Master) -> None:
        replica = master.promoted
        assert replica is not None
        if replica.link.disconnected:
            if self._elapsed_ms(master) > master.failover_timeout_ms:
                self.abort(master, "not connected", "-failover-abort-slave-timeout")
            return
        if not self.links.send_replicaof(replica, None):
            return
        self.notices.about("*", "+failover-state-wait-promotion", replica)
        self._go(master, "sent")

    def _wait_promotion(self, master: Master) -> None:
        """Wait: INFO of the replica will say that it is a master (see `promoted`)."""
        if self._elapsed_ms(master) > master.failover_timeout_ms:
            self.abort(master, "not promoted", "-failover-abort-slave-timeout")

    def promoted(self, master: Master, replica: Replica) -> None:
        """The chosen replica says that it is a master: from here on this is the configuration, of a new epoch."""
        master.config_epoch = master.failover_epoch
        self._go(master, "promoted")
        self.file.flush()
        self.notices.about("#", "+promoted-slave", replica)
        if self.settings.simulated_failures & CRASH_AFTER_PROMOTION:
            self._crash()
        self.notices.about("#", "+failover-state-reconf-slaves", master)
        self.notices.reconfigure_clients(master, "leader", master.address, replica.address)
        self.links.hasten_hello(master)

    def _reconfigure(self, master: Master) -> None:
        """Have the other replicas follow the new master, `parallel-syncs` at a time."""
        in_progress = sum(bool(each.flags & (RECONF_SENT | RECONF_INPROG)) for each in master.replicas.values())
        for replica in master.replicas.values():
            if in_progress >= master.parallel_syncs:
                break
            if replica.flags & (PROMOTED | RECONF_DONE):
                continue
            sent_for_ms = self.watched.now_ms - replica.reconf_sent_ms
            if replica.flags & RECONF_SENT and sent_for_ms > self.settings.periods.slave_reconf_timeout:
                self.notices.about("*", "-slave-reconf-sent-timeout", replica)
                replica.flags = replica.flags & ~RECONF_SENT | RECONF_DONE
            if replica.flags & (RECONF_SENT | RECONF_INPROG | RECONF_DONE) or replica.link.disconnected:
                continue
            if self.links.send_replicaof(replica, self._new_address(master)):
                replica.flags |= RECONF_SENT
                replica.reconf_sent_ms = self.watched.now_ms
                self.notices.about("*", "+slave-reconf-sent", replica)
                in_progress += 1
        self._detect_end(master)

    def _new_address(self, master: Master) -> Address:
        assert master.promoted is not None
        return master.promoted.address

    def _detect_end(self, master: Master) -> None:
        """End when all replicas that are reached have been reconfigured, or after failover-timeout."""
        if master.promoted is None or master.promoted.flags & S_DOWN:
            return
        missing = any(not each.flags & (PROMOTED | RECONF_DONE | S_DOWN) for each in master.replicas.values())
        timed_out = self._elapsed_ms(master) > master.failover_timeout_ms
        if timed_out:
            self.notices.about("#", "+failover-end-for-timeout", master)
        if timed_out or not missing:
            self.notices.about("#", "+failover-end", master)
            self._go(master, "ended")
        if timed_out:  # those that are left are told once more, whatever comes of it
            for replica in master.replicas.values():
                if replica.flags & (PROMOTED | RECONF_DONE | RECONF_SENT) or replica.link.disconnected:
                    continue
                if self.links.send_replicaof(replica, self._new_address(master)):
                    self.notices.about("*", "+slave-reconf-sent-be", replica)
                    replica.flags |= RECONF_SENT

    # --- the end ------------------------------------------------------------------------------------------------

    def switch(self, master: Master) -> None:
        """The failover has ended: the master is the promoted replica."""
        new = self._new_address(master) if master.promoted is not None else master.address
        self.notices.switched(master, self.watched.addresses.announced(new), new.port)
        self.move(master, new.host, new.port)

    def move(self, master: Master, host: str, port: int) -> bool:
        """Have a master be at another address; False if there is no such address."""
        try:
            replicas = self.watched.move(master, host, port)
        except AddressError:
            return False
        for replica in replicas:
            self.notices.about("*", "+slave", replica)
        self.file.flush()
        return True

    def _crash(self) -> None:
        self.notices.output.log("#", "Sentinel CRASH because of SENTINEL simulate-failure")
        self.process.crash(SIMULATED_CRASH_STATUS)
        raise SimulatedCrashError

    # --- the choice ---------------------------------------------------------------------------------------------

    def choose(self, master: Master) -> Replica | None:
        """Return the replica that is to be promoted; None if none is good enough.

        It must be reached, have answered lately, have a priority, and not have been without its master for too long.
        The first is the one with the least priority; of those, the one that has the most of the master's stream; of
        those, the one with the least run ID.
        """
        good = [replica for replica in master.replicas.values() if not self._unfit(master, replica)]
        return min(good, key=_rank, default=None)

    def _unfit(self, master: Master, replica: Replica) -> str:
        """Return why a replica must not be promoted; nothing if it may."""
        now_ms, periods = self.watched.now_ms, self.settings.periods
        down = bool(master.flags & S_DOWN)
        without_master_max_ms = master.down_after_ms * 10 + (now_ms - master.s_down_since_ms if down else 0)
        info_max_ms = periods.ping_period * 5 if down else periods.info_period * 3
        if replica.flags & (S_DOWN | O_DOWN):
            return "it is down"
        if replica.link.disconnected:
            return "it is not connected"
        if now_ms - replica.link.last_available_ms > periods.ping_period * 5:
            return "its last reply to PING is too old"
        if not replica.slave_priority:
            return "its replica-priority is 0"
        if now_ms - replica.info_refresh_ms > info_max_ms:
            return "its last INFO is too old"
        if replica.master_link_down_ms > without_master_max_ms:
            return f"it has been without its master for {replica.master_link_down_ms // 1000} s"
        return ""

    def _explain_choice(self, master: Master, chosen: Replica | None) -> None:
        """Tell which replicas could be promoted, and why this one is."""
        conditions = []
        for replica in sorted(master.replicas.values(), key=_rank):
            unfit = self._unfit(master, replica)
            rank = (
                f"priority {replica.slave_priority}, offset {replica.slave_repl_offset}, run ID {replica.run_id[:8]}…"
            )
            conditions.append(Condition(not unfit, f"{self.notices.brief(replica)}: {unfit or rank}", SELECT))
        if not conditions:
            conditions = [Condition(False, "no replica is known", SELECT)]
        answer = "none: the failover is aborted" if chosen is None else self.notices.brief(chosen)
        self.notices.decided(f"Which replica of {master.name} is promoted?", conditions, answer)


def _rank(replica: Replica) -> tuple[int, int, bool, str]:
    """Return what replicas are compared by: the best is the least."""
    return replica.slave_priority, -replica.slave_repl_offset, not replica.run_id, replica.run_id.lower()


_STEPS = {
    WAIT_START: Failover._wait_start,
    SELECT_SLAVE: Failover._select,
    SEND_SLAVEOF_NOONE: Failover._promote,
    WAIT_PROMOTION: Failover._wait_promotion,
    RECONF_SLAVES: Failover._reconfigure,
}
