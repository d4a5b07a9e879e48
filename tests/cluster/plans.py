"""What happens to a simulated cluster, by seed, and what has to hold whatever happens.

Nodes crash, lose power, are paused, are cut off from each other, lose their nodes.conf and data; slots move
meanwhile, and replicas are asked to take over. Throughout:

- a node votes for no more than one other in an epoch, also after a crash;
- no two replicas win elections in the same epoch, and the winner has the votes of the majority of masters;
- no node is marked as failing unless so many masters as are a majority could not reach it of late.

After everything has been healed and redis-cli --cluster fix was run:

- all nodes agree who serves which slot, every slot is served, and no two masters have the same epoch;
- the replicas follow their masters and hold the same data;
- every key is held by the master of its slot, and by no other: none was lost or doubled by a migration;
- acknowledged writes are lost only if a master was replaced later by an election, or has lost its data.

Redis 7.2 elects a replica that has just moved to another master and has not had its data yet, and so do we: what such
a replica was elected for is gone, and what it held before stays. Keys are not looked at where that has happened.
"""

import functools
from collections import deque

from engine.cluster import state as st
from engine.keyspace.digest import dataset_digest
from engine.keyspace.slots import SLOTS, key_slot
from engine.simulation.actions import (
    ActionError,
    AddClusterApplication,
    Continue,
    Crash,
    Heal,
    Pause,
    PullPlug,
    SendCommand,
    SetLink,
    Wipe,
)
from engine.simulation.cluster_application import ClusterApplication
from engine.simulation.cluster_state import cluster_views
from engine.simulation.trace import Logged
from engine.values.list import ListValue
from engine.values.rng import Rng
from tests.cluster.admin import manage
from tests.cluster.simulated import SECOND_US, TIMEOUT_MS, SimulatedCluster
from tests.seeds import cut_some_off

LOOK_S = 0.1
SETTLE_S = 90
RECENTLY_US = (2 * TIMEOUT_MS + 3000) * 1000  # for which reports count, and their way
MOVES = 6  # slots of a resharding: the first of a master, which have keys
KEYED = 2 * MOVES  # slots with keys that are never changed, for each master
LOGGED = 4  # and slots with keys in which the application writes


# What a replica logs.
FOLLOWS_ANOTHER = (
    "Migrating to orphaned master",
    "Configuration change detected. Reconfiguring",
    "I'm a sub-replica",
)
IS_IN_STEP = ("MASTER <-> REPLICA sync: Finished with success", "Successful partial resynchronization")
TAKES_OVER = ("Failover election won", "Taking over the master")


@functools.cache
def _tags() -> dict[int, str]:
    found: dict[int, str] = {}
    number = 0
    while len(found) < SLOTS:
        found.setdefault(key_slot(b"%d" % number), str(number))
        number += 1
    return found


def tag_of(slot: int) -> str:
    """Return a hash tag of a slot."""
    return _tags()[slot]


class BrokenError(AssertionError):
    """An invariant does not hold."""


