"""What an exploration does to a world: random writes and faults, each of which can be typed by a learner as well.

A move is a wait, then a command at a node's prompt or an action. Which moves are possible depends on the world: a
server that is down is started, a link that is cut is healed, only a replica is promoted. With Sentinels or a cluster
nothing is promoted by hand.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from engine.sentinel.role import SentinelRole
from engine.simulation import actions
from engine.simulation.actions import PROMPT, Action, ActionError
from engine.simulation.cluster_state import cluster_views
from engine.simulation.connection import UP
from engine.simulation.pending import pending_events
from engine.simulation.state import NodeView, node_views
from engine.simulation.world import World
from engine.values.rng import Rng

T = TypeVar("T")

WAITS_US = (1_000, 20_000, 150_000, 150_000, 700_000, 1_500_000)
WAITS_OF_SENTINELS_US = (*WAITS_US, 5_000_000, 12_000_000)
MASTERS_PERCENT = 40  # of the faults of a machine, that are aimed at a master
FUSE_MAX = 25  # effects after which the power may fail, in the middle of what a process does

KINDS = {
    "cut": "links are cut and heal",
    "slow": "links become slow",
    "crash": "processes are killed and start again",
    "plug": "the power fails and comes back",
    "pause": "processes are stopped and go on",
    "stop": "servers are shut down and start again",
    "promote": "replicas become masters (REPLICAOF NO ONE)",
    "follow": "servers become replicas of others (REPLICAOF)",
    "failover": "FAILOVER, or CLUSTER FAILOVER",
    "save": "snapshots and rewrites of the append-only file",
    "late": "messages are dropped or held, and any pending event comes next",
    "clock": "wall clocks are set",
}
ALWAYS = ("cut", "slow", "crash", "plug", "pause", "stop")
BY_HAND = ("promote", "follow", "failover")


class Move(NamedTuple):
    """A wait, and what is done after it: an action, or a command at the prompt of a node."""

    wait_us: int
    action: Action | None = None
    host: str = ""
    argv: tuple[bytes, ...] = ()


def default_kinds(world: World) -> tuple[str, ...]:
    """Return what is done in a world unless a search says otherwise."""
    if cluster_views(world):
        return (*ALWAYS, "failover")
    watched = any(host.role is SentinelRole for host in world.hosts.values())
    return ALWAYS if watched else (*ALWAYS, *BY_HAND)


def perform(world: World, move: Move, inputs: "list[tuple[int, int, Action]]") -> bool:
    """Do a move, after its wait; returns whether it was possible. What was done is appended to `inputs`."""
    before = len(inputs)
    if move.action is not None:
        _do(world, move.action, inputs)
        return len(inputs) > before
    client = PROMPT + move.host
    known = world.clients.get(client)
    if known is None or not known.connection:
        _do(world, actions.OpenClient(client, move.host), inputs)
    _do(world, actions.SendCommand(client, move.argv), inputs)
    return len(inputs) > before


def _do(world: World, action: Action, inputs: "list[tuple[int, int, Action]]") -> None:
    steps, now_us = world.steps, world.now_us
    try:
        world.do(action)
    except ActionError:
        return
    inputs.append((steps, now_us, action))


class MoveMaker:
    """Makes random moves for a world as it is."""

    def __init__(self, rng: Rng, kinds: Sequence[str], write: Callable[[Rng, int], list[list[bytes]]]) -> None:
        self.rng = rng
        self.kinds = kinds
        self.write = write  # returns commands that write; its number makes them unique
        self.written = 0

    def pick(self, things: Sequence[T]) -> T:
        """Return one of several things."""
        return things[self.rng.below(len(things))]

    def chance(self, percent: int) -> bool:
        """Return True so often."""
        return self.rng.below(100) < percent

    def wait_us(self, world: World) -> int:
        """Return how long to wait before the next move."""
        long = any(host.role is SentinelRole for host in world.hosts.values()) or cluster_views(world)
        return self.pick(WAITS_OF_SENTINELS_US if long else WAITS_US)

    def writes(self, world: World) -> Iterator[Move]:
        """Yield some writes to nodes that take themselves for masters."""
        for name in self._masters(world):
            for _ in range(self.rng.below(3)):
                yield from self._write(name)

    def one_write_each(self, world: World) -> Iterator[Move]:
        """Yield a write to each node that takes itself for a master."""
        for name in self._masters(world):
            yield from self._write(name)

    @staticmethod
    def _masters(world: World) -> list[str]:
        if cluster_views(world):
            return []  # applications write there
        return [name for name, view in node_views(world).items() if view.state == "up" and view.role == "master"]

    def _write(self, name: str) -> Iterator[Move]:
        self.written += 1
        for argv in self.write(self.rng, self.written):
            yield Move(0, host=name, argv=tuple(argv))

    def faults(self, world: World) -> list[Move]:
        """Return a fault or a change of roles, if one of the kind that was drawn is possible."""
        kind = self.pick(self.kinds)
        if kind == "cut" and len(world.hosts) > 2 and self.chance(30):
            return self._isolation(world)
        fault = self._fault(world, kind)
        return [] if fault is None else [fault]

    def _isolation(self, world: World) -> list[Move]:
        """Return the cuts of all links of one machine, or what heals them."""
        name = self._victim(list(world.hosts), node_views(world))
        others = [other for other in world.hosts if other != name]
        cut = [other for other in others if world.network.path(name, other).state != UP]
        if len(cut) == len(others) or (cut and self.chance(50)):
            return [Move(0, actions.Heal(name, other)) for other in cut]
        how = self.pick(("silent", "half-open"))
        return [Move(0, actions.Cut(name, other, how)) for other in others if other not in cut]

    def _fault(self, world: World, kind: str) -> Move | None:
        views = node_views(world)
        if kind in ("cut", "slow"):
            action = self._link(world, kind)
            return None if action is None else Move(0, action)
        if kind in BY_HAND:
            return self._roles(world, views, kind)
        if kind == "late":
            return self._late(world)
        running = [name for name, view in views.items() if view.state == "up"]
        servers = [name for name in running if views[name].role != "sentinel"]
        if kind == "save":
            if not servers:
                return None
            return Move(0, host=self.pick(servers), argv=(self.pick((b"BGSAVE", b"BGREWRITEAOF")),))
        if kind == "clock":
            return Move(
                0, actions.SetClock(self.pick(list(world.hosts)), self.pick((0, -3, 3, 60, -3600)) * 1_000_000)
            )
        return self._process(kind, running, views)

    def _victim(self, names: list[str], views: dict[str, NodeView]) -> str:
        """Return one of some machines: often a master, whose loss changes most."""
        masters = [name for name in names if views[name].role == "master"]
        return self.pick(masters if masters and self.chance(MASTERS_PERCENT) else names)

    def _process(self, kind: str, running: list[str], views: dict[str, NodeView]) -> Move | None:
        """Return a move that ends, stops or starts a process."""
        down = [name for name, view in views.items() if view.state == "down"]
        paused = [name for name, view in views.items() if view.state == "paused"]
        if kind == "pause":
            if paused and (not running or self.chance(50)):
                return Move(0, actions.Continue(self.pick(paused)))
            return Move(0, actions.Pause(self._victim(running, views))) if running else None
        if down and (not running or self.chance(50)):
            return Move(0, actions.Start(self.pick(down)))
        if not running:
            return None
        name = self._victim(running, views)
        if kind == "plug":
            fuse = 1 + self.rng.below(FUSE_MAX) if self.chance(40) else 0
            return Move(0, actions.PullPlug(name, self.chance(50), fuse))
        return Move(0, actions.Crash(name) if kind == "crash" else actions.Terminate(name))

    def _link(self, world: World, kind: str) -> Action | None:
        names = list(world.hosts)
        if len(names) < 2:
            return None
        a = self.pick(names)
        b = self.pick([name for name in names if name != a])
        if kind == "slow":
            return actions.SetLink(a, b, self.pick((500, 5_000, 200_000, 1_000_000)), self.pick((0, 0, 20_000)))
        cut = [pair for pair, path in world.network.paths.items() if path.state != UP and {*pair} <= {*names}]
        if cut and self.chance(50):
            return actions.Heal(*self.pick(cut))
        how = self.pick(("silent", "silent", "reset", "half-open"))
        return actions.Cut(a, b, how, self.pick(("both", "both", "both", "a-b", "b-a")))

    def _roles(self, world: World, views: dict[str, NodeView], kind: str) -> Move | None:
        up = {name: view for name, view in views.items() if view.state == "up" and view.role != "sentinel"}
        replicas = [name for name, view in up.items() if view.role == "replica"]
        if cluster_views(world):
            how = self.pick(((), (b"FORCE",), (b"TAKEOVER",)))
            return Move(0, host=self.pick(replicas), argv=(b"CLUSTER", b"FAILOVER", *how)) if replicas else None
        if kind == "promote":
            return Move(0, host=self.pick(replicas), argv=(b"REPLICAOF", b"NO", b"ONE")) if replicas else None
        if kind == "failover":
            masters = [name for name, view in up.items() if view.role == "master" and view.replicas]
            timeout = b"%d" % self.pick((300, 2_000, 10_000))
            return Move(0, host=self.pick(masters), argv=(b"FAILOVER", b"TIMEOUT", timeout)) if masters else None
        if not up or len(views) < 2:
            return None
        name = self.pick(list(up))
        servers = [other for other, view in views.items() if view.role != "sentinel" and other != name]
        other = self.pick(servers) if servers else name
        if other == name or _follows(views, other, name):
            return None
        ip, _, port = world.hosts[other].address.rpartition(":")
        return Move(0, host=name, argv=(b"REPLICAOF", ip.encode(), port.encode()))

    def _late(self, world: World) -> Move | None:
        events = pending_events(world)
        if not events:
            return None
        event = self.pick(events)
        if event.is_held:
            return Move(0, actions.ReleaseMessage(event.key))
        if event.can_move and self.chance(60):
            drops = self.chance(50)
            return Move(0, actions.DropMessage(event.key) if drops else actions.HoldMessage(event.key))
        soon = [each for each in events if not each.follows and each.due_us < world.now_us + 500_000]
        return Move(0, actions.ChooseNext(self.pick(soon).key)) if soon else None

    @staticmethod
    def healing(world: World) -> Iterator[Move]:
        """Yield what repairs everything: links, stopped processes, servers that are down, held messages."""
        for event in pending_events(world):
            if event.is_held:
                yield Move(0, actions.ReleaseMessage(event.key))
        for a, b in list(world.network.paths):
            if a < b and a in world.hosts and b in world.hosts:
                there, back = world.network.path(a, b), world.network.path(b, a)
                if there.state != UP or back.state != UP:
                    yield Move(0, actions.Heal(a, b))
                if there.latency_us > 500 or there.bytes_per_s:
                    yield Move(0, actions.SetLink(a, b, 500))
        for name, host in world.hosts.items():
            if host.state == "paused":
                yield Move(0, actions.Continue(name))
            elif host.state == "down":
                yield Move(0, actions.Start(name))


def _follows(views: dict[str, NodeView], name: str, master: str) -> bool:
    """Return whether a node follows another one, or may: a ring of replicas has no master."""
    by_address = {view.address: each for each, view in views.items()}
    for _ in views:
        if name == master or views[name].state == "down":
            return True
        if views[name].role != "replica":
            return False
        name = by_address.get(views[name].master, master)
    return True


__all__ = ["KINDS", "Move", "MoveMaker", "default_kinds", "perform"]
