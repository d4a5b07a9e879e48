"""A machine of the simulated world and its server process: the world of one node.

The process hosts the engine's own `Node`, unchanged, and carries its effects out in their order. Dealing with an
input takes no time, unless the node stalls or a script runs long: then what it sends leaves later, and inputs wait at
its door. The stopwatch advances at every look by what a thousand instructions take, so durations are the same in
every run, and an endless script is late after as many looks.

A background snapshot is made at once (the copy of a fork) and written when the time has passed that its size takes.
"""

from typing import TYPE_CHECKING, Any

from engine import effects as fx
from engine.acl import check_user_line
from engine.config import Config, FatalConfigError, Surroundings, load_config, parse_command_line
from engine.config.kinds import to_str
from engine.events import Event
from engine.node import Node
from engine.persistence import LoadError
from engine.reconfigure import load_users
from engine.simulation.disk import Disk
from engine.simulation.happenings import Disk as DiskUsed
from engine.simulation.happenings import Exited, Logged, NodeEvent, Started
from engine.simulation.network import DOWN, PAUSED, RUNNING, Connection
from engine.table import COMMANDS

if TYPE_CHECKING:
    from engine.simulation.world import World

LOOK_US = 10  # what the stopwatch advances by at each look
BUSY_US = 10_000  # what the instructions take that a script runs between two looks
BUSY_LOOKS = 8
ENDLESS_US = 60_000_000  # the longest that a script may run: nobody can act while it does
NOTICEABLE_US = 1_000  # what takes less is taken to need no time
FORK_US = 10_000
SNAPSHOT_BYTES_PER_S = 50_000_000
SYNC_US = 2_000  # a background fsync
CHUNK_BYTES = 64 * 1024
CONFIG_PATH = "/etc/redis/redis.conf"
DATA_DIR = "/data"
BASE_DIRECTIVES = ("protected-mode no",)  # a network of its own: as in Redis's container image


class PowerCut(BaseException):
    """The power fails in the middle of a round."""


class _Files(Surroundings):
    """What reading a configuration may ask of a simulated machine."""

    def __init__(self, host: "Host") -> None:
        self.host = host

    def read(self, path: str) -> bytes:
        try:
            return self.host.disk.read(self.host.absolute(path))
        except FileNotFoundError as error:
            raise FileNotFoundError(error.errno, error.strerror, path) from None

    def change_dir(self, path: str) -> str:
        self.host.cwd = self.host.absolute(path)
        return self.host.cwd

    def check_user(self, argv: list[bytes]) -> tuple[int, bytes] | None:
        return check_user_line(argv)

    def command_names(self) -> Any:
        return COMMANDS.keys()

    def log(self, level: str, text: str) -> None:
        self.host.log(level, text)


class PendingSnapshot:
    """A snapshot that is being written: what it holds, as of its beginning."""

    def __init__(self, kind: str, path: str, data: bytes) -> None:
        self.kind = kind
        self.path = path
        self.data = data
        self.sent = 0  # bytes that were handed to the node (a snapshot without a file)
        self.paused = False
        self.due = 0  # pieces whose time came while it was paused


