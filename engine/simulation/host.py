"""A machine of the simulated world with its server process: the world of one node.

The process hosts the engine's unchanged `Node` and executes its effects in order. Processing an input takes no
time, unless the node stalls or a script is slow: then its output is sent later, and inputs wait in
its inbox. Each reading advances the stopwatch, so durations are the same in every run. A script reads the clock every
ten thousand instructions, which take as long as they do in Redis. After some seconds it is taken for endless: from
then on its time passes faster, so that a history with such a script does not take as long to repeat.

A background snapshot captures the data immediately (like a fork) and is written after a time that depends on its
size.
"""

from typing import TYPE_CHECKING, Any

from engine import effects as fx
from engine.boot import Role, RoleSurroundings, StartError, boot, read_config
from engine.clients.client import REPLICA, Client
from engine.config import Config, FatalConfigError, parse_command_line
from engine.config.kinds import to_str
from engine.config.tls import TLS_FAILED, TlsError, uses_tls
from engine.core import ProcessFacts
from engine.node import Node
from engine.observe.events import Event
from engine.simulation.certificates import LoadedTls, load, refusal
from engine.simulation.connection import DOWN, PAUSED, RUNNING, SimulatedConnection
from engine.simulation.disk import Disk
from engine.simulation.trace import DiskUsed, Exited, Logged, NodeEvent, ProgramRun, Started
from engine.timers import NEVER_US

if TYPE_CHECKING:
    from engine.simulation.world import World

LOOK_US = 10  # advance of the stopwatch at each reading
BUSY_LOOKS = 8  # readings without a command in between, after which a script's instructions take the time
SCRIPT_US = 100  # duration of a script's instructions between two readings
ENDLESS_STEPS = 20_000  # readings after which a script is taken for endless
BUSY_US = 10_000  # assumed duration of its instructions from then on, and of what a node does while it loads
ENDLESS_US = 60_000_000  # the maximum duration of a script
NOTICEABLE_US = 1_000  # shorter durations count as zero
FORK_US = 10_000
SNAPSHOT_BYTES_PER_S = 50_000_000
SYNC_US = 2_000  # a background fsync
CHUNK_BYTES = 64 * 1024
CONFIG_PATH = "/etc/redis/redis.conf"
SENTINEL_CONFIG_PATH = "/etc/redis/sentinel.conf"
DATA_DIR = "/data"
CONFIG_DIR = "/etc/redis/"
IN_USE = (98, "Address already in use")
BASE_DIRECTIVES = ("protected-mode no",)  # an isolated network: as in Redis's container image


class PowerCut(BaseException):
    """The power fails in the middle of a round."""


class _Files(RoleSurroundings):
    """The access of a configuration to the simulated machine."""

    def __init__(self, host: "Host", role: Role) -> None:
        super().__init__(role)
        self.host = host

    def read(self, path: str) -> bytes:
        try:
            return self.host.disk.read(self.host.absolute(path))
        except FileNotFoundError as error:
            raise FileNotFoundError(error.errno, error.strerror, path) from None

    def change_dir(self, path: str) -> str:
        self.host.cwd = self.host.absolute(path)
        return self.host.cwd

    def is_executable(self, path: str) -> bool:
        return self.host.absolute(path) in self.host.disk.names

    def resolve(self, host: str) -> str:
        return self.host.resolve(host)

    def log(self, level: str, text: str) -> None:
        self.host.log(level, text)


class _SimulatedStart:
    """A simulated machine during the start of its process (see `boot.Starting`)."""

    def __init__(self, host: "Host", node: Node) -> None:
        self.host = host
        self.node = node
        self.log = host.log

    def open_ports(self, config: Config) -> list[str]:
        host = self.host
        if uses_tls(config):
            try:
                host.load_tls(config)
            except TlsError as error:
                raise StartError("TLS", (str(error), TLS_FAILED)) from None
        kinds = [(kind, port) for kind, port in (("tcp", config.port), ("tls", config.tls_port)) if port]
        if not kinds:
            raise StartError("no port", ("Configured to not listen anywhere, exiting.",))
        for kind, port in kinds:
            if port in host.listening:
                reason = f"Warning: Could not create server TCP listening socket *:{port}: bind: {IN_USE[1]}"
                raise StartError("a port", (reason, f"Failed listening on port {port} ({kind}), aborting."))
            host.listening[port] = kind
        cluster = self.node.cluster
        if cluster is not None:
            host.listening[cluster.bus_port] = "bus"
        return [kind for kind, _ in kinds]

    def initialized(self) -> None:
        pass

    def carry_out(self) -> None:
        self.host.carry_out(self.node.output.take())

    def now(self) -> int:
        return self.host.world.now_us


