"""An administrator of a simulated cluster: redis-cli --cluster, on connections of the simulated world."""

from collections.abc import Callable
from typing import Any

from engine.protocol.replies import ReplyReader
from engine.protocol.resp import Argv
from engine.simulation.actions import ActionError, OpenClient, SendCommand
from engine.simulation.trace import Delivered, TraceEvent
from engine.simulation.world import World
from engine.values.rng import Rng
from tutor.client import Connection, LinkError
from tutor.cluster.options import ClusterOptions
from tutor.cluster.subcommands import run
from tutor.cluster.surroundings import ClusterSurroundings

REPLY_WITHIN_US = 3_000_000
LOOK_US = 500


class WorldConnection(Connection):
    """A connection to a node of a simulated cluster: time passes until a reply is there."""

    def __init__(self, world: World, host: str, before: Callable[[], None] | None = None) -> None:
        self.world = world
        self.before = before  # called before each command: something may go wrong just then
        self.buffer = bytearray()
        self.reader = ReplyReader()
        self.name = f"admin{len(world.clients)}"
        try:
            world.do(OpenClient(self.name, host))
        except ActionError as error:
            raise LinkError(str(error)) from error
        world.observers.append(self._heard)

    def _heard(self, event: TraceEvent) -> None:
        if isinstance(event, Delivered) and event.target == self.name:
            self.buffer += event.data

    def close(self) -> None:
        """Hear no more."""
        if self._heard in self.world.observers:
            self.world.observers.remove(self._heard)

    def send(self, argv: Argv) -> None:
        """Send one command. Raises LinkError."""
        if self.before is not None:
            self.before()
        try:
            self.world.do(SendCommand(self.name, tuple(argv)))
        except ActionError as error:
            raise LinkError(str(error)) from error

    def read(self) -> Any:
        """Let time pass until a reply is there. Raises LinkError."""
        end_us = self.world.now_us + REPLY_WITHIN_US
        while (reply := self.reader(self.buffer)) is None:
            client = self.world.clients[self.name]
            if self.world.now_us > end_us or not client.connection:
                raise LinkError("no reply")
            self.world.run(max(self.world.now_us, min(self.world.deadline(), self.world.now_us + LOOK_US)))
            if self.world.deadline() > self.world.now_us + LOOK_US:
                self.world.run(self.world.now_us + LOOK_US)
        return reply


class WorldSurroundings(ClusterSurroundings):
    """A simulated world; what is printed is kept in `text`."""

    def __init__(self, world: World, before: Callable[[], None] | None = None) -> None:
        self.world = world
        self.before = before
        self.text = ""
        self.rng = Rng(world.seed)

    def connect(self, host: str, port: int) -> Connection:
        """Return a connection to a node. Raises LinkError."""
        name = next((name for name, each in self.world.hosts.items() if each.ip == host), None)
        if name is None:
            raise LinkError("Connection refused")
        return WorldConnection(self.world, name, self.before)

    def resolve(self, host: str) -> str:
        """Return the address of a host."""
        return host

    def out(self, text: str) -> None:
        """Keep what is printed."""
        self.text += text

    err = out

    def read(self, size: int) -> bytes:
        """Agree to everything."""
        return b"yes\n"

    def random(self, count: int) -> int:
        """Return a random number below `count`."""
        return self.rng.below(count)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.world.run(self.world.now_us + int(seconds * 1_000_000))


def manage(world: World, before: Callable[[], None] | None, name: str, *args: str, **options: Any) -> tuple[int, str]:
    """Run a subcommand of --cluster; returns its exit status and what it printed."""
    around = WorldSurroundings(world, before)
    status = run(ClusterOptions(name=name, args=list(args), timeout_ms=1000, yes=True, **options), around)
    return status, around.text
