"""How a replica takes the place of its master, and who votes for it.

A replica whose master has FAILED waits for 500 ms, a random time of up to 500 ms, and a second for each replica that
is further than itself (its rank). Then it asks all masters for their votes in a new epoch. A master votes once in an
epoch, and once in twice the node timeout for replicas of the same master. With the votes of the majority, the replica
takes the epoch and the slots of its master, and tells everyone.

CLUSTER FAILOVER does this without a failure: the master pauses its clients and tells where it stands; when the
replica is there too it asks for votes, which masters give although the master is up. FORCE leaves out the master,
TAKEOVER the votes.

A replica whose master has several may move to a master that has none left (`migrate`).

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#replica-election-and-promotion
"""

from collections.abc import Callable

from engine.clients.pauses import Pauses
from engine.cluster import messages as ms
from engine.cluster import state as st
from engine.cluster.failures import Failures
from engine.cluster.messages import Message
from engine.cluster.ownership import Ownership
from engine.cluster.reasons import Reasons
from engine.cluster.role import OwnRole
from engine.cluster.sending import Sender
from engine.cluster.state import ClusterNode, ClusterState, ManualFailover
from engine.core import Core

FIXED_DELAY_MS = 500
RANDOM_DELAY_MS = 500
RANK_DELAY_MS = 1000
MANUAL_TIMEOUT_MS = 5000
PAUSE_FACTOR = 2
MIGRATION_DELAY_MS = 5000  # for which a master has had no working replica
RELOG_PERIOD_S = 10
PURPOSE = b"failover"

# Why a replica cannot take over now.
DATA_AGE = (
    "Disconnected from master for longer than allowed. Please check the 'cluster-replica-validity-factor' "
    "configuration option."
)
WAITING_DELAY = "Waiting the delay before I can start a new failover."
EXPIRED = "Failover attempt expired."
WAITING_VOTES = "Waiting for votes, but majority still not reached."