class Invariants:
    """What is known of votes, elections and failures."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.cluster = cluster
        self.votes: dict[tuple[str, int], str] = {}  # (voter, epoch) -> for whom
        self.winners: dict[int, str] = {}
        self.failing: dict[tuple[str, str], int] = {}  # (observer, subject) -> when it last could not reach it
        self.replaced: dict[str, int] = {}  # node -> when it last took the slots of its master
        self.elections = 0
        self.strangers: set[str] = set()  # replicas that have not had their master's data yet
        self.stranger_won = False
        self.recent: deque[str] = deque(maxlen=400)
        cluster.world.observers.append(self.told)

    def told(self, event: object) -> None:
        if not isinstance(event, Logged) or event.host not in self.cluster.names:
            return
        host, text = event.host, event.text
        self.recent.append(f"{event.at_us / SECOND_US % 10000:.3f} {host} {text}")
        node = self.cluster.world.hosts[host].node
        if node is None or node.cluster is None:
            return
        me = node.cluster.state.myself.name
        if text.startswith(FOLLOWS_ANOTHER):
            self.strangers.add(host)
        elif text.startswith(IS_IN_STEP):
            self.strangers.discard(host)
        elif text.startswith(TAKES_OVER):
            self.stranger_won |= host in self.strangers
        if text.startswith("Failover auth granted to "):
            words = text.split()
            candidate, epoch = words[4], int(words[-1])
            before = self.votes.setdefault((me, epoch), candidate)
            self.check(before == candidate, f"{host} voted for {before} and {candidate} in epoch {epoch}")
        elif text.startswith("configEpoch set to") and "successful failover" in text:
            epoch = int(text.split()[3])
            self.elections += 1
            other = self.winners.setdefault(epoch, me)
            self.check(other == me, f"{other} and {me} ({host}) won in epoch {epoch}")
            votes = sum(voted_in == epoch and whom == me for (_, voted_in), whom in self.votes.items())
            needed = node.cluster.state.quorum
            self.check(votes >= needed, f"{host} won in epoch {epoch} with {votes} votes, not {needed}")
            self.replaced[host] = event.at_us
        elif text.startswith("Marking node ") and "quorum reached" in text:
            subject = text.split()[2]
            self.look()
            oldest_us = event.at_us - RECENTLY_US
            agree = [each for (each, whom), at_us in self.failing.items() if whom == subject and at_us >= oldest_us]
            needed = node.cluster.state.quorum
            self.check(len(agree) >= needed, f"{host} marks {subject} as failing, only {agree} could not reach it")

    def look(self) -> None:
        """Note who cannot reach whom."""
        now_us = self.cluster.world.now_us
        for name in self.cluster.running():
            part = self.cluster.world.hosts[name].node.cluster  # type: ignore[union-attr]
            if part is None or part.state.myself.is_replica:
                continue
            for peer in part.state.nodes.values():
                if peer.flags & (st.PFAIL | st.FAIL):
                    self.failing[part.state.myself.name, peer.name] = now_us

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            raise BrokenError("\n".join((what, *self.recent)))


class Plan:
    """A seed's course of things."""

    def __init__(self, seed: int) -> None:
        self.rng = Rng(seed * 0x9E3779B9 + 11)
        masters = 3 + self.rng.below(2)
        replicas = 2 if masters == 3 and not self.rng.below(3) else 1
        self.cluster = SimulatedCluster(
            seed, masters, replicas, "appendonly yes", "appendfsync always", "repl-timeout 10",
            "repl-ping-replica-period 2", observed=False,
        )  # fmt: skip
        self.world = self.cluster.world
        self.names = self.cluster.names
        self.invariants = Invariants(self.cluster)
        firsts = [SLOTS // masters * number for number in range(masters)]
        tags = [tag_of(first + at) for first in firsts for at in range(KEYED)]
        self.static = [f"static:{{{tag}}}:{number}".encode() for tag in tags for number in range(2)]
        self.acknowledged: list[tuple[int, str, int]] = []  # number, address of who did, when
        self.seen = 0
        self.wiped = self.lost_id = ""
        self.lost_master = False
        self.faults_left = 0  # of a migration: commands until a fault
        addresses = tuple(self.world.hosts[name].address for name in self.names)
        moving = [tag_of(first + at) for first in firsts for at in range(0, KEYED, KEYED // LOGGED)]
        keys = tuple(f"log:{number}" for number in (*(f"{{{tag}}}" for tag in moving), *range(12)))
        self.world.do(AddClusterApplication("app", addresses, keys, "map", 50_000))
        app = self.world.applications["app"]
        assert isinstance(app, ClusterApplication)
        self.app = app

    def any_of(self, names: list[str]) -> str:
        return names[self.rng.below(len(names))]

    def run(self, seconds: float) -> None:
        """Let time pass, and look at everything again and again."""
        end_us = self.world.now_us + int(seconds * SECOND_US)
        while self.world.now_us < end_us:
            self.world.run(min(end_us, self.world.now_us + int(LOOK_S * SECOND_US)))
            self.look()

    def look(self) -> None:
        self.invariants.look()
        fresh = self.app.acknowledged[self.seen :]
        self.acknowledged += [(number, self.app.target, self.world.now_us) for number in fresh]
        self.seen += len(fresh)
        self.world.trace.clear()

    # --- the course ---------------------------------------------------------------------------------------------

    def play(self) -> None:
        self.fill()
        self.run(2)
        for _ in range(3 + self.rng.below(5)):
            if self.rng.below(3):
                self.fault()
            else:
                self.reshard()
            self.run(1 + self.rng.below(8))
        self.heal()
        self.settle()

    def fill(self) -> None:
        """Set keys that are never changed."""
        for key in self.static:
            for name in self.cluster.masters:
                part = self.cluster.part(name)
                if part.state.owners[key_slot(key)] is part.state.myself:
                    assert self.cluster.ask(name, "SET", key.decode(), "x") == b"+OK\r\n"

    def fault(self) -> None:
        """Something goes wrong."""
        choice = self.rng.below(13)
        host = self.any_of(self.names)
        try:
            if choice < 3:
                self.world.do(Crash(host))
            elif choice < 5:
                self.world.do(PullPlug(host, bool(self.rng.below(2)), self.rng.below(2) * (1 + self.rng.below(40))))
            elif choice < 6:
                self.world.do(Pause(host))
            elif choice < 8:
                self.cut()
            elif choice < 9:
                other = self.any_of(self.names)
                if other != host:
                    self.world.do(SetLink(host, other, self.rng.below(600_000), 0))
            elif choice < 10:
                self.lose_everything(host)
            elif choice < 11:
                self.fail_over(host)
            else:
                self.restart(host)
        except ActionError:
            pass  # it is down already

    def cut(self) -> None:
        """Cut some nodes off from the others."""
        cut_some_off(self.world, self.rng, self.names)

    def lose_everything(self, host: str) -> None:
        """A replica, or a master whose replica is in step, loses nodes.conf and its data; once in a seed."""
        node = self.world.hosts[host].node
        if self.wiped or node is None or node.cluster is None or self.invariants.elections:
            return
        if not node.config.is_replica and not any(
            seen.replica is not None and seen.replica.state == "online" for seen in node.master.replicas.values()
        ):
            return
        self.wiped = host
        self.lost_id = node.cluster.state.myself.name
        self.lost_master = node.cluster.state.myself.is_master
        self.invariants.replaced[host] = self.world.now_us + 60 * SECOND_US
        self.world.do(Crash(host))
        self.world.do(Wipe(host))

    def fail_over(self, host: str) -> None:
        """Ask a replica to take over."""
        node = self.world.hosts[host].node
        if node is not None and node.config.is_replica:
            client = self.cluster.client(host)
            self.world.do(SendCommand(client, (b"CLUSTER", b"FAILOVER")))

    def restart(self, host: str) -> None:
        state = self.world.hosts[host].state
        if state == "down":
            if host != self.wiped or self.is_replaced():
                self.cluster.start(host)
        elif state == "paused":
            self.world.do(Continue(host))
        else:
            for other in self.names:
                if other != host:
                    self.world.do(Heal(host, other))

    def is_replaced(self) -> bool:
        """Tell whether others have taken the slots of a node that has lost its data.

        Before, its replicas would follow what starts at its address, and lose their data too.
        """
        views = [self.cluster.part(name).state.find(self.lost_id) for name in self.cluster.running()]
        return not self.lost_master or any(seen is not None and not seen.slots for seen in views)

    def reshard(self) -> None:
        """Move some slots with keys between two masters; at any command something may go wrong."""
        views = {name: view for name, view in cluster_views(self.world).items() if view.slots and view.ok}
        if len(views) < 2:
            return
        source, target = (self.any_of(list(views)) for _ in range(2))
        if source == target:
            return
        self.faults_left = self.rng.below(60) if self.rng.below(2) else 0
        manage(
            self.world, self._during, "reshard", self.world.hosts[source].address,
            source=views[source].id, target=views[target].id, slots=MOVES,
        )  # fmt: skip
        self.faults_left = 0
        self.look()

    def _during(self) -> None:
        self.look()
        if self.faults_left:
            self.faults_left -= 1
            if not self.faults_left:
                self.fault()

    # --- the end ------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Nothing is wrong any more; who has lost its nodes.conf joins again as a replica."""
        for at, a in enumerate(self.names):
            for b in self.names[at + 1 :]:
                self.world.do(Heal(a, b))
                self.world.do(SetLink(a, b, 500, 0))
        for host in self.names:
            self.world.hosts[host].crash_after = 0
            if self.world.hosts[host].state in ("down", "paused"):
                self.restart(host)
        self.run(25)
        if self.wiped:
            if self.world.hosts[self.wiped].node is None:
                if not self.is_replaced():
                    self.replace_lost_master()
                self.cluster.start(self.wiped)
                self.run(5)
            if len(self.cluster.part(self.wiped).state.nodes) == 1:
                self.rejoin()
        for _ in range(3):
            self.run(5)
            manage(self.world, self.look, "fix", self.world.hosts[self.member()].address)

    def member(self) -> str:
        """Return a node that knows the others."""
        return next(name for name in self.names if len(self.cluster.part(name).state.nodes) > 2)

    def replace_lost_master(self) -> None:
        """Have a replica take over from the master that has lost its data: there was no majority to elect it."""
        replicas = [name for name in self.cluster.running() if self.master_of(name) == self.lost_id]
        best = max(replicas, key=lambda name: len(self.cluster.world.hosts[name].node.space.databases[0]))  # type: ignore[union-attr]
        self.cluster.ask(best, "CLUSTER", "FAILOVER", "TAKEOVER")
        self.run(5)

    def rejoin(self) -> None:
        """Forget who does not exist any more, and have the node without a memory join."""
        known = {self.cluster.part(name).state.myself.name for name in self.names}
        for name in self.names:
            for ghost in [each for each in self.cluster.part(name).state.nodes if each not in known]:
                self.cluster.ask(name, "CLUSTER", "FORGET", ghost)
        self.run(3)  # slots of the ghost that were being imported are claimed now
        status, text = manage(
            self.world, self.look, "add-node", self.world.hosts[self.wiped].address,
            self.world.hosts[self.member()].address, as_replica=True, fix=True,
        )  # fmt: skip
        self.invariants.check(status == 0, f"it cannot join again: {text}")

    def settle(self) -> None:
        """Everything has to be well within a while."""
        wrong = ""
        for _ in range(SETTLE_S // 5):
            self.run(5)
            wrong = self.unsettled()
            if not wrong:
                break
        self.invariants.check(not wrong, f"not settled: {wrong}")
        self.check_data()

    def unsettled(self) -> str:
        """Return what is not well yet."""
        views = cluster_views(self.world)
        if len(views) != len(self.names):
            return f"only {sorted(views)} run"
        if len({view.owners for view in views.values()}) > 1:
            return f"views differ: { {name: view.owners for name, view in views.items()} }"
        for name, view in views.items():
            if not view.ok or sum(last - first + 1 for first, last, _ in view.owners) != SLOTS:
                return f"{name} considers the cluster down"
            if view.migrating or view.importing:
                return f"{name} has open slots"
            bad = [peer.name for peer in view.peers if peer.health not in ("ok", "me")]
            if bad:
                return f"{name} does not reach {bad}"
        epochs = [view.epoch for view in views.values() if view.slots]
        if len(set(epochs)) != len(epochs):
            return f"epochs collide: {epochs}"
        for name in self.names:
            node = self.world.hosts[name].node
            assert node is not None and node.cluster is not None
            if node.cluster.state.myself.is_replica and not self.cluster.in_step(name):
                return f"{name} is not in step"
        return ""

    def check_data(self) -> None:
        """Every key is where it belongs, and nowhere else."""
        check = self.invariants.check
        self.app.period_us = 1 << 50  # it writes no more
        self.run(3)
        views = cluster_views(self.world)
        held: set[int] = set()
        keys: dict[bytes, str] = {}
        for name, view in views.items():
            node = self.world.hosts[name].node
            assert node is not None and node.cluster is not None
            if node.cluster.state.myself.is_replica:
                master = next(each for each in self.names if views[each].id == self.master_of(name))
                mine, theirs = (dataset_digest(self.world.hosts[each].node.space) for each in (name, master))  # type: ignore[union-attr]
                check(mine == theirs, f"{name} does not hold what {master} holds")
                continue
            if self.invariants.stranger_won:
                continue
            for key, value in node.space.databases[0].items():
                check(view.owner_of(key_slot(key)) == name, f"{name} holds {key!r}, whose slot is served elsewhere")
                check(key not in keys, f"{name} and {keys.get(key)} hold {key!r}")
                keys[key] = name
                if isinstance(value, ListValue):
                    held |= {int(each) for each in value}
        if self.invariants.stranger_won:
            return
        missing = [key for key in self.static if key not in keys]
        check(not missing, f"lost: {missing}")
        for number, address, at_us in self.acknowledged:
            if number not in held:
                # Its key may have moved to another node since, which was replaced.
                replaced_us = max(self.invariants.replaced.values(), default=0)
                check(replaced_us >= at_us, f"{number} is lost, which {address} acknowledged at {at_us}")

    def master_of(self, name: str) -> str:
        part = self.cluster.part(name)
        return part.state.my_master.name


def play(seed: int) -> Plan:
    """Play a seed; raises BrokenError."""
    plan = Plan(seed)
    plan.play()
    return plan