class Host:
    """One machine, with a disk that outlives its processes."""

    def __init__(self, world: "World", name: str, ip: str, port: int) -> None:
        self.world = world
        self.name = name
        self.ip = ip
        self.port = port
        self.disk = Disk()
        self.powered = True
        self.state = DOWN
        self.node: Node | None = None
        self.incarnation = 0
        self.pid = 0
        self.cwd = DATA_DIR
        self.version = 0  # changes whenever the node may have: tells a checkpoint what is still the same
        self.watch_us = 0
        self.began_us = 0  # the stopwatch at the beginning of the input
        self.busy_until_us = 0
        self.deadline_us = 0
        self.listening: dict[int, None] = {}
        self.links: dict[int, int] = {}  # connection numbers, by what the node calls its link
        self.paused_links: dict[int, None] = {}
        self.next_link = 1
        self.awaits: list[tuple[Any, ...]] = []  # what happened to a stopped process
        self.snapshots: dict[int, PendingSnapshot] = {}
        self.fuse = 0  # effects until the power fails; 0: it does not
        self.talking = 0  # the link of a MIGRATE that is answered out of turn
        self.answers = bytearray()
        self.serving = False  # busy, and dealing with what others want meanwhile
        self.carrying = False  # effects are being carried out: what they bring about waits for its turn
        self.looks = self.calls = 0

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["node"] = None  # copied by itself, and only if it has changed (see `history`)
        return state

    @property
    def address(self) -> str:
        """Where the server listens: `ip:port`."""
        return f"{self.ip}:{self.port}"

    # --- World: what the node may ask in the middle of an input -------------------------------------------------

    def stopwatch(self) -> int:
        """Return the process's own time in µs."""
        self.watch_us += LOOK_US
        node = self.node
        if node is not None and node.scripting.run is not None:
            # A script that looks again and again, and no command between: it is its instructions that take time.
            calls = sum(stats.calls for stats in node.command_stats.values())
            self.looks = self.looks + 1 if calls == self.calls else 0
            self.calls = calls
            if self.looks > BUSY_LOOKS:
                self.watch_us += BUSY_US
        return self.watch_us

    def service(self, node: Node) -> None:
        """Let the time pass that the node is busy for; what others send meanwhile is delivered to it.

        Nobody acts on the world during a step, so what runs for too long is ended as SCRIPT KILL would.
        """
        self.watch_us += BUSY_US
        run = node.scripting.run
        if run is not None and self.watch_us - run.started_us > ENDLESS_US:
            run.killed = True
        if self.serving:
            return
        self.serving = True
        try:
            self.world.go_on_without(self, self.world.now_us + self.watch_us - self.began_us)
        finally:
            self.serving = False
        self.began_us = self.watch_us
        self.busy_until_us = 0

    def facts(self) -> dict[str, Any]:
        """Return facts of the process: the same in every run."""
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

    def perform(self, node: Node, effect: fx.Effect) -> Any:
        """Carry out what the node wants done so far, then this; returns its result, an OSError included."""
        effects, node.effects = node.effects, []
        self.carry_out(effects)
        self._burn()
        if isinstance(effect, fx.Stall):
            self.watch_us += effect.duration_us
            return None
        if isinstance(effect, fx.Snapshot):
            return self._snapshot(effect) if effect.id else self._save_now(effect)
        if isinstance(effect, fx.Listen):
            self.listening[effect.port] = None
            return None
        if isinstance(effect, fx.Exchange):
            return self.world.exchange(self, effect)
        return self._file(effect)

    # --- the process --------------------------------------------------------------------------------------------

    def log(self, level: str, text: str) -> None:
        """Note a line of the log."""
        self.world.note(Logged, self.name, level, text)

    def start(self) -> None:
        """Start the process: read the configuration, load what the disk holds, listen."""
        world = self.world
        self.powered = True
        self.state = RUNNING
        self.incarnation += 1
        self.pid = 100 + self.incarnation
        self.cwd = DATA_DIR
        self.busy_until_us = 0
        self.version += 1
        world.cause = world.note(Started, self.name, self.pid)
        config = Config()
        config.dir = DATA_DIR
        config.config_file = CONFIG_PATH
        try:
            load_config(config, parse_command_line([CONFIG_PATH]), _Files(self), None)
        except FatalConfigError as error:
            self.log("#", to_str(error.text).strip())
            self.end(1, "the configuration is wrong")
            return
        self.cwd = config.dir = self.absolute(config.dir)
        self.port = config.port
        node = self.node = Node(config, world.rng.next64(), world.now_us)
        node.attach(self)
        if world.observed:
            node.observe(self.told)
        self.began_us = self.watch_us
        try:
            warnings = load_users(node)
            for line in warnings:
                self.log("#", line)
            if warnings:
                self.end(1, "the users are wrong")
                return
            if config.port:
                self.listening[config.port] = None
            node.start(world.now_us)
        except LoadError as error:
            self.carry_out(node.effects)
            if error.last_words:
                self.log("#", error.last_words)
            if self.state != DOWN:
                self.end(1, "what is on disk cannot be loaded")
            return
        except PowerCut:
            world.power_off(self, torn=True)
            return
        self.log("*", "Ready to accept connections tcp")
        self.settle()

    def end(self, status: int, reason: str, flush: bool = False) -> None:
        """The process is gone; the machine ends its connections."""
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
        """The machine is off: nothing more leaves it, and its disk holds what was durable."""
        world = self.world
        numbers = list(self.links.values())
        self.powered = False
        for number in numbers:
            connection = world.network.connections.get(number)
            if connection is not None:
                world.network.abandon(connection, self.name)
        if self.state != DOWN:
            self._gone()
            world.note(Exited, self.name, -1, "no power")
        lost = self.disk.power_cut(world.rng if torn else None)
        world.note(DiskUsed, self.name, "power cut", "", lost)

    def _gone(self) -> None:
        self.state = DOWN
        self.node = None
        self.version += 1
        self.incarnation += 1
        self.fuse = 0
        self.listening.clear()
        self.links.clear()
        self.paused_links.clear()
        self.awaits.clear()
        self.snapshots.clear()

    def told(self, event: Event) -> None:
        """Pass on what the node tells."""
        self.world.note(NodeEvent, self.name, event)

    # --- inputs -------------------------------------------------------------------------------------------------

    def reads(self, connection: Connection) -> bool:
        """Tell whether the process takes input of a connection now; if it will later, have it asked again."""
        if self.state != RUNNING or connection.link_of(self.name) in self.paused_links:
            return False
        if self.busy_until_us > self.world.now_us and not self.serving:
            self.world.at(self.busy_until_us, "door", self.name)
            return False
        return True

    def accepts(self, port: int) -> bool:
        """Tell whether connections to a port are taken (by the machine, even while the process is stopped)."""
        return port in self.listening

    def accept(self, connection: Connection) -> int:
        """Take a connection; returns what the node will call it."""
        link = self.next_link
        self.next_link += 1
        self.links[link] = connection.number
        return link

    def accepted(self, connection: Connection) -> None:
        """Tell the node of a connection that was taken."""
        if self.state == PAUSED:
            self.awaits.append(("accepted", connection.number))
            return
        source = self.world.machines[connection.source]
        peer = f"{'127.0.0.1' if source is self else source.ip}:{connection.local_port}"
        local = f"{'127.0.0.1' if source is self else self.ip}:{connection.port}"
        self.input("opened", connection.target_link, peer, "tcp", self.world.now_us, local)

    def opened(self, connection: Connection) -> None:
        """Tell the node that the connection it dialled stands."""
        peer = f"{self.world.machines[connection.target].ip}:{connection.port}"
        local = f"{self.ip}:{connection.local_port}"
        self.input("opened", connection.source_link, peer, "dialled", self.world.now_us, local)

    def refused(self, link: int, reason: str) -> None:
        """Tell the node that it got no connection."""
        self.links.pop(link, None)
        self.input("refused", link, reason, self.world.now_us)

    def read(self, connection: Connection, data: bytes) -> None:
        """Hand bytes to the node."""
        self.input("received", connection.link_of(self.name), data, self.world.now_us)

    def closed(self, connection: Connection, link: int) -> None:
        """Tell the node that a connection has ended."""
        self.links.pop(link, None)
        self.paused_links.pop(link, None)
        self.input("closed", link, self.world.now_us)

    def unsent(self, connection: Connection, size_bytes: int) -> None:
        """Tell the node how much of what it sent has not left."""
        link = connection.link_of(self.name)
        if self.node is not None and link:
            self.version += 1
            self.node.undelivered(link, size_bytes, self.world.now_us)
            if self.node.effects and not self.carrying:
                self.settle()

    def answer_at_once(self, ip: str, data: bytes) -> bytes:
        """Return what the node answers to requests on a connection that lives only for them."""
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
        self.world.cause = -1
        self.input("wake", self.world.now_us)

    def input(self, method: str, *args: Any) -> None:
        """Give the node an input and carry out what follows from it."""
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
        """End the round: carry out what the node wants done, until it wants nothing more."""
        now_us = self.world.now_us
        try:
            while (node := self.node) is not None:
                effects = node.settled(now_us)
                if not effects:
                    self.deadline_us = node.deadline()
                    break
                self.carry_out(effects)
        except PowerCut:
            self.world.power_off(self, torn=True)
            return
        spent_us = self.watch_us - self.began_us
        if spent_us >= NOTICEABLE_US:
            self.busy_until_us = now_us + spent_us

    # --- effects ------------------------------------------------------------------------------------------------

    @property
    def ahead_us(self) -> int:
        """How much later than the world's time the process is, because what it does takes long."""
        spent_us = self.watch_us - self.began_us
        return spent_us if spent_us >= NOTICEABLE_US else 0

    def _burn(self) -> None:
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                raise PowerCut

    def carry_out(self, effects: list[fx.Effect]) -> None:
        """Carry effects out, in their order."""
        carrying, self.carrying = self.carrying, True
        try:
            for effect in effects:
                self._burn()
                if self.node is None:
                    return
                kind = type(effect)
                if kind is fx.Send or kind is fx.Hangup:
                    if self.ahead_us:
                        self.world.later(self.ahead_us, "emit", self.name, self.incarnation, effect)
                    else:
                        self.emit(effect)
                elif kind is fx.Log:
                    self.log(effect.level, effect.text)  # type: ignore[union-attr]
                else:
                    self._other(effect)
        finally:
            self.carrying = carrying

    def emit(self, effect: fx.Effect) -> None:
        """Send, or hang up."""
        assert isinstance(effect, (fx.Send, fx.Hangup))
        if self.talking and effect.link == self.talking:
            if isinstance(effect, fx.Send):
                self.answers += effect.data
            return
        number = self.links.get(effect.link)
        connection = self.world.network.connections.get(number) if number is not None else None
        if connection is None:
            return
        if isinstance(effect, fx.Send):
            self.world.network.send(connection, self.name, effect.data)
        else:
            del self.links[effect.link]
            self.paused_links.pop(effect.link, None)
            self.world.network.hang_up(connection, self.name)

    def _other(self, effect: fx.Effect) -> None:
        world = self.world
        if isinstance(effect, fx.Dial):
            address = world.resolve(effect.host, effect.port, self)
            self.links[effect.link] = world.network.connect(self.name, effect.link, *address).number
        elif isinstance(effect, fx.Exit):
            self._exit(effect)
        elif isinstance(effect, fx.Stall):
            self.watch_us += effect.duration_us
        elif isinstance(effect, fx.PauseReading):
            self.paused_links[effect.link] = None
        elif isinstance(effect, fx.ResumeReading):
            self.paused_links.pop(effect.link, None)
            world.later(0, "door", self.name)
        elif isinstance(effect, fx.Snapshot):
            self._snapshot(effect)
        elif isinstance(effect, (fx.PauseSnapshot, fx.ResumeSnapshot)):
            self._pace(effect)
        elif isinstance(effect, fx.KillSnapshot):
            if self.snapshots.pop(effect.id, None) is not None:
                reason = "Background saving terminated by signal 10"
                world.later(NOTICEABLE_US, "snapshot_ended", self.name, self.incarnation, effect.id, reason)
        elif isinstance(effect, fx.Listen):
            self.listening[effect.port] = None
        elif isinstance(effect, fx.Unlisten):
            self.listening.pop(effect.port, None)
        elif isinstance(effect, fx.Title):
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
        """Return a path from the root, without dots."""
        parts: list[str] = []
        for part in (path if path.startswith("/") else f"{self.cwd}/{path}").split("/"):
            if part == "..":
                del parts[-1:]
            elif part not in ("", "."):
                parts.append(part)
        return "/" + "/".join(parts)

    def _file(self, effect: fx.Effect) -> Any:
        """Carry a file effect out; returns its result, an OSError included."""
        try:
            return self._operate(effect)
        except OSError as error:
            path = getattr(effect, "path", "")
            if not isinstance(effect, fx.Read):
                self.used(type(effect).__name__.lower(), path, 0, error.strerror or "")
            return error

    def used(self, operation: str, path: str, size_bytes: int, error: str = "", data: bytes = b"") -> None:
        """Note what was done with a file."""
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
        if isinstance(effect, fx.ChangeDir):
            self.cwd = self.absolute(effect.path)
            return self.cwd
        raise TypeError(f"{effect!r} cannot be carried out")

    # --- snapshots ----------------------------------------------------------------------------------------------

    def _chunks(self, kind: str) -> bytes:
        assert self.node is not None
        return b"".join(self.node.snapshot_chunks(kind))

    def _save_now(self, effect: fx.Snapshot) -> OSError | None:
        return self._write_snapshot(effect.kind, effect.path, self._chunks(effect.kind))

    def _write_snapshot(self, kind: str, path: str, data: bytes) -> OSError | None:
        """Write a file beside `path`, make it durable, rename it into place."""
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
        keys = sum(len(db.entries) for db in node.space.databases)
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
        """Hand the next piece of a snapshot without a file to the node, and after the last its end."""
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
        """Write a snapshot's file, and tell the node that it has ended."""
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
