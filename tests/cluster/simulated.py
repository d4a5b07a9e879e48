"""Clusters in the simulated world: made, asked, waited for."""

from engine.cluster import Cluster
from engine.keyspace.slots import SLOTS
from engine.simulation.actions import AddHost, OpenClient, SendCommand, Start
from engine.simulation.trace import Delivered, Logged
from engine.simulation.world import World

SECOND_US = 1_000_000
TIMEOUT_MS = 2000


class SimulatedCluster:
    """Masters `a`, `b`, `c` … and a replica `ra` … for each, with clients at every node."""

    def __init__(
        self, seed: int, masters: int = 3, replicas: int = 1, *directives: str, observed: bool = True
    ) -> None:
        self.world = World(seed, observed)
        self.masters = [chr(ord("a") + number) for number in range(masters)]
        self.replicas = [f"r{name}{number or ''}" for number in range(replicas) for name in self.masters]
        self.names = self.masters + self.replicas
        self.directives = (
            "cluster-enabled yes",
            f"cluster-node-timeout {TIMEOUT_MS}",
            "repl-diskless-sync-delay 0",
            *directives,
        )
        for number, name in enumerate(self.names):
            self.world.do(AddHost(name, f"10.0.0.{number + 1}:6379", self.directives))
            self.start(name)
        share = SLOTS // masters
        for number, name in enumerate(self.masters):
            last = SLOTS - 1 if number == masters - 1 else share * (number + 1) - 1
            self.ask(name, "CLUSTER", "ADDSLOTSRANGE", str(share * number), str(last))
            self.ask(name, "CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for number in range(1, len(self.names)):
            self.ask("a", "CLUSTER", "MEET", f"10.0.0.{number + 1}", "6379")
        self.until(lambda: all(len(self.part(name).state.nodes) == len(self.names) for name in self.names), "met")
        for name in self.replicas:
            assert self.ask(name, "CLUSTER", "REPLICATE", self.part(name[1]).state.myself.name) == b"+OK\r\n"
        self.until(self.is_up, "the cluster is up")
        self.until(lambda: all(self.in_step(name) for name in self.replicas), "replicas are in step")

    def start(self, name: str) -> None:
        """Start a node, with a client at it."""
        self.world.do(Start(name))
        if (client := f"client-{name}-{self.world.hosts[name].incarnation}") not in self.world.machines:
            self.world.do(OpenClient(client, name))

    def client(self, name: str) -> str:
        """Return the name of the client at a node."""
        return f"client-{name}-{self.world.hosts[name].incarnation}"

    def part(self, name: str) -> Cluster:
        """Return a node's part in the cluster."""
        node = self.world.hosts[name].node
        assert node is not None and node.cluster is not None
        return node.cluster

    def running(self) -> list[str]:
        """Return the names of the nodes that run."""
        return [name for name in self.names if self.world.hosts[name].node is not None]

    def is_up(self) -> bool:
        """Tell whether all that run take the cluster to be up."""
        return all(self.part(name).state.ok for name in self.running())

    def in_step(self, name: str) -> bool:
        """Tell whether a replica is connected to its master, and all nodes that run know its master."""
        node, part = self.world.hosts[name].node, self.part(name)
        master = part.state.myself.master
        if node is None or node.replica.client is None or master is None:
            return False
        views = [self.part(other).state.nodes[part.state.myself.name].master for other in self.running()]
        return all(view is not None and view.name == master.name for view in views)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.world.run(self.world.now_us + int(seconds * SECOND_US))

    def until(self, condition: object, what: str, seconds: float = 60) -> float:
        """Let time pass until something holds; returns for how long, in s."""
        assert callable(condition)
        began_us = self.world.now_us
        while not condition():
            assert self.world.now_us - began_us < seconds * SECOND_US, f"waited in vain: {what}"
            self.run(0.05)
        return (self.world.now_us - began_us) / SECOND_US

    def ask(self, name: str, *words: str) -> bytes:
        """Give a command to a node; returns what is answered within a tenth of a second."""
        client, before = self.client(name), len(self.world.trace)
        self.world.do(SendCommand(client, tuple(word.encode() for word in words)))
        self.run(0.1)
        return b"".join(
            event.data
            for event in self.world.trace[before:]
            if isinstance(event, Delivered) and event.target == client
        )

    def logged(self, name: str) -> list[str]:
        """Return the lines that a node has logged."""
        return [event.text for event in self.world.trace if isinstance(event, Logged) and event.host == name]

    def views(self) -> set[tuple[str, ...]]:
        """Return who serves which slots, as each node that runs sees it."""
        return {
            tuple(f"{first}-{last} {owner.name}" for first, last, owner in self.part(name).state.runs())
            for name in self.running()
        }