class PendingSnapshot:
    """A snapshot being written: the data as of its start."""

    def __init__(self, kind: str, path: str, data: bytes) -> None:
        self.kind = kind
        self.path = path
        self.data = data
        self.sent = 0  # bytes passed to the node (for a snapshot without a file)
        self.paused = False
        self.due = 0  # pieces that became due while it was paused


class Host:
    """A machine with a disk that survives its processes."""

    def __init__(self, world: "World", name: str, ip: str, port: int) -> None:
        self.world = world
        self.name = name
        self.ip = ip
        self.port = port
        self.role: type[Role] = Role  # the kind of its process
        self.disk = Disk()
        self.powered = True
        self.state = DOWN
        self.node: Node | None = None
        self.incarnation = 0
        self.former_cluster_id = ""
        self.pid = 0
        self.data_dir = self.cwd = DATA_DIR
        self.config_path = CONFIG_PATH
        self.version = 0  # changes whenever the node may have changed: shows checkpoints which nodes are unchanged
        self.watch_us = 0
        self.began_us = 0  # the stopwatch at the start of the input
        self.busy_until_us = 0
        self.deadline_us = 0
        self.due_us = NEVER_US  # when the node's timers can run (see `reschedule`)
        self.clock_offset_us = 0  # offset of the machine's wall clock from the world's time
        self.listening: dict[int, str] = {}  # the kinds of listeners, by port
        self.tls: LoadedTls | None = None  # what the process has loaded for TLS
        self.closed_ports: dict[int, None] = {}  # to which the machine's firewall rejects connections
        self.links: dict[int, int] = {}  # connection numbers by the node's link numbers
        self.paused_links: dict[int, None] = {}
        self.next_link = 1
        self.awaits: list[tuple[Any, ...]] = []  # inputs of a stopped process
        self.snapshots: dict[int, PendingSnapshot] = {}
        self.programs: list[fx.Reaped] = []  # programs started by the process; they end immediately
        self.next_program = 1000
        self.crash_after = 0  # number of effects until the power fails; 0: it does not
        self.talking = 0  # the link of a MIGRATE whose replies are exchanged immediately
        self.answers = bytearray()
        self.serving = False  # busy, and serving other clients meanwhile
        self.carrying = False  # effects are being executed: new inputs wait
        self.looks = self.calls = 0
        self.script_us = self.steps = 0  # when the running script began, and how often it has read the clock

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["node"] = None  # copied separately, and only if it has changed (see `history`)
        return state

    @property
    def address(self) -> str:
        """The server's address: `ip:port`."""
        return f"{self.ip}:{self.port}"

    @property
    def cluster_id(self) -> str:
        """The ID of its node in a cluster, or of the one that ran last; "" if it has had none."""
        cluster = self.node.cluster if self.node is not None else None
        return cluster.state.myself.name if cluster is not None else self.former_cluster_id

    # --- World: requests of the node during an input ------------------------------------------------------------

    def stopwatch(self) -> int:
        """Return the process's own time in µs."""
        self.watch_us += LOOK_US
        node = self.node
        if node is not None and (run := node.scripting.run) is not None:
            # A script that reads the clock repeatedly without calling commands: its instructions take the time.
            calls = node.stats.calls()
            self.looks = self.looks + 1 if calls == self.calls else 0
            self.calls = calls
            if self.looks > BUSY_LOOKS:
                if self.script_us != run.started_us:
                    self.script_us, self.steps = run.started_us, 0
                self.steps += 1
                self.watch_us += SCRIPT_US if self.steps <= ENDLESS_STEPS else BUSY_US
                if (when_busy := self.world.when_busy) is not None:
                    when_busy(False)
        return self.watch_us

    def service(self, node: Node) -> None:
        """Advance time while the node is busy, and deliver inputs to it meanwhile.

        Actions are possible here (see `World.when_busy`). A script that runs very long is ended as by SCRIPT KILL.
        """
        run = node.scripting.run
        if run is None:
            self.watch_us += BUSY_US
        elif self.watch_us - run.started_us > ENDLESS_US:
            run.killed = True
        if self.serving:
            return
        self.serving = True
        try:
            self.world.pauses += 1
            if (when_busy := self.world.when_busy) is not None:
                when_busy(True)
            self.world.go_on_without(self, self.world.now_us + self.watch_us - self.began_us)
            if self.node is node:
                node.wake(self.world.now_us)
        finally:
            self.serving = False
        self.began_us = self.watch_us
        self.busy_until_us = 0
        self.reschedule()

    def facts(self) -> ProcessFacts:
        """Return facts of the process, which are the same in every run."""
        return {
            "pid": self.pid,
            "rss": 8 << 20,
            "cpu_sys": 0.0,
            "cpu_user": 0.0,
            "cpu_sys_children": 0.0,
            "cpu_user_children": 0.0,
            "os": "Simulated 1.0 x86_64",
            "arch_bits": 64,
            "python": "3",
            "executable": "/usr/bin/redis-tutor",
            "total_memory": 1 << 33,
            "open_files_max": 65536,
            "multiplexing": "simulated",
        }

    def run_now(self, node: Node, effect: fx.Effect) -> Any:
        """Execute the node's effects so far, then this one. Returns its result, including an OSError."""
        effects = node.output.take()
        self.carry_out(effects)
        self._burn()
        if isinstance(effect, fx.Stall):
            self.watch_us += effect.duration_us
            return None
        if isinstance(effect, fx.Snapshot):
            return self._snapshot(effect) if effect.id else self._save_now(effect)
        if isinstance(effect, fx.Listen):
            if self.listening.setdefault(effect.port, effect.kind) != effect.kind:
                return OSError(*IN_USE)
            return None
        if isinstance(effect, fx.CheckTls):
            try:
                self.load_tls(node.config)
            except TlsError as error:
                return error
            return None
        if isinstance(effect, fx.Exchange):
            return self.world.exchange(self, effect)
        if isinstance(effect, (fx.Resolve, fx.CheckExecutable, fx.Spawn, fx.Reap)):
            return self._program(effect)
        return self._file(effect)

    # --- the process --------------------------------------------------------------------------------------------

    def log(self, level: str, text: str) -> None:
        """Record a line of the log."""
        self.world.note(Logged, self.name, level, text)

    def start(self) -> None:
        """Start the process: read the configuration, load the data on disk, listen."""
        world = self.world
        self.powered = True
        self.state = RUNNING
        self.incarnation += 1
        self.pid = 100 + self.incarnation
        self.cwd = self.data_dir
        self.busy_until_us = 0
        self.reschedule()
        self.version += 1
        world.cause = world.note(Started, self.name, self.pid)
        role = self.role()
        try:
            files = _Files(self, role)
            config = read_config(parse_command_line([self.config_path]), self.data_dir, files, world.now_us)
        except FatalConfigError as error:
            self.log("#", to_str(error.text).strip())
            self.end(1, "the configuration is wrong")
            return
        self.cwd = config.dir = self.absolute(config.dir)
        self.port = config.port or config.tls_port
        node = self.node = role.node(config, world.rng.next64(), world.now_us, self.clock_offset_us)
        node.attach(self)
        if world.observed:
            node.observe(self.told)
        self.began_us = self.watch_us
        try:
            boot(node, _SimulatedStart(self, node))
        except StartError as error:
            if self.state != DOWN:
                self.end(1, str(error))
            return
        except PowerCut:
            world.power_off(self, torn=True)
            return
        self.settle()

    def end(self, status: int, reason: str, flush: bool = False) -> None:
        """End the process; the machine closes its connections."""
        world = self.world
        numbers = list(self.links.values())
        self._gone()
        world.note(Exited, self.name, status, reason)
        for number in numbers:
            connection = world.network.connections.get(number)
            if connection is not None:
                if not flush:
                    direction = connection.direction(self.name)
                    direction.unsent.clear()
                    direction.unsent_bytes = 0
                world.network.hang_up(connection, self.name, flush=True)

    def lose_power(self, torn: bool) -> None:
        """Switch the machine off: it sends nothing more, and its disk keeps only durable data."""
        world = self.world
        self.powered = False
        for connection in list(world.network.connections.values()):  # also those that its process has closed
            if self.name in (connection.source, connection.target):
                world.network.abandon(connection, self.name)
        if self.state != DOWN:
            self._gone()
            world.note(Exited, self.name, -1, "no power")
        lost = self.disk.power_cut(world.rng if torn else None)
        world.note(DiskUsed, self.name, "power cut", "", lost)

    def _gone(self) -> None:
        self.former_cluster_id = self.cluster_id
        self.state = DOWN
        self.reschedule()
        self.node = None
        self.version += 1
        self.incarnation += 1
        self.crash_after = 0
        self.listening.clear()
        self.tls = None
        self.links.clear()
        self.paused_links.clear()
        self.awaits.clear()
        self.snapshots.clear()
        self.programs.clear()

    def reschedule(self) -> None:
        """Determine when the node's timers can run: while it is stopped they wait, and until it is no longer busy."""
        due_us = max(self.deadline_us, self.busy_until_us) if self.state == RUNNING else NEVER_US
        if due_us != self.due_us:
            self.due_us = due_us
            self.world.first_timer = None

    def told(self, event: Event) -> None:
        """Pass on an event of the node."""
        self.world.note(NodeEvent, self.name, event)

    # --- inputs -------------------------------------------------------------------------------------------------

    def reads(self, connection: SimulatedConnection) -> bool:
        """Return whether the process reads from a connection now; if it will later, schedule another check."""
        if self.state != RUNNING or (self.paused_links and connection.link_of(self.name) in self.paused_links):
            return False
        if self.busy_until_us > self.world.now_us and not self.serving:
            self.world.at(self.busy_until_us, "inbox", self.name)
            return False
        return True

    def accepts(self, port: int, source: str) -> bool:
        """Return whether the machine accepts connections from an address to a port, even while the process is
        stopped.

        The server listens on the addresses of its `bind` setting.
        """
        if port not in self.listening or port in self.closed_ports or self.node is None:
            return False
        bound = {address.removeprefix("-") for address in self.node.config.bind}
        near = source in (self.ip, "127.0.0.1")  # a client on the same machine reaches every address
        return near or not bound.isdisjoint({"*", "0.0.0.0", self.ip})

    def accept(self, connection: SimulatedConnection) -> int:
        """Accept a connection. Returns the node's link number for it."""
        link = self.next_link
        self.next_link += 1
        self.links[link] = connection.number
        return link

    def accepted(self, connection: SimulatedConnection) -> None:
        """Notify the node of an accepted connection."""
        if self.state == PAUSED:
            self.awaits.append(("accepted", connection.number))
            return
        peer, local = self._ends(connection)
        kind = self.listening.get(connection.port, "tcp")
        secured = kind == "tls" or (kind == "bus" and self.node is not None and self.node.config.tls_cluster)
        reason = self._handshake(connection, secured) if connection.tls is not None else ""
        if reason:
            if secured:
                self.log_failed_handshake(connection, reason)
            del self.links[connection.target_link]
            self.world.network.hang_up(connection, self.name)
            return
        self.input("opened", connection.target_link, peer, kind, self.world.now_us, local)

    def _ends(self, connection: SimulatedConnection) -> tuple[str, str]:
        """Return the addresses of the peer of an accepted connection, and of this end."""
        source = self.world.machines[connection.source]
        peer = f"{'127.0.0.1' if source is self else source.ip}:{connection.local_port}"
        return peer, f"{'127.0.0.1' if source is self else self.ip}:{connection.port}"

    def _handshake(self, connection: SimulatedConnection, secured: bool) -> str:
        """Return why this server and a simulated peer do not understand or accept each other, "" if they do."""
        if connection.tls != secured:
            return "SSL routines::wrong version number"
        source = self.world.hosts.get(connection.source)
        if not secured or source is None or source.tls is None or self.tls is None:
            return ""
        return refusal(source.tls, self.tls)

    def log_failed_handshake(self, connection: SimulatedConnection, reason: str) -> None:
        """Log why a TLS connection is not accepted."""
        peer, local = self._ends(connection)
        self.log("#", f"Error accepting a client connection: {reason} (addr={peer} laddr={local})")

    def load_tls(self, config: Config) -> None:
        """Load what the TLS settings name; raises TlsError. A server that cannot load it keeps what it has."""
        self.tls = load(config, lambda path: self.disk.read(self.absolute(path)))

    def opened(self, connection: SimulatedConnection) -> None:
        """Notify the node that its outgoing connection is established."""
        peer = f"{self.world.machines[connection.target].ip}:{connection.port}"
        local = f"{self.ip}:{connection.local_port}"
        self.input("opened", connection.source_link, peer, "dialled", self.world.now_us, local)

    def refused(self, link: int, reason: str) -> None:
        """Notify the node that its outgoing connection failed."""
        self.links.pop(link, None)
        self.input("refused", link, reason, self.world.now_us)

    def read(self, connection: SimulatedConnection, data: bytes) -> None:
        """Pass bytes to the node."""
        node = self.node
        if node is None:
            return
        self.version += 1
        self.began_us = self.watch_us
        link = connection.source_link if self.name == connection.source else connection.target_link
        try:
            node.received(link, data, self.world.now_us)
            self.settle()
        except PowerCut:
            self.world.power_off(self, torn=True)

    def closed(self, connection: SimulatedConnection, link: int) -> None:
        """Notify the node that a connection has ended."""
        self.links.pop(link, None)
        self.paused_links.pop(link, None)
        self.input("closed", link, self.world.now_us)

    def unsent(self, connection: SimulatedConnection, size_bytes: int) -> None:
        """Report to the node how many sent bytes are pending."""
        link = connection.source_link if self.name == connection.source else connection.target_link
        node = self.node
        if node is not None and link:
            self.version += 1
            node.output_pending(link, size_bytes, self.world.now_us)
            if not self.carrying and node.output.effects:
                self.settle()

    def sent(self, connection: SimulatedConnection) -> None:
        """Bytes were sent at once, as all before them: the node need not know, unless it sends a file in pieces."""
        link = connection.source_link if self.name == connection.source else connection.target_link
        node = self.node
        if node is not None and link:
            handler = node.links.get(link)
            if isinstance(handler, Client) and handler.flags & REPLICA:
                self.unsent(connection, 0)

    def answer_at_once(self, ip: str, data: bytes) -> bytes:
        """Return the node's replies to requests on a temporary connection."""
        assert self.node is not None
        link = self.next_link
        self.next_link += 1
        self.input("opened", link, f"{ip}:60000", "tcp", self.world.now_us, self.address)
        self.talking, self.answers = link, bytearray()
        self.input("received", link, data, self.world.now_us)
        self.talking = 0
        self.input("closed", link, self.world.now_us)
        return bytes(self.answers)

    def wake(self) -> None:
        """The node's deadline has come."""
        world, node = self.world, self.node
        world.cause = -1
        if node is None:
            return
        self.version += 1
        self.began_us = self.watch_us
        try:
            node.wake(world.now_us)
            self.settle()
        except PowerCut:
            world.power_off(self, torn=True)

    def input(self, method: str, *args: Any) -> None:
        """Pass an input to the node and execute the resulting effects.

        The two most frequent inputs do the same without the call: see `read` and `wake`.
        """
        node = self.node
        if node is None:
            return
        self.version += 1
        self.began_us = self.watch_us
        try:
            getattr(node, method)(*args)
            self.settle()
        except PowerCut:
            self.world.power_off(self, torn=True)

    def settle(self) -> None:
        """End the round: execute effects until there are no more."""
        now_us = self.world.now_us
        try:
            while (node := self.node) is not None:
                effects = node.end_round(now_us)
                if not effects:
                    deadline_us = node.timers.next_us
                    if deadline_us != self.deadline_us:
                        self.deadline_us = deadline_us
                        self.reschedule()
                    break
                self.carry_out(effects)
        except PowerCut:
            self.world.power_off(self, torn=True)
            return
        spent_us = self.watch_us - self.began_us
        if spent_us >= NOTICEABLE_US:
            self.busy_until_us = now_us + spent_us
            self.reschedule()

    # --- effects ------------------------------------------------------------------------------------------------

    @property
    def ahead_us(self) -> int:
        """How far the process is ahead of the world's time because of a long operation."""
        spent_us = self.watch_us - self.began_us
        return spent_us if spent_us >= NOTICEABLE_US else 0

    def _burn(self) -> None:
        if self.crash_after:
            self.crash_after -= 1
            if not self.crash_after:
                raise PowerCut

    def carry_out(self, effects: list[fx.Effect]) -> None:
        """Execute effects in order."""
        network, links = self.world.network, self.links
        connections = network.connections
        carrying, self.carrying = self.carrying, True
        try:
            for effect in effects:
                if self.crash_after:
                    self._burn()
                if self.node is None:
                    return
                if type(effect) is fx.Send and not self.talking and self.watch_us - self.began_us < NOTICEABLE_US:
                    connection = connections.get(links.get(effect.link, 0))
                    if connection is not None:
                        network.send(connection, self.name, effect.data)
                elif isinstance(effect, (fx.Send, fx.Hangup)):
                    if self.watch_us - self.began_us < NOTICEABLE_US:
                        self.emit(effect)
                    else:
                        self.world.later(self.ahead_us, "emit", self.name, self.incarnation, effect)
                elif isinstance(effect, fx.Log):
                    self.log(effect.level, effect.text)
                else:
                    self._other(effect)
        finally:
            self.carrying = carrying

    def emit(self, effect: fx.Send | fx.Hangup) -> None:
        """Execute an effect on a connection: send or close."""
        if self.talking and effect.link == self.talking:
            if isinstance(effect, fx.Send):
                self.answers += effect.data
            return
        network = self.world.network
        connection = network.connections.get(self.links.get(effect.link, 0))
        if connection is None:
            return
        if isinstance(effect, fx.Send):
            network.send(connection, self.name, effect.data)
        else:
            del self.links[effect.link]
            self.paused_links.pop(effect.link, None)
            network.hang_up(connection, self.name)

    def _other(self, effect: fx.Effect) -> None:
        world = self.world
        if isinstance(effect, fx.Dial):
            address = world.resolve(effect.host, effect.port, self)
            connection = world.network.connect(self.name, effect.link, *address, tls=effect.tls)
            self.links[effect.link] = connection.number
        elif isinstance(effect, fx.Exit):
            self._exit(effect)
        elif isinstance(effect, fx.Stall):
            self.watch_us += effect.duration_us
        elif isinstance(effect, fx.PauseReading):
            self.paused_links[effect.link] = None
        elif isinstance(effect, fx.ResumeReading):
            self.paused_links.pop(effect.link, None)
            world.later(0, "inbox", self.name)
        elif isinstance(effect, fx.Snapshot):
            self._snapshot(effect)
        elif isinstance(effect, (fx.PauseSnapshot, fx.ResumeSnapshot)):
            self._pace(effect)
        elif isinstance(effect, fx.KillSnapshot):
            if self.snapshots.pop(effect.id, None) is not None:
                reason = "Background saving terminated by signal 10"
                world.later(NOTICEABLE_US, "snapshot_ended", self.name, self.incarnation, effect.id, reason)
        elif isinstance(effect, fx.Unlisten):
            if self.listening.get(effect.port) == effect.kind:
                del self.listening[effect.port]
        elif isinstance(effect, (fx.Title, fx.KillProgram)):
            pass
        elif isinstance(effect, fx.Sync) and effect.background:
            try:
                size_bytes = self.disk.size(self.absolute(effect.path))
            except OSError as error:
                world.later(0, "done", self.name, self.incarnation, effect.ticket, error)
                return
            world.later(SYNC_US, "synced", self.name, self.incarnation, effect, size_bytes)
        else:
            result = self._file(effect)
            ticket: int = getattr(effect, "ticket", 0)
            if ticket and self.node is not None:
                self.node.done(ticket, result, world.now_us)

    def _exit(self, effect: fx.Exit) -> None:
        if effect.crash:
            self.end(-effect.signal or effect.status, effect.crash)
        else:
            self.end(effect.status, "shutdown", flush=True)
        if effect.restart:
            self.world.later(effect.delay_us, "start", self.name)

    # --- files --------------------------------------------------------------------------------------------------

    def absolute(self, path: str) -> str:
        """Return a path from the root, without dots.

        On a machine whose one folder has both data and configuration, /etc/redis is that folder, too.
        """
        parts: list[str] = []
        if path.startswith(CONFIG_DIR) and self.config_path.startswith(f"{self.data_dir}/"):
            path = f"{self.data_dir}/{path.removeprefix(CONFIG_DIR)}"
        for part in (path if path.startswith("/") else f"{self.cwd}/{path}").split("/"):
            if part == "..":
                del parts[-1:]
            elif part not in ("", "."):
                parts.append(part)
        return "/" + "/".join(parts)

    def _file(self, effect: fx.Effect) -> Any:
        """Execute a file effect. Returns its result, including an OSError."""
        try:
            return self._operate(effect)
        except OSError as error:
            path = getattr(effect, "path", "")
            if not isinstance(effect, fx.Read):
                self.used(type(effect).__name__.lower(), path, 0, error.strerror or "")
            return error

    def used(self, operation: str, path: str, size_bytes: int, error: str = "", data: bytes = b"") -> None:
        """Record an operation on a file."""
        self.world.note(DiskUsed, self.name, operation, path, size_bytes, error, extra=data)

    def _operate(self, effect: fx.Effect) -> Any:
        disk = self.disk
        if isinstance(effect, fx.Append):
            written = disk.append(self.absolute(effect.path), effect.data)
            self.used("append", effect.path, written, data=effect.data)
            return written
        if isinstance(effect, fx.Sync):
            disk.sync(self.absolute(effect.path))
            self.used("sync", effect.path, disk.size(self.absolute(effect.path)))
            return None
        if isinstance(effect, fx.Read):
            data = disk.read(self.absolute(effect.path))
            self.used("read", effect.path, len(data))
            return data
        if isinstance(effect, fx.Write):
            written = disk.write(self.absolute(effect.path), effect.data)
            self.used("write", effect.path, written, data=effect.data)
            return written
        if isinstance(effect, fx.Rename):
            disk.rename(self.absolute(effect.source), self.absolute(effect.target))
            self.used("rename", f"{effect.source} -> {effect.target}", disk.size(self.absolute(effect.target)))
            return None
        if isinstance(effect, fx.Unlink):
            disk.unlink(self.absolute(effect.path))
            self.used("unlink", effect.path, 0)
            return None
        if isinstance(effect, fx.Size):
            return disk.size(self.absolute(effect.path))
        if isinstance(effect, fx.Truncate):
            disk.truncate(self.absolute(effect.path), effect.size_bytes)
            self.used("truncate", effect.path, effect.size_bytes)
            return None
        if isinstance(effect, fx.ListDir):
            return disk.list(self.absolute(effect.path))
        if isinstance(effect, fx.Lock):
            return None  # a machine has one process
        if isinstance(effect, fx.ChangeDir):
            self.cwd = self.absolute(effect.path)
            return self.cwd
        raise TypeError(f"{effect!r} cannot be carried out")

    # --- programs -----------------------------------------------------------------------------------------------

    def resolve(self, host: str) -> str:
        """Return the IP address of a machine by its name. Raises OSError."""
        if host == "localhost":
            return "127.0.0.1"
        machine = self.world.machines.get(host)
        if machine is None:
            raise OSError(-2, "Name or service not known")
        return machine.ip

    def _program(self, effect: fx.Resolve | fx.CheckExecutable | fx.Spawn | fx.Reap) -> Any:
        """Execute an effect on programs. Any file is a program: it ends immediately, with the status it contains."""
        if isinstance(effect, fx.Resolve):
            try:
                return self.resolve(effect.host)
            except OSError as error:
                return error
        if isinstance(effect, fx.Reap):
            ended, self.programs = self.programs, []
            return ended
        path = self.absolute(effect.path if isinstance(effect, fx.CheckExecutable) else effect.argv[0])
        try:
            text = self.disk.read(path).strip()
        except OSError as error:
            return error
        if isinstance(effect, fx.CheckExecutable):
            return None
        self.next_program += 1
        status = text.rpartition(b"exit ")[2]
        self.programs.append(fx.Reaped(self.next_program, int(status) if status.isdigit() else 0))
        self.world.note(ProgramRun, self.name, effect.argv)
        return self.next_program

    # --- snapshots ----------------------------------------------------------------------------------------------

    def _chunks(self, kind: str) -> bytes:
        assert self.node is not None
        return b"".join(self.node.snapshot_chunks(kind))

    def _save_now(self, effect: fx.Snapshot) -> OSError | None:
        return self._write_snapshot(effect.kind, effect.path, self._chunks(effect.kind))

    def _write_snapshot(self, kind: str, path: str, data: bytes) -> OSError | None:
        """Write a temporary file, make it durable, and rename it to `path`."""
        name = f"temp-rewriteaof-{self.pid}.aof" if kind == "aof" else f"temp-{self.pid}.rdb"
        directory = path.rpartition("/")[0]
        temporary = f"{directory}/{name}" if directory else name
        for effect in (fx.Write(temporary, data), fx.Sync(temporary), fx.Rename(temporary, path)):
            self._burn()
            result = self._file(effect)
            if isinstance(result, OSError):
                self.disk.unlink(self.absolute(temporary))
                return result
        return None

    def _snapshot(self, effect: fx.Snapshot) -> None:
        node = self.node
        assert node is not None
        data = self._chunks(effect.kind)
        self.snapshots[effect.id] = PendingSnapshot(effect.kind, effect.path, data)
        if effect.kind == "aof":
            started = "Background append only file rewriting"
        else:
            started = "Background saving" if effect.path else "Background RDB transfer"
        self.log("*", f"{started} started by pid {self.pid + 1000}")
        per_key_us = max(0, node.config.rdb_key_save_delay)
        keys = sum(len(db) for db in node.space.databases)
        whole_us = FORK_US + len(data) * 1_000_000 // SNAPSHOT_BYTES_PER_S + per_key_us * keys
        if effect.path:
            self.world.later(whole_us, "snapshot_written", self.name, self.incarnation, effect.id)
        else:
            pieces = max(1, -(-len(data) // CHUNK_BYTES))
            step_us = whole_us // pieces
            for piece in range(1, pieces + 1):
                self.world.later(piece * step_us, "snapshot_piece", self.name, self.incarnation, effect.id)

    def _pace(self, effect: fx.PauseSnapshot | fx.ResumeSnapshot) -> None:
        pending = self.snapshots.get(effect.id)
        if pending is not None:
            pending.paused = isinstance(effect, fx.PauseSnapshot)
            due, pending.due = pending.due, 0
            for _ in range(due):
                self.world.later(0, "snapshot_piece", self.name, self.incarnation, effect.id)

    def snapshot_piece(self, snapshot: int) -> None:
        """Pass the next piece of a snapshot without a file to the node, and report its end after the last piece."""
        pending = self.snapshots.get(snapshot)
        if pending is None:
            return
        if pending.paused:
            pending.due += 1
            return
        data = pending.data[pending.sent : pending.sent + CHUNK_BYTES]
        pending.sent += len(data)
        self.input("snapshot_data", snapshot, data, self.world.now_us)
        if pending.sent >= len(pending.data) and snapshot in self.snapshots:
            del self.snapshots[snapshot]
            self.input("snapshot", snapshot, None, self.world.now_us)

    def snapshot_written(self, snapshot: int) -> None:
        """Write a snapshot's file, and report its end to the node."""
        pending = self.snapshots.pop(snapshot, None)
        if pending is None or self.node is None:
            return
        try:
            error = self._write_snapshot(pending.kind, pending.path, pending.data)
        except PowerCut:
            self.world.power_off(self, torn=True)
            return
        reason = None
        if error is not None:
            what = "writing append only file" if pending.kind == "aof" else "saving DB"
            self.log("#", f"Write error {what} on disk: {error.strerror}")
            reason = "Background AOF rewrite terminated with error" if pending.kind == "aof" else None
            reason = reason or "Background saving error"
        elif pending.kind == "rdb":
            self.log("*", "DB saved on disk")
        self.input("snapshot", snapshot, reason, self.world.now_us)
