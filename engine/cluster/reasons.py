"""Why a node of a cluster decides as it does, and what it learns from messages: events for observers.

Every decision is a question, the conditions that were looked at, each of which holds or does not, and the answer.
Nodes are named by their IDs. Without observers nothing of this is computed: guard calls with `if reasons.observed`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from engine.cluster.messages import FORCE_ACK, Message, type_name
from engine.cluster.state import (
    FAIL,
    HANDSHAKE,
    MASTER,
    NOFAILOVER,
    PFAIL,
    REPLICA,
    ClusterNode,
    ClusterState,
    ranges,
)
from engine.core import Core
from engine.keyspace.slots import key_slot
from engine.observe.events import ClusterDecided, ClusterLearned, Condition, stated
from engine.protocol.resp import Argv

_ROLE = MASTER | REPLICA
KEYS_SHOWN = 4  # of a command


class _Belief(NamedTuple):
    """What a node believes about another, as far as messages change it without a decision."""

    name: str
    flags: int
    master: str
    epoch: int
    slots: int
    address: str


def slots_text(slots: int) -> str:
    """Return a set of slots as ranges."""
    texts = [f"{first}-{last}" if first != last else str(first) for first, last in ranges(slots)]
    return " ".join(texts[:4]) + (f" and {len(texts) - 4} more ranges" if len(texts) > 4 else "")


class Reasons:
    """Tells observers of decisions and of what was learned."""

    def __init__(self, core: Core, state: ClusterState) -> None:
        self.config = core.config
        self.clock = core.clock
        self.events = core.events
        self.state = state

    @property
    def observed(self) -> bool:
        """Whether anybody wants to know the reasons of decisions."""
        return bool(self.events.observers)

    def decided(self, question: str, conditions: Iterable[Condition], answer: str) -> None:
        """Tell of a decision."""
        self.events.emit(ClusterDecided(self.clock.monotonic_us, question, tuple(conditions), answer))

    # --- failures -----------------------------------------------------------------------------------------------

    def possibly_failing(self, peer: ClusterNode, silent_ms: int) -> None:
        """A node is PFAIL."""
        timeout_ms = self.config.cluster_node_timeout
        silence = Condition(
            True, f"the PING has had no reply for {silent_ms} ms; cluster-node-timeout is {timeout_ms}"
        )
        self.decided(f"Does {peer.name} answer?", [silence], "PFAIL: this node considers it down")

    def failing(self, peer: ClusterNode, agree: int) -> None:
        """The reports about a node were counted."""
        state, now_ms = self.state, self.clock.now_ms
        me = state.myself
        down = bool(peer.flags & (PFAIL | FAIL))
        conditions = [stated(down, "this node considers it down (PFAIL)", "this node does not consider it down")]
        for name, at_ms in peer.reports.items():
            conditions.append(Condition(True, f"{name} reported it {now_ms - at_ms} ms ago"))
        if not me.is_master:
            conditions.append(Condition(False, "this node is a replica: its own opinion does not count"))
        enough = f"{agree} of {state.size} masters with slots agree; the majority is {state.quorum}"
        conditions.append(Condition(agree >= state.quorum, enough))
        holds = conditions[0].holds and conditions[-1].holds
        self.decided(f"Has {peer.name} failed?", conditions, "FAIL, and tells every node" if holds else "not yet")

    def told_failing(self, peer: ClusterNode, sender: ClusterNode) -> None:
        """A FAIL message came."""
        majority = Condition(True, f"{sender.name} says that the majority of masters agrees")
        self.decided(f"Has {peer.name} failed?", [majority], "FAIL")

    def answers_again(self, peer: ClusterNode, conditions: Iterable[Condition], answer: str) -> None:
        """A node that was PFAIL or FAIL has answered."""
        again = Condition(True, "it has answered a PING")
        self.decided(f"Is {peer.name} back?", [again, *conditions], answer)

    def evaluated(self, ok: bool, reachable: int) -> None:
        """The cluster is up, or down, from now on."""
        state = self.state
        conditions = []
        unserved = sum(1 << slot for slot, owner in enumerate(state.owners) if owner is None)
        failed: dict[str, int] = {}
        for slot, owner in enumerate(state.owners):
            if owner is not None and owner.failed:
                failed[owner.name] = failed.get(owner.name, 0) | 1 << slot
        if not self.config.cluster_require_full_coverage:
            conditions.append(Condition(True, "cluster-require-full-coverage is no: slots may be missing"))
        elif unserved or failed:
            if unserved:
                conditions.append(Condition(False, f"no node serves {slots_text(unserved)}"))
            conditions += [
                Condition(False, f"{slots_text(slots)} belong to {name}, which has failed")
                for name, slots in failed.items()
            ]
        else:
            conditions.append(Condition(True, "all 16384 slots are served"))
        majority = f"{reachable} of {state.size} masters with slots are reachable; the majority is {state.quorum}"
        conditions.append(Condition(reachable >= state.quorum, majority))
        answer = "ok" if ok else "fail: commands with keys get CLUSTERDOWN"
        self.decided("Is the cluster up?", conditions, answer)

    # --- elections ----------------------------------------------------------------------------------------------

    def election_planned(self, delay_ms: int, rank: int, offset: int, manual: bool) -> None:
        """An election was scheduled."""
        master = self.state.myself.master
        if master is None:
            return
        if manual:
            conditions = [Condition(True, "CLUSTER FAILOVER asks for it: without delay")]
        else:
            ahead = [
                replica
                for replica in master.replicas
                if replica is not self.state.myself and replica.offset > offset and not replica.flags & NOFAILOVER
            ]
            conditions = [Condition(True, f"its master {master.name} has failed")]
            conditions += [
                Condition(False, f"{each.name} has more of the history: offset {each.offset}, this node {offset}")
                for each in ahead
            ]
            after = f"500 ms, a random time of up to 500 ms, and {rank} × 1000 ms for rank {rank}"
            conditions.append(Condition(True, after))
        self.decided("When does this node ask for votes?", conditions, f"in {delay_ms} ms")

    def election_started(self, epoch: int) -> None:
        """Votes are asked for."""
        quorum = Condition(True, f"{self.state.quorum} of {self.state.size} masters are the majority")
        self.decided("Stand for election?", [quorum], f"asks every master for its vote in epoch {epoch}")

    def cannot_stand(self, reason: str, votes: int) -> None:
        """A failover does not go on."""
        needed = f"votes: {votes}, needed: {self.state.quorum}"
        self.decided("Take the place of its master?", [Condition(False, reason), Condition(False, needed)], "not now")

    def data_too_old(self, age_ms: int, allowed_ms: int) -> None:
        """This replica does not stand: its data is too old."""
        factor = self.config.cluster_replica_validity_factor
        condition = Condition(
            False,
            f"its data is {age_ms} ms old; {allowed_ms} ms are allowed "
            f"(cluster-replica-validity-factor {factor} × cluster-node-timeout + repl-ping-replica-period)",
        )
        self.decided("Stand for election?", [condition], "no: its data is too old")

    def elected(self, votes: int, epoch: int) -> None:
        """This node is the new master."""
        majority = Condition(True, f"{votes} votes; the majority of {self.state.size} masters is {self.state.quorum}")
        self.decided("Take the place of its master?", [majority], f"yes, with configuration epoch {epoch}")

    def voted(self, candidate: ClusterNode, request: Message, refusal: str, last_vote_epoch: int) -> None:
        """A vote was given, or refused."""
        state, master = self.state, candidate.master
        epoch = request.current_epoch
        conditions = [
            stated(
                epoch >= state.current_epoch,
                f"its epoch is {epoch}, and the current one {state.current_epoch}",
                f"its epoch, {epoch}, is earlier than the current one, {state.current_epoch}",
            ),
            stated(
                last_vote_epoch != state.current_epoch,
                f"no vote was given in epoch {state.current_epoch} yet (the last was in {last_vote_epoch})",
                f"the vote of epoch {state.current_epoch} has been given",
            ),
        ]
        if master is not None:
            forced = bool(request.message_flags[0] & FORCE_ACK)
            if forced:
                conditions.append(Condition(True, f"it asks to be elected though its master {master.name} is up"))
            else:
                failed = f"its master {master.name} has failed"
                conditions.append(stated(master.failed, failed, f"its master {master.name} has not failed"))
        if refusal and all(condition.holds for condition in conditions):
            conditions.append(Condition(False, refusal.partition(": ")[2] or refusal))
        answer = "refuses" if refusal else f"votes for {candidate.name}, and saves this before it answers"
        self.decided(f"Vote for {candidate.name} in epoch {epoch}?", conditions, answer)

    def moves_to(self, target: ClusterNode, working: int) -> None:
        """This replica moves to a master without one."""
        barrier = self.config.cluster_migration_barrier
        conditions = [
            Condition(True, f"{target.name} has had no working replica for 5000 ms"),
            Condition(True, f"its master has {working} working replicas; cluster-migration-barrier is {barrier}"),
            Condition(True, "of the replicas of the masters with most, this one has the smallest ID"),
        ]
        self.decided("Move to another master?", conditions, f"becomes a replica of {target.name}")

    # --- slots --------------------------------------------------------------------------------------------------

    def follows(self, winner: ClusterNode, slots: int, epoch: int, former_epoch: int) -> None:
        """This node has lost its last slot, and replicates who took it."""
        conditions = [
            Condition(
                True, f"{winner.name} claims {slots_text(slots)} under epoch {epoch}, later than {former_epoch}"
            ),
            Condition(True, "no slot is left to this shard"),
        ]
        self.decided("Stay as it is?", conditions, f"becomes a replica of {winner.name}")

    def outdated(self, sender: ClusterNode, epoch: int, owner: ClusterNode, slot: int) -> None:
        """A node claims a slot that another serves under a later epoch."""
        condition = Condition(
            False, f"slot {slot} is served by {owner.name} under epoch {owner.config_epoch}, later than {epoch}"
        )
        answer = f"no: sends an UPDATE about {owner.name}"
        self.decided(f"Accept the slots that {sender.name} claims under epoch {epoch}?", [condition], answer)

    def collided(self, other: ClusterNode, former_epoch: int, epoch: int) -> None:
        """Another master has the same configuration epoch."""
        conditions = [
            Condition(False, f"{other.name} has configuration epoch {former_epoch} too"),
            Condition(True, f"the smaller ID gives way, and {self.state.myself.name} is smaller"),
        ]
        self.decided("Is its configuration epoch unique?", conditions, f"takes epoch {epoch}")

    def redirected(self, argv: Argv, keys: list[bytes], existing: int, asking: bool, error: bytes) -> None:
        """A command does not run here."""
        state = self.state
        slots = {key: key_slot(key) for key in keys}
        conditions = [
            Condition(True, f"{_text(key)} is in slot {slot}") for key, slot in list(slots.items())[:KEYS_SHOWN]
        ]
        if len(set(slots.values())) > 1:
            conditions.append(Condition(False, "the keys are in several slots"))
        elif slots:
            conditions += self._ways(next(iter(slots.values())), len(keys), existing, asking)
        if error.startswith(b"CLUSTERDOWN"):
            up = "this node considers the cluster up"
            conditions.append(stated(state.ok, up, "this node considers the cluster down"))
        self.decided(f"Run {_text(b' '.join(argv[:3]))} here?", conditions, error.decode("latin-1"))

    def _ways(self, slot: int, count: int, existing: int, asking: bool) -> Iterable[Condition]:
        """Return what there is to know about the slot of a command's keys."""
        state = self.state
        owner = state.owners[slot]
        if owner is None:
            yield Condition(False, f"no node serves slot {slot}")
        elif owner is not state.myself:
            yield Condition(False, f"slot {slot} is served by {owner.name}")
        else:
            yield Condition(True, f"slot {slot} is served by this node")
        if slot in state.migrating and owner is state.myself:
            yield Condition(existing == count, f"{existing} of {count} keys are still here")
            yield Condition(False, f"the slot is migrating to {state.migrating[slot].name}")
        if slot in state.importing:
            yield Condition(True, f"the slot is being imported from {state.importing[slot].name}")
            yield stated(asking, "the client has sent ASKING", "the client has not sent ASKING")
            if asking:
                yield Condition(existing == count, f"{existing} of {count} keys have arrived")

    # --- what is learned from messages --------------------------------------------------------------------------

    def beliefs(self) -> dict[ClusterNode, _Belief]:
        """Return what is believed now, to be compared later."""
        return {
            peer: _Belief(
                peer.name,
                peer.flags & (_ROLE | HANDSHAKE),
                peer.master.name if peer.master is not None else "",
                peer.config_epoch,
                peer.slots,
                f"{peer.ip}:{peer.port}",
            )
            for peer in self.state.nodes.values()
        }

    def learned(self, before: dict[ClusterNode, _Belief], epoch: int, data: bytes) -> None:
        """Tell what has changed with a message."""
        now = self.beliefs()
        changes: list[str] = []
        for peer, belief in now.items():
            former = before.get(peer)
            if belief != former:
                changes += _differences(former, belief, peer is self.state.myself)
        changes += [f"forgets {former.name}" for peer, former in before.items() if peer not in now]
        if self.state.current_epoch != epoch:
            changes.append(f"the current epoch is {self.state.current_epoch}")
        if changes:
            kind = type_name(int.from_bytes(data[12:14], "big")).upper()
            sender = data[40:80].decode("latin-1")
            self.events.emit(ClusterLearned(self.clock.monotonic_us, kind, sender, tuple(changes)))


def _differences(former: _Belief | None, now: _Belief, is_me: bool) -> Iterable[str]:
    handshake = now.flags & HANDSHAKE
    if former is None:
        yield f"begins a handshake with the node at {now.address}" if handshake else f"knows {now.name}"
        if handshake:
            return
        former = _Belief(now.name, now.flags, now.master, now.epoch, now.slots, now.address)
    elif former.flags & HANDSHAKE and not handshake:
        yield f"the handshake with {now.name} is complete"
    if now.master and now.master != former.master:
        yield f"{now.name} is a replica of {now.master}"
    elif now.flags & MASTER and former.flags & REPLICA:
        yield f"{now.name} is a master"
    if now.slots != former.slots:
        gained, lost = now.slots & ~former.slots, former.slots & ~now.slots
        yield (
            f"{now.name} serves {slots_text(gained)}" if gained else f"{now.name} no longer serves {slots_text(lost)}"
        )
    if now.epoch != former.epoch:
        yield f"{now.name} has configuration epoch {now.epoch}"
    if now.address != former.address:
        yield f"this node has the address {now.address}" if is_me else f"{now.name} is at {now.address}"


def _text(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return text if len(text) <= 40 else text[:39] + "…"
