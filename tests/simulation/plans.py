"""What happens to a cluster, by seed: clients, faults, changes of roles, power cuts; and what has to hold then.

    cluster    writes, cuts, crashes, pauses, restarts, promotions; after healing, all are equal
    failover   writes, cuts that heal, FAILOVER; nothing that was answered is lost
    power      one node with an append-only file or snapshots; the power fails anywhere; what was promised is there

A plan plays on a `World`, or on a `History`, which then holds what happened.
"""

from engine.keyspace.digest import dataset_digest
from engine.replication.replica import REPL_STATE_CONNECTED
from engine.simulation.actions import (
    ActionError,
    AddHost,
    Continue,
    Crash,
    Cut,
    Heal,
    OpenClient,
    Pause,
    PullPlug,
    SendCommand,
    SetLink,
    Start,
    Terminate,
    Wipe,
)
from engine.simulation.history import History
from engine.simulation.trace import Logged
from engine.simulation.world import NEVER_US, World
from engine.values.rng import Rng
from tests.simulation.invariants import BrokenError, Promises, Streams, Wires

SECOND = 1_000_000


class Plan:
    """A seed's course of things."""

    def __init__(self, seed, where=None):
        self.rng = Rng(seed * 0x9E3779B9 + 1)
        self.where = where or World(seed, observed=False)
        self.streams = Streams()
        self.wires = Wires()
        self.promises = Promises()
        self.world.observers += [self.wires, self.promises]
        self.counter = 0

    @property
    def world(self):
        return self.where.world if isinstance(self.where, History) else self.where

    def do(self, action):
        try:
            self.where.do(action)
        except ActionError:
            return False
        return True

    def pass_time(self, us):
        self.where.run(self.world.now_us + us)

    def pick(self, things):
        return things[self.rng.below(len(things))]

    def chance(self, percent):
        return self.rng.below(100) < percent

    def look(self, data=False):
        self.streams.look(self.world, data)
        self.wires.look(self.world)

    def client(self, name, host):
        client = self.world.clients.get(name)
        if client is None or not client.connection:
            self.do(OpenClient(name, host))
            self.promises.opened(name)

    def command(self, client, *argv, what=None):
        argv = tuple(word if isinstance(word, bytes) else str(word).encode() for word in argv)
        self.promises.ask(client, what, self.world.now_us)
        if not self.do(SendCommand(client, argv)):
            self.promises.asked[client].pop()
            if what is not None:
                del self.promises.sent[what]

    def write(self, client):
        """Send a random write."""
        key = f"k{self.rng.below(12)}"
        kind = self.rng.below(12)
        self.counter += 1
        if kind < 3:
            self.command(client, "SET", key, f"{self.counter}" * (1 + self.rng.below(40)))
        elif kind == 3:
            self.command(client, "INCR", "n" + key)
        elif kind == 4:
            self.command(client, "RPUSH", "l" + key, *range(1 + self.rng.below(5)))
        elif kind == 5:
            self.command(client, "SADD", "s" + key, *(self.rng.below(30) for _ in range(3)))
        elif kind == 6:
            self.command(client, "SPOP", "s" + key)
        elif kind == 7:
            self.command(client, "SET", "t" + key, "v", "PX", 1 + self.rng.below(3000))
        elif kind == 8:
            for words in (("MULTI",), ("INCR", "m1"), ("SELECT", self.rng.below(2)), ("INCR", "m2"), ("EXEC",)):
                self.command(client, *words)
        elif kind == 9:
            self.command(client, "DEL", key, "l" + key)
        elif kind == 10:
            self.command(client, "LPOP", "l" + key)
        else:
            self.command(client, "SET", "big", f"{self.counter % 10}" * self.rng.below(9000))

    def hosts(self, *states):
        return [name for name, host in self.world.hosts.items() if host.state in states]

    def start_all(self):
        for a in self.world.hosts:
            for b in self.world.hosts:
                if a < b:
                    self.do(Heal(a, b))
                    self.do(SetLink(a, b, 500, 0))
        for name in self.hosts("paused"):
            self.do(Continue(name))
        for name in self.hosts("down"):
            self.do(Start(name))
            if self.world.hosts[name].state != "up":
                raise BrokenError(f"{name} does not start again")

    def converge(self, master):
        """Let everything heal and follow one master; all shall become equal."""
        self.start_all()
        self.pass_time(3 * SECOND)  # whoever was told to shut down may wait for replicas first
        self.start_all()
        self.pass_time(SECOND // 2)
        names = list(self.world.hosts)
        for name in names:
            client = f"last-{name}"
            self.client(client, name)
            self.pass_time(10_000)
            if name == master:
                self.command(client, "REPLICAOF", "NO", "ONE")
        for name in names:
            if name != master:
                self.command(f"last-{name}", "REPLICAOF", self.world.hosts[master].ip, 6379)
        for _ in range(60):
            self.pass_time(SECOND + 137_000)  # not always at the moment of a ping
            if self.equal(master):
                break
        else:
            raise BrokenError(f"after healing, not all became equal to {master}: {self.state()}")
        self.look(data=True)

    def equal(self, master):
        nodes = {name: host.node for name, host in self.world.hosts.items()}
        leader = nodes[master]
        if leader is None or leader.config.is_replica:
            return False
        place = leader.replication.replid, leader.replication.offset
        for name, node in nodes.items():
            if node is None:
                return False
            if name != master:
                if node.replica.state != REPL_STATE_CONNECTED:
                    return False
                if (node.replication.replid, node.replication.offset) != place:
                    return False
                if dataset_digest(node.space) != dataset_digest(leader.space):
                    return False
        return True

    def state(self):
        lines = []
        for name, host in self.world.hosts.items():
            lines.append(f"{name} {host.state}")
            if host.node is not None:
                replication = host.node.replication
                lines[-1] += f" {host.node.replica.state} {replication.replid[:8].decode()}:{replication.offset}"
        return "; ".join(lines)


class ClusterPlan(Plan):
    """A master, replicas, a chain; everything may happen."""

    names = ("a", "b", "c", "d")

    def prepare(self, *more):
        count = 3 + self.rng.below(2)
        diskless = self.pick(("yes", "no"))
        for number, name in enumerate(self.names[:count]):
            above = "172.16.6.11" if number < 2 or self.chance(60) else f"172.16.6.{10 + number}"
            follows = () if number == 0 else (f"replicaof {above} 6379",)
            directives = (
                f"repl-diskless-sync {diskless}",
                "repl-diskless-sync-delay 0",
                "repl-timeout 4",
                "repl-ping-replica-period 1",
                f"repl-backlog-size {self.pick((16384, 16384, 65536))}",
                f"appendonly {'yes' if self.chance(20) else 'no'}",
                "shutdown-timeout 1",
                *more,
                *follows,
            )
            self.do(AddHost(name, f"172.16.6.{11 + number}:6379", directives))
            self.do(Start(name))
        self.pass_time(2 * SECOND)
        self.look()

    def play(self):
        self.prepare()
        for _ in range(26):
            self.writes()
            if self.chance(55):
                self.look()  # before something may take bytes away that nobody has seen
                self.trouble()
            self.pass_time(self.pick((20_000, 150_000, 150_000, 700_000, 1_500_000)))
            self.look(data=self.chance(35))
        self.converge(self.pick(self.hosts("up", "paused", "down")))

    def writes(self):
        for name in self.names[:2]:
            host = self.pick(list(self.world.hosts)) if self.chance(30) else "a"
            self.client(name + "-client", host)
            for _ in range(self.rng.below(4)):
                self.write(name + "-client")

    def trouble(self):
        names = list(self.world.hosts)
        host, other = self.pick(names), self.pick(names)
        kind = self.rng.below(15)
        if kind < 4:
            if host != other:
                how = self.pick(("silent", "silent", "reset", "reset", "half-open"))
                self.do(Cut(host, other, how, self.pick(("both", "both", "a-b", "b-a"))))
        elif kind < 7:
            for a in names:
                for b in names:
                    if a < b and self.chance(70):
                        self.do(Heal(a, b))
        elif kind == 7:
            self.do(Crash(host))
        elif kind == 8:
            self.do(Terminate(host))
        elif kind in (9, 10):
            for name in self.hosts("down"):
                if self.chance(10):
                    self.do(Wipe(name))
                self.do(Start(name))
            for name in self.hosts("paused"):
                self.do(Continue(name))
        elif kind == 11:
            self.do(Pause(host))
        elif kind == 12:
            self.do(SetLink(host, other, self.pick((100, 5_000, 200_000)), self.pick((0, 0, 20_000))))
        elif kind == 13:
            self.client("boss-" + host, host)
            self.command("boss-" + host, "REPLICAOF", "NO", "ONE")
        elif host != other and not self._circle(host, other):
            self.client("boss-" + host, host)
            self.command("boss-" + host, "REPLICAOF", self.world.hosts[other].ip, 6379)

    def _circle(self, host, other):
        """Tell whether `other` follows `host`: a ring has no master, and never comes to rest."""
        by_ip = {entry.ip: entry for entry in self.world.hosts.values()}
        for _ in range(5):
            if other == host:
                return True
            node = self.world.hosts[other].node
            if node is None or node.config.replicaof is None:
                return node is None
            other = by_ip[node.config.replicaof.host].name
        return True


class FailoverPlan(ClusterPlan):
    """The master's role is handed over, again and again, over links that fail; nothing that was answered is lost."""

    def prepare(self, *more):
        super().prepare("replica-serve-stale-data yes")

    def play(self):
        self.prepare()
        for _ in range(22):
            for name in list(self.world.hosts):
                client = "w-" + name
                self.client(client, name)
                for _ in range(self.rng.below(3)):
                    self.counter += 1
                    self.command(client, "SET", f"f{self.counter}", self.counter, what=f"f{self.counter}")
            kind = self.rng.below(10)
            names = list(self.world.hosts)
            host, other = self.pick(names), self.pick(names)
            self.look()
            if kind < 4:
                masters = [
                    n for n in names if self.world.hosts[n].node and not self.world.hosts[n].node.config.is_replica
                ]
                if masters:
                    self.client("boss-" + masters[0], masters[0])
                    self.command("boss-" + masters[0], "FAILOVER", "TIMEOUT", self.pick((300, 2000, 10000)))
            elif kind < 6 and host != other:
                self.do(Cut(host, other, self.pick(("silent", "reset"))))
            elif kind == 6:
                self.do(SetLink(host, other, self.pick((100, 20_000, 200_000)), 0))
            elif kind < 9:
                for a in names:
                    for b in names:
                        if a < b:
                            self.do(Heal(a, b))
            self.pass_time(self.pick((20_000, 150_000, 500_000, 1_500_000)))
            self.look(data=self.chance(30))
        self.start_all()
        masters = []
        for _ in range(40):
            self.pass_time(SECOND + 137_000)
            masters = [n for n, host in self.world.hosts.items() if host.node and not host.node.config.is_replica]
            if len(masters) == 1 and self.equal(masters[0]):
                break
        else:
            if len(masters) > 1 and self.rejected():
                return
            raise BrokenError(f"after healing, not all became equal: {self.state()}")
        held = self.world.hosts[masters[0]].node.space.databases[0].positions
        lost = [what for what in self.promises.told if what.encode() not in held]
        if lost:
            raise BrokenError(f"FAILOVER lost {len(lost)} writes that had been answered, {lost[0]} the first")
        self.look(data=True)

    def rejected(self):
        """Tell whether a link broke after the target took over and before the old master heard of it.

        Redis's own gap: asked again, the target is a master and refuses, and the old one takes its role back.
        """
        return any(
            isinstance(event, Logged) and "Failover target rejected psync request" in event.text
            for event in self.world.trace
        )


class PowerPlan(Plan):
    """One server, whose power fails anywhere; what its fsync policy promises is there afterwards."""

    def play(self):
        self.policy = self.pick(("always", "always", "everysec", "no", "rdb"))
        directives = (
            ("appendonly no", "save 1 1")
            if self.policy == "rdb"
            else (
                "appendonly yes",
                f"appendfsync {self.policy}",
                f"aof-use-rdb-preamble {self.pick(('yes', 'no'))}",
                "auto-aof-rewrite-min-size 3kb",
                "auto-aof-rewrite-percentage 50",
            )
        )
        self.do(AddHost("a", "172.16.6.11:6379", directives))
        self.do(Start("a"))
        self.present = {}
        for _ in range(6):
            self.client("c", "a")
            fuse_at = self.rng.below(12)
            for turn in range(12):
                for _ in range(self.rng.below(4)):
                    self.counter += 1
                    key = f"p{self.rng.below(40)}"
                    self.command("c", "SET", key, self.counter, "GET", what=(key, self.counter))
                if self.chance(8):
                    self.command("c", self.pick(("BGREWRITEAOF", "BGSAVE")))
                if turn == fuse_at and self.chance(60):
                    self.do(PullPlug("a", True, 1 + self.rng.below(25)))
                self.pass_time(self.pick((300, 5_000, 100_000, 600_000)))
            if self.chance(15):
                clean = self.chance(50)
                self.do(Terminate("a") if clean else Crash("a"))
                self.pass_time(SECOND)
                # Unless its power has failed before, or while it went; and under everysec a write may have had to
                # wait, in the process, for the fsync under way.
                lasts = self.world.hosts["a"].powered and self.policy != "rdb"
                cut_us, lossless = self.world.now_us, lasts and (clean or self.policy != "everysec")
            else:
                self.do(PullPlug("a", self.chance(70)))
                cut_us, lossless, lasts = self.world.now_us, False, False
            self.pass_time(SECOND // 10)
            self.again(cut_us, lossless, lasts)

    def again(self, cut_us, lossless, lasts):
        """Start the server and hold what it has against what was promised."""
        self.do(Start("a"))
        host = self.world.hosts["a"]
        if host.state != "up":
            raise BrokenError(f"what is on disk does not load ({self.policy})")
        held_values = dict(host.node.space.databases[0].items())
        newest = {}
        for (key, value), told_us in self.promises.told.items():
            due = lossless or self.policy == "always"
            if self.policy == "everysec" and told_us < self.down_since(cut_us) - 2 * SECOND:
                due = True
            if due and value > newest.get(key, 0):
                newest[key] = value
        for key, value in newest.items():
            held = int(held_values.get(key.encode(), 0))
            if held < value:
                raise BrokenError(f"appendfsync {self.policy}: {key} was answered with {value}, {held} is left")
        for key, value_held in held_values.items():
            if (key.decode(), int(value_held)) not in self.promises.sent:
                raise BrokenError(f"{key} holds {value_held!r}, which nobody wrote")
        # What was lost is lost: from here on only what is there is promised. What outlived a power cut is durable;
        # what outlived a process may be in the page cache alone, and the next process does not know of it.
        since_us = NEVER_US if lasts else 0
        self.promises.told = {
            what: since_us for what in self.promises.told if int(held_values.get(what[0].encode(), 0)) >= what[1]
        }

    def down_since(self, cut_us):
        exits = [h for h in self.world.trace[-400:] if type(h).__name__ == "Exited"]
        return exits[-1].at_us if exits else cut_us


PLANS = {"cluster": ClusterPlan, "failover": FailoverPlan, "power": PowerPlan}


def kind_of(seed):
    """Return which plan a seed plays."""
    return ("cluster", "power", "cluster", "failover")[seed % 4]


def play(seed, where=None, kind=""):
    """Play a seed; raises BrokenError when something does not hold. Returns the plan."""
    plan = PLANS[kind or kind_of(seed)](seed, where)
    plan.play()
    return plan