class Election:
    """The elections in which this node stands, or votes."""

    save_now: Callable[[], None]

    def __init__(
        self,
        core: Core,
        pauses: Pauses,
        state: ClusterState,
        role: OwnRole,
        sender: Sender,
        failures: Failures,
        ownership: Ownership,
        reasons: Reasons,
    ) -> None:
        self.config = core.config
        self.clock = core.clock
        self.rng = core.rng
        self.output = core.output
        self.pauses = pauses
        self.state = state
        self.role = role
        self.sender = sender
        self.failures = failures
        self.ownership = ownership
        self.reasons = reasons
        self.starts_ms = 0  # when the votes of the last or the next election are asked for
        self.votes = 0
        self.asked = False
        self.rank = 0
        self.epoch = 0
        self.cannot = ""  # why not
        self.logged_s = 0

    # --- voting -------------------------------------------------------------------------------------------------

    def asked_for_vote(self, candidate: ClusterNode, request: Message) -> None:
        """A replica asks for our vote."""
        state, now_ms = self.state, self.clock.now_ms
        myself = state.myself
        if myself.is_replica or not myself.slots:
            return
        refusal = self._refusal(candidate, request)
        if self.reasons.observed:
            self.reasons.voted(candidate, request, refusal, state.last_vote_epoch)
        if refusal:
            self.output.log("#", f"Failover auth denied to {refusal}")
            return
        assert candidate.master is not None
        state.last_vote_epoch = state.current_epoch
        candidate.master.voted_ms = now_ms
        state.changed(fsync=True)
        self.sender.send(candidate.link, self.sender.message(ms.AUTH_ACK))
        self.output.log("*", f"Failover auth granted to {candidate.shown} for epoch {state.current_epoch}")

    def _refusal(self, candidate: ClusterNode, request: Message) -> str:
        """Return why a replica does not get our vote, or ""."""
        state, master, name = self.state, candidate.master, candidate.shown
        if request.current_epoch < state.current_epoch:
            return f"{name}: reqEpoch ({request.current_epoch}) < curEpoch({state.current_epoch})"
        if state.last_vote_epoch == state.current_epoch:
            return f"{name}: already voted for epoch {state.current_epoch}"
        if candidate.is_master:
            return f"{name}: it is a master node"
        if master is None:
            return f"{name}: I don't know its master"
        if not master.failed and not request.message_flags[0] & ms.FORCE_ACK:
            return f"{name}: its master is up"
        since_ms = self.clock.now_ms - master.voted_ms
        patience_ms = self.config.cluster_node_timeout * 2
        if since_ms < patience_ms:
            wait_ms = patience_ms - since_ms
            return (
                f"{candidate.name} {candidate.nodename}: can't vote about this master before {wait_ms} milliseconds"
            )
        for slot in st.members(st.from_bytes(request.slots)):
            owner = state.owners[slot]
            if owner is None or state.unclaimed >> slot & 1 or owner.config_epoch <= request.config_epoch:
                continue
            return f"{name}: slot {slot} epoch ({owner.config_epoch}) > reqEpoch ({request.config_epoch})"
        return ""

    def voted(self, voter: ClusterNode, epoch: int) -> None:
        """A master has voted for us, in its epoch."""
        if voter.is_master and voter.slots and epoch >= self.epoch:
            self.votes += 1
            self.state.due.failover = True

    # --- standing -----------------------------------------------------------------------------------------------

    def my_rank(self) -> int:
        """Return how many replicas of our master are further than we are."""
        myself = self.state.myself
        master = myself.master
        if master is None:
            return 0
        offset = self.role.offset
        return sum(
            replica is not myself and not replica.flags & st.NOFAILOVER and replica.offset > offset
            for replica in master.replicas
        )

    def stand(self) -> None:
        """Go on with an election in which we stand, or begin one, if our master has failed or it was asked for."""
        config, state, now_ms = self.config, self.state, self.clock.now_ms
        state.due.failover = False
        myself = state.myself
        master = myself.master
        manual = bool(state.manual.end_ms) and state.manual.can_start
        if (
            myself.is_master
            or master is None
            or (not manual and (not master.failed or config.cluster_replica_no_failover))
            or not master.slots
        ):
            self.cannot = ""
            return
        timeout_ms = max(config.cluster_node_timeout * 2, 2000)
        age_ms = now_ms - self.starts_ms
        if not manual and self._data_too_old():
            self._log_cannot(DATA_AGE)
            return
        if age_ms > timeout_ms * 2:
            self._begin()
            return
        if not self.asked and not state.manual.end_ms:
            rank = self.my_rank()
            if rank > self.rank:
                added_ms = (rank - self.rank) * RANK_DELAY_MS
                self.starts_ms += added_ms
                self.rank = rank
                self.output.log("*", f"Replica rank updated to #{rank}, added {added_ms} milliseconds of delay.")
        if now_ms < self.starts_ms:
            self._log_cannot(WAITING_DELAY)
            return
        if age_ms > timeout_ms:
            self._log_cannot(EXPIRED)
            return
        if not self.asked:
            state.current_epoch += 1
            self.epoch = state.current_epoch
            self.output.log("*", f"Starting a failover election for epoch {self.epoch}.")
            if self.reasons.observed:
                self.reasons.election_started(self.epoch)
            self.sender.ask_for_votes()
            self.asked = True
            state.changed(evaluate=True, fsync=True)
            return
        if self.votes < state.quorum:
            self._log_cannot(WAITING_VOTES)
            return
        self.output.log("*", "Failover election won: I'm the new master.")
        if self.reasons.observed:
            self.reasons.elected(self.votes, self.epoch)
        if myself.config_epoch < self.epoch:
            myself.config_epoch = self.epoch
            self.output.log("*", f"configEpoch set to {self.epoch} after successful failover")
        self.take_over()

    def _data_too_old(self) -> bool:
        age_ms, allowed_ms = self._data_age_ms()
        return bool(self.config.cluster_replica_validity_factor) and age_ms > allowed_ms

    def _data_age_ms(self) -> tuple[int, int]:
        """Return how old our data is, and how old it may be."""
        config = self.config
        age_ms = self.role.data_age_ms
        if age_ms > config.cluster_node_timeout:
            age_ms -= config.cluster_node_timeout
        validity_ms = config.cluster_node_timeout * config.cluster_replica_validity_factor
        return age_ms, config.repl_ping_replica_period * 1000 + validity_ms

    def _begin(self) -> None:
        """Set the time at which votes are asked for."""
        state, now_ms = self.state, self.clock.now_ms
        self.votes, self.asked = 0, False
        self.rank = self.my_rank()
        self.starts_ms = now_ms + FIXED_DELAY_MS + self.rng.below(RANDOM_DELAY_MS) + self.rank * RANK_DELAY_MS
        if state.manual.end_ms:
            self.starts_ms, self.rank = now_ms, 0
            state.due.failover = True
        self.output.log(
            "*",
            f"Start of election delayed for {self.starts_ms - now_ms} milliseconds (rank #{self.rank}, offset "
            f"{self.role.offset}).",
        )
        if self.reasons.observed:
            manual = bool(state.manual.end_ms)
            self.reasons.election_planned(self.starts_ms - now_ms, self.rank, self.role.offset, manual)
        self.sender.pong_all(shard_only=True)

    def _log_cannot(self, reason: str) -> None:
        """Log why we cannot take over, if that is new or was not said for a while."""
        state, now_s = self.state, self.clock.now_ms // 1000
        if reason == self.cannot and now_s - self.logged_s < RELOG_PERIOD_S:
            return
        if self.reasons.observed and reason not in (self.cannot, WAITING_DELAY):
            if reason == DATA_AGE:
                self.reasons.data_too_old(*self._data_age_ms())
            else:
                self.reasons.cannot_stand(reason, self.votes)
        self.cannot = reason
        master = state.myself.master
        if master is not None and master.failed:
            failed_for_ms = self.clock.now_ms - master.failed_ms
            if failed_for_ms < self.config.cluster_node_timeout + 5000:
                return
        self.logged_s = now_s
        self.output.log("*", f"Currently unable to failover: {reason}")
        if reason in (WAITING_VOTES, EXPIRED):
            self.output.log("*", f"Needed quorum: {state.quorum}. Number of votes received so far: {self.votes}")

    def take_over(self) -> None:
        """Take the place of our master, with the epoch that we have."""
        state = self.state
        myself = state.myself
        former = myself.master
        if myself.is_master or former is None:
            return
        self.ownership.set_as_master(myself)
        self.role.promote()
        for slot in st.members(former.slots):
            state.release(slot)
            state.assign(slot, myself)
        self.failures.evaluate()
        self.save_now()
        self.sender.pong_all()
        self.end_manual()

    # --- manual failover ----------------------------------------------------------------------------------------

    def end_manual(self) -> None:
        """End a manual failover, whatever it came to."""
        if self.state.manual.replica is not None:
            self.pauses.end(PURPOSE)
        self.state.manual = ManualFailover()

    def requested(self, replica: ClusterNode) -> None:
        """One of our replicas wants to take over: pause clients, and tell it where we stand."""
        self.end_manual()
        manual = self.state.manual
        manual.end_ms = self.clock.now_ms + MANUAL_TIMEOUT_MS
        manual.replica = replica
        until_us = self.clock.monotonic_us + MANUAL_TIMEOUT_MS * PAUSE_FACTOR * 1000
        self.pauses.pause(PURPOSE, until_us, everything=False)
        self.output.log("*", f"Manual failover requested by replica {replica.shown}.")

    def paused_at(self, offset: int) -> None:
        """Our master has paused its clients, at an offset."""
        manual = self.state.manual
        if manual.end_ms and manual.master_offset == -1:
            manual.master_offset = offset
            self.state.due.manual = True
            self.output.log("*", f"Received replication offset for paused master manual failover: {offset}")

    def start_manual(self, force: bool, takeover: bool) -> None:
        """Take our master's place (CLUSTER FAILOVER)."""
        master = self.state.myself.master
        assert master is not None
        self.end_manual()
        self.state.manual.end_ms = self.clock.now_ms + MANUAL_TIMEOUT_MS
        if takeover:
            self.output.log("*", "Taking over the master (user request).")
            self.ownership.bump_epoch()
            self.take_over()
        elif force:
            self.output.log("*", "Forced failover user request accepted.")
            self.state.manual.can_start = True
        else:
            self.output.log("*", "Manual failover user request accepted.")
            self.sender.send(master.link, self.sender.message(ms.MFSTART))

    def go_on_manually(self) -> None:
        """Start the election of a manual failover once we are as far as our master."""
        manual = self.state.manual
        if not manual.end_ms or manual.can_start or manual.master_offset == -1:
            return
        if manual.master_offset == self.role.offset:
            manual.can_start = True
            self.output.log("*", "All master replication stream processed, manual failover can start.")
            self.state.due.failover = True
        else:
            self.state.due.manual = True

    def check_timeout(self) -> None:
        """Give a manual failover up that takes too long."""
        manual = self.state.manual
        if manual.end_ms and manual.end_ms < self.clock.now_ms:
            self.output.log("#", "Manual failover timed out.")
            self.end_manual()

    # --- replica migration --------------------------------------------------------------------------------------

    def migrate(self, most_replicas: int) -> None:
        """Move to a master without working replicas, if of the masters with most we are the one to go."""
        state, now_ms = self.state, self.clock.now_ms
        myself = state.myself
        master = myself.master
        if not state.ok or master is None:
            return
        working = sum(not replica.flags & (st.FAIL | st.PFAIL) for replica in master.replicas)
        if working <= self.config.cluster_migration_barrier:
            return
        candidate, target = myself, None
        for peer in state.nodes.values():
            replicas = peer.working_replicas() if peer.is_master else 0
            orphaned = not peer.is_replica and not peer.failed and bool(peer.flags & st.MIGRATE_TO) and not replicas
            if orphaned:
                if target is None and peer.slots:
                    target = peer
                peer.orphaned_ms = peer.orphaned_ms or now_ms
            else:
                peer.orphaned_ms = 0
            if replicas == most_replicas:
                candidate = min([candidate, *peer.replicas], key=lambda replica: replica.name)
        if target is not None and candidate is myself and now_ms - target.orphaned_ms > MIGRATION_DELAY_MS:
            self.output.log("*", f"Migrating to orphaned master {target.name}")
            if self.reasons.observed:
                self.reasons.moves_to(target, working)
            self.ownership.set_master(target)
