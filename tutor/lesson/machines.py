"""The machines of a lesson: each has an address, a folder with its server's files, and a server that runs or not.

A lesson with a single server does not need them (`server.EngineServer`). Machines serve lessons with several servers,
a restart that keeps the files, a crash, a power cut, or a copied file.

`SimulatedMachine` is a host of the lesson's world (`tutor.lesson_server`), `RealMachine` runs a real server for
`verify`: on Linux every address 172.x becomes 127.x, which is loopback too, and is turned back in what it says.

A power cut of a simulated machine takes what was not fsynced. A real one is killed, which loses nothing that was
written, and `appendfsync` says what a cut would have taken from the append-only file.
"""

import contextlib
import functools
import os
import random
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Request, Verbatim
from engine.simulation.actions import PROMPT
from tutor.client import Connection, LinkError
from tutor.lesson.model import SENTINEL_PORT, SERVER_PORT, Lesson, ServerSpec
from tutor.lesson.python_console import Address
from tutor.lesson.python_process import PythonConsole, Ran, requests
from tutor.lesson_server.parent import HostError, MachineSpec, Recovered, WorldServer
from tutor.prompt.conversation import longest_wait
from tutor.prompt.replies import INCOMPLETE

Reply = Any
Place = tuple[str, int] | str  # host and port, or the path of a Unix socket
CONF = "redis.conf"
TLS_PORT = 6380  # the one beside the plain port that a lesson's server can listen on, where it is a real one
START_SECONDS = 20.0
SENTINELS_MEET_SECONDS = 5.0  # after which real Sentinels know each other and all replicas
LINK_SECONDS = 3.0  # within which a replica that can reach its master has done so


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port of a loopback address that is free at present. Raises OSError.

    It is not an ephemeral port, so that no outgoing connection takes it by chance before it is used.
    """
    for _ in range(200):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((address, port))
            return port
    raise OSError("no port is free")


class Machine(Protocol):
    """One machine, as the shell, the terminals and the checks use it."""

    name: str
    address: str
    sentinel: bool  # whether its server is a Sentinel

    @property
    def running(self) -> bool:
        """Whether its server runs."""

    def start(self) -> None:
        """Start the server with its redis.conf. Raises HostError with what it said."""

    def stop(self) -> None:
        """Have the server shut down, as SIGTERM does."""

    def kill(self) -> None:
        """Kill the server, as SIGKILL does."""

    def cut_power(self) -> None:
        """End it as a power cut does: what was not fsynced is gone."""

    def connect(self, terminal: str = "") -> socket.socket:
        """Open a connection for a terminal. Raises OSError."""

    def inspect(self, argv: Sequence[bytes], db: int = 0) -> Reply:
        """Look without a trace (a real server counts it). Raises HostError when it does not run."""

    def inward(self, text: bytes) -> bytes:
        """Return what a learner wrote as the server is to get it."""

    def outward(self, text: bytes) -> bytes:
        """Return what a server wrote as the learner is to see it."""

    def reach(self, host: str, port: int) -> Place | None:
        """Return where an address of the lesson really is, or None where there is no server."""

    def pass_time(self, seconds: float) -> None:
        """Wait, or have the time pass."""

    def files(self) -> dict[str, int]:
        """Return the files in the server's folder, by their path there, with their sizes in bytes."""

    def read(self, path: str) -> bytes | None:
        """Return what a file holds, None if there is none."""

    def write(self, path: str, data: bytes) -> None:
        """Write a file. Raises OSError."""

    def remove(self, path: str) -> None:
        """Remove a file. Raises OSError."""

    def log(self) -> bytes:
        """Return the server's log."""


class SimulatedMachine:
    """A machine of the lesson's world."""

    def __init__(
        self,
        name: str,
        address: str,
        world: WorldServer,
        reach: Callable[[str, int], Place | None],
        sentinel: bool = False,
    ) -> None:
        self.name, self.address, self.world, self.sentinel = name, address, world, sentinel
        self._reach = reach

    @property
    def running(self) -> bool:
        """See `Machine`."""
        return self.world.is_running(self.name)

    def start(self) -> None:
        """See `Machine`."""
        self.world.start_server(self.name)

    def stop(self) -> None:
        """See `Machine`."""
        self.world.end_server(self.name, "terminate")

    def kill(self) -> None:
        """See `Machine`."""
        self.world.end_server(self.name, "kill")

    def cut_power(self) -> None:
        """See `Machine`."""
        self.world.end_server(self.name, "cut_power")

    def connect(self, terminal: str = "") -> socket.socket:
        """See `Machine`."""
        return self.world.connect(self.name, terminal)

    def inspect(self, argv: Sequence[bytes], db: int = 0) -> Reply:
        """See `Machine`."""
        (reply,) = self.inspect_all([(list(argv), db)])
        if isinstance(reply, ValueError):
            raise reply
        return reply

    def inspect_all(self, requests: list[tuple[list[bytes], int]]) -> list[Reply]:
        """Look several times at one moment. Raises HostError."""
        return self.world.inspect_all(self.name, requests)

    def answers(self, requests: Sequence[tuple[Sequence[bytes], int]]) -> list[Reply]:
        """Look several times at one moment; while its server is down, each look is answered by an error."""
        try:
            return self.inspect_all([(list(argv), db) for argv, db in requests])
        except HostError as error:
            return [ReplyError(str(error).encode()) for _ in requests]

    def inward(self, text: bytes) -> bytes:
        """See `Machine`."""
        return text

    def outward(self, text: bytes) -> bytes:
        """See `Machine`."""
        return text

    def reach(self, host: str, port: int) -> Place | None:
        """See `Machine`."""
        return self._reach(self.address if host in ("127.0.0.1", "localhost") else host, port)

    def pass_time(self, seconds: float) -> None:
        """See `Machine`."""
        self.world.pass_time(seconds)

    def files(self) -> dict[str, int]:
        """See `Machine`."""
        return self.world.files(self.name)

    def read(self, path: str) -> bytes | None:
        """See `Machine`."""
        return self.world.read(self.name, path)

    def write(self, path: str, data: bytes) -> None:
        """See `Machine`."""
        self.world.write(self.name, path, data)

    def remove(self, path: str) -> None:
        """See `Machine`."""
        self.world.remove(self.name, path)

    def log(self) -> bytes:
        """See `Machine`."""
        return self.world.log(self.name)


class RealMachine:
    """A machine with a real server, for `verify`."""

    def __init__(
        self,
        name: str,
        spec: ServerSpec,
        base: Path,
        program: str,
        ports: dict[int, int],
        others: Mapping[str, str],
    ) -> None:
        self.name, self.address, self.sentinel = name, spec.address, spec.sentinel
        self.folder = base / name
        self.folder.mkdir()
        self._log, self._socket = base / f"{name}.log", base / f"{name}.sock"
        self.program, self.ports = program, ports  # the lesson's ports → those of loopback
        self.port = ports[spec.port]
        self.spec_port = spec.port
        self.listens: dict[int, None] = {spec.port: None}  # ports of the lesson
        self._plain = True  # whether the server accepts connections without TLS
        self.others = others  # the lesson's addresses → those of loopback
        self.real = others[spec.address]
        # Where the learner's terminals come in, whatever `bind` says about the other machines.
        self.door = self.real if self.real == "127.0.0.1" else "127.200." + ".".join(self.real.split(".")[2:])
        self._process: subprocess.Popen[bytes] | None = None
        self._look: Connection | None = None
        self._durable: dict[str, int] = {}

    @property
    def running(self) -> bool:
        """See `Machine`."""
        return self._process is not None and self._process.poll() is None

    def inward(self, text: bytes) -> bytes:
        """See `Machine`."""
        for lesson, real in self.others.items():
            for port, there in self.ports.items():
                pattern = rb"(?<![\d.])" + re.escape(lesson.encode()) + rb"(?![\d.])([\s:]+)%d(?!\d)" % port
                text = re.sub(pattern, rb"%b\g<1>%d" % (real.encode(), there), text)
            text = re.sub(rb"(?<![\d.])" + re.escape(lesson.encode()) + rb"(?![\d.])", real.encode(), text)
        return text

    def outward(self, text: bytes) -> bytes:
        """See `Machine`."""
        for lesson, real in self.others.items():
            text = text.replace(real.encode(), lesson.encode())
        text = text.replace(self.door.encode(), b"127.0.0.1")
        for port, there in self.ports.items():
            text = re.sub(rb"(?<!\d)%d(?!\d)" % there, b"%d" % port, text)
        return text

    def start(self) -> None:
        """See `Machine`."""
        if self.running:
            return
        conf = self.folder / conf_name(self)
        text = conf.read_bytes() if conf.exists() else b""
        conf.write_bytes(self.inward(text))
        # Given behind the file, so that it may say what it likes about them.
        binds = re.findall(rb"^bind +(.*)$", conf.read_bytes(), re.M)
        public = not binds or b"*" in binds[-1].split() or self.real.encode() in binds[-1]
        addresses = dict.fromkeys([self.door, self.real] if public else [self.door])
        options = [*self._listen(conf.read_bytes()), "--bind", *addresses, "--bind-source-addr", self.real]
        options += ["--dir", str(self.folder), "--logfile", str(self._log)]
        options += ["--sentinel"] if self.sentinel else ["--enable-debug-command", "yes"]
        self._process = subprocess.Popen(
            [self.program, str(conf), *options],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self._process.poll() is not None:
                assert self._process.stderr is not None
                said = self._process.stderr.read().decode(errors="replace").strip()
                raise HostError(said or "the server ended at once")
            try:
                look = self._connection()
            except LinkError:
                time.sleep(0.01)  # a foreign program: there is nothing to wait on
                continue
            try:
                self._log_in(look)
                reply = look.call(b"PING")
            except LinkError:  # it took the connection, and ended
                look.close()
                continue
            if not isinstance(reply, ReplyError) or reply.text.startswith(b"MASTERDOWN"):
                self._look = look
                self._durable = self._sizes()
                return
            look.close()
            time.sleep(0.01)
        raise HostError(f"{self.program} does not answer")

    def _listen(self, conf: bytes) -> list[str]:
        """Return the options for the ports that a configuration names; other ports are refused by the system.

        To a server that accepts only TLS, the tutor itself connects on a Unix socket.
        """
        found = {name: int(port) for name, port in re.findall(rb"^(port|tls-port) +(\d+) *$", conf, re.M)}
        self._plain = found.get(b"port") != 0
        options = ["--port", str(self.port) if self._plain else "0"]
        self.listens = {self.spec_port: None} if self._plain else {}
        if secured := found.get(b"tls-port"):
            options += ["--tls-port", str(self.ports.get(secured, secured))]
            self.listens[secured] = None
        if not self._plain:
            options += ["--unixsocket", str(self._socket)]
        return options

    def _connection(self) -> Connection:
        """Return a connection of the tutor's own. Raises LinkError."""
        if self._plain:
            return Connection.tcp(self.door, self.port, timeout=5)
        return Connection.unix(str(self._socket), timeout=5)

    def _sizes(self) -> dict[str, int]:
        return {
            str(self.folder / name): size for name, size in self.files().items() if Path(name).name != conf_name(self)
        }

    def pass_time(self, seconds: float) -> None:
        """See `Machine`."""
        time.sleep(seconds)  # another program: it uses the clock of the machine
        if self.running and not self.sentinel and setting(self, "appendfsync") == "everysec":
            self._durable = self._sizes()

    def _ended(self) -> None:
        if self._look is not None:
            self._look.close()
            self._look = None
        if self._process is not None:
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired as error:
                raise HostError("the real server does not end") from error
            if self._process.stderr is not None:
                self._process.stderr.close()

    def stop(self) -> None:
        """See `Machine`."""
        if self.running:
            assert self._process is not None
            self._process.terminate()
            self._ended()

    def kill(self) -> None:
        """See `Machine`."""
        if self.running:
            assert self._process is not None
            self._process.kill()
            self._ended()

    def cut_power(self) -> None:
        """See `Machine`. The worst that the policy allows happens: nothing reached the disk without an fsync."""
        if not self.running:
            return
        always = self.sentinel or setting(self, "appendfsync") == "always"
        self.kill()
        if always:
            return
        for path, size in self._sizes().items():
            if path.endswith(".aof") and size > self._durable.get(path, 0):
                os.truncate(path, self._durable.get(path, 0))

    def connect(self, terminal: str = "") -> socket.socket:
        """See `Machine`."""
        sock = socket.create_connection((self.door, self.port), START_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def inspect(self, argv: Sequence[bytes], db: int = 0) -> Reply:
        """See `Machine`."""
        if self._look is None or not self.running:
            raise HostError(f"the server of {self.name} does not run")
        try:
            if not self.sentinel:
                try:
                    self._look.call(b"SELECT", db)
                except LinkError:  # a Sentinel that reconfigures a server ends the connections of its clients
                    self._look.close()
                    self._look = self._connection()
                    self._log_in(self._look)
                    self._look.call(b"SELECT", db)
            return translated(self._look.call(*argv), self.outward)
        except LinkError as error:
            raise HostError(str(error)) from error

    def _log_in(self, look: Connection) -> None:
        password = re.search(rb"^requirepass +(\S+)", (self.folder / conf_name(self)).read_bytes(), re.M)
        if password:
            look.call(b"AUTH", password[1].strip(b'"'))

    def reach(self, host: str, port: int) -> Place | None:
        """See `Machine`."""
        if port not in self.ports:
            return None
        if host in ("127.0.0.1", "localhost", self.address):
            return (self.door, self.ports[port]) if port in self.listens else None
        return (self.others[host], self.ports[port]) if host in self.others else None

    def files(self) -> dict[str, int]:
        """See `Machine`."""
        sizes: dict[str, int] = {}
        for path in sorted(self.folder.rglob("*")):
            with contextlib.suppress(FileNotFoundError):  # a file that the server has just renamed or removed
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    sizes[str(path.relative_to(self.folder))] = status.st_size
        return sizes

    def read(self, path: str) -> bytes | None:
        """See `Machine`."""
        file = self.folder / path
        return file.read_bytes() if file.is_file() else None

    def write(self, path: str, data: bytes) -> None:
        """See `Machine`."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def remove(self, path: str) -> None:
        """See `Machine`."""
        file = self.folder / path
        file.unlink()
        if file.parent != self.folder and not any(file.parent.iterdir()):
            file.parent.rmdir()

    def log(self) -> bytes:
        """See `Machine`."""
        return self._log.read_bytes() if self._log.exists() else b""

    def close(self) -> None:
        """End it."""
        self.kill()


def translated(reply: Reply, outward: Callable[[bytes], bytes]) -> Reply:
    """Return a reply with the addresses and the port that the learner knows."""
    if isinstance(reply, bytes):
        return type(reply)(outward(reply))
    if isinstance(reply, ReplyError):
        return ReplyError(outward(reply.text))
    if isinstance(reply, Verbatim):
        return Verbatim(outward(reply.text), reply.format)
    if type(reply) is list:
        return [translated(each, outward) for each in reply]
    if type(reply) is int:
        text = outward(str(reply).encode())
        return int(text) if text.isdigit() else reply
    return reply


class Machines:
    """All machines of a lesson."""

    step_s = 0.02  # of `settle`

    def __init__(self, lesson: Lesson) -> None:
        self.lesson = lesson
        self.specs: dict[str, ServerSpec] = dict(lesson.front.servers) or {"redis": ServerSpec()}
        self.notices: list[str] = []  # of servers that ended, and run again
        self._hopeless: set[tuple[Any, ...]] = set()
        self.machines: Mapping[str, SimulatedMachine | RealMachine] = {}
        self.consoles: dict[str, PythonConsole] = {}  # of Python, by terminal

    def _open_consoles(self, real: Callable[[str], Address], told: Mapping[str, Address]) -> None:
        """Make the consoles of Python; `real` returns where a machine's server is for programs on this computer.

        `told`: the addresses by which other servers name it, if they differ from those of the lesson.
        """
        for terminal in filter(self.lesson.is_python, self.lesson.terminals):
            here = self.find(self.lesson.server_of(terminal)).name
            routes = [
                ((address, spec.port), real(name), name)
                for name, spec in self.specs.items()
                for address in {spec.address, "127.0.0.1" if name == here else spec.address}
            ]
            routes += [(address, real(name), name) for name, address in told.items()]
            self.consoles[terminal] = PythonConsole(routes)

    def _close_consoles(self) -> None:
        for console in self.consoles.values():
            console.close()

    def find(self, name: str) -> SimulatedMachine | RealMachine:
        """Return a machine by its name or address ("" is the first). Raises LookupError."""
        if not name:
            return next(iter(self.machines.values()))
        for machine in self.machines.values():
            if name in (machine.name, machine.address):
                return machine
        raise LookupError(f"no machine {name!r}")

    def close(self) -> None:
        """End all servers and remove their files."""
        raise NotImplementedError

    def _now(self) -> float:
        raise NotImplementedError

    def _pass(self, seconds: float) -> None:
        raise NotImplementedError

    # -- waiting until it is quiet

    def changed(self, command: bytes) -> None:
        """Take note of a command: some may give links a new chance that had none."""
        if command.lower() in (
            b"replicaof",
            b"slaveof",
            b"config",
            b"failover",
            b"acl",
            b"systemctl",
            b"sudo",
            b"client",
        ):
            self._hopeless.clear()
        if command.lower() == b"client":  # CLIENT KILL: the other end has yet to notice
            until = self._now() + 1
            while not self._restless() and self._now() < until:
                self._pass(self.step_s)

    def settle(self, most_s: float = 5.0) -> None:
        """Wait until replicas have what their masters have, and what runs in the background has ended."""
        until = self._now() + most_s
        while self._now() < until:
            restless = self._restless() - self._hopeless
            down = all(each[1] == "down" for each in restless)
            if not restless or (down and self._now() > until - most_s + LINK_SECONDS):
                break
            self._pass(self.step_s)
        else:
            restless = self._restless()
        self._hopeless |= restless

    def _restless(self) -> set[tuple[Any, ...]]:
        facts: dict[str, dict[str, str]] = {}
        found: set[tuple[Any, ...]] = set()
        for name, machine in self.machines.items():
            with contextlib.suppress(HostError, AttributeError):
                facts[name] = info_fields(machine.inspect([b"INFO", b"everything"]))
        for name, fact in facts.items():
            for busy in ("rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled", "loading"):
                if fact.get(busy, "0") != "0":
                    found.add((name, busy))
            if fact.get("master_failover_state", "no-failover") != "no-failover":
                found.add((name, "failover"))
            if fact.get("role") != "slave":
                continue
            master = next((each for each in self.machines.values() if each.address == fact.get("master_host")), None)
            up = fact.get("master_link_status") == "up"
            if master is None or master.name not in facts:
                if up:
                    found.add((name, "still up"))
            elif not up:
                if self._may_link(self.machines[name], master):
                    found.add((name, "down", master.name))
            elif fact.get("slave_repl_offset") != facts[master.name].get("master_repl_offset"):
                again = [
                    info_fields(self.machines[each].inspect([b"INFO", b"replication"]))
                    for each in (name, master.name)
                ]
                if again[0].get("slave_repl_offset") != again[1].get("master_repl_offset"):
                    found.add((name, "behind", master.name))
        return found

    @staticmethod
    def _may_link(replica: Machine, master: Machine) -> bool:
        """Tell whether a link that is down can come up by itself: the address is right, and the password."""
        if not listens_to_others(master):
            return False
        wanted = setting(master, "requirepass")
        return not wanted or setting(replica, "masterauth") == wanted or bool(setting(replica, "masteruser"))


class SimulatedMachines(Machines):
    """The machines of a lesson's world. `hear` is called with a machine's name and its events, from a thread."""

    step_s = 0.05

    def __init__(
        self, lesson: Lesson, hear: Callable[[str, Any], None] | None = None, seed: int | None = None
    ) -> None:
        super().__init__(lesson)
        self._hear = hear
        self.variables_lost = False  # by the last undo: those of Python
        self._again: dict[tuple[int, int], Connection] = {}  # see `send_again`
        shells = {lesson.server_of(name) for name in lesson.terminals if lesson.is_shell(name)}
        # Where the learner has a shell, an end is part of the lesson, and starting the server is up to them.
        by_hand = {name or next(iter(self.specs)) for name in shells}
        self.outside = {name: free_port() for name, spec in self.specs.items() if spec.outside or lesson.has_python}
        specs = {
            name: MachineSpec(
                f"{spec.address}:{spec.port}", tuple(conf_lines(spec)), spec.started, name not in by_hand,
                spec.sentinel, self.outside.get(name, 0),
            )
            for name, spec in self.specs.items()
        }  # fmt: skip
        self.world = WorldServer(specs, self._heard, seed)
        self.machines: Mapping[str, SimulatedMachine] = {
            name: SimulatedMachine(name, spec.address, self.world, self._reach, spec.sentinel)
            for name, spec in self.specs.items()
        }
        self._open_consoles(lambda name: ("127.0.0.1", self.outside[name]), {})
        self._time = 0.0

    def find(self, name: str) -> SimulatedMachine:
        """See `Machines`."""
        found = super().find(name)
        assert isinstance(found, SimulatedMachine)
        return found

    def client_of(self, terminal: str) -> str:
        """Return the name of a terminal in the world: the first at a server is that server's prompt."""
        server = self.find(self.lesson.server_of(terminal)).name
        first = next(
            name
            for name in self.lesson.terminals
            if self.lesson.is_prompt(name) and self.find(self.lesson.server_of(name)).name == server
        )
        return PROMPT + server if terminal == first else f"{terminal} " if terminal in self.specs else terminal

    def connect(self, terminal: str) -> socket.socket:
        """Open a connection for a terminal. Raises OSError."""
        return self.find(self.lesson.server_of(terminal)).connect(self.client_of(terminal))

    def skip_wait(self, terminal: str, seconds: float) -> None:
        """Let time jump to the reply of a command that a terminal has just sent, but no further than this."""
        with contextlib.suppress(HostError):
            self.world.wait_for_output(self.client_of(terminal), seconds)

    def comes_back(self, terminal: str, lost: socket.socket) -> bool:
        """Return whether a connection was lost because the server or the world ended, and runs again by now."""
        try:
            if not self.world.took_along(lost):
                return self.world.restarted(self.client_of(terminal))
            self.world.wait_until_up()
        except HostError:
            return False
        return True

    def _reach(self, address: str, port: int) -> Place | None:
        for machine in self.machines.values():
            if machine.address == address and self.world.listens(machine.name, port):
                return self.world.socket_path(machine.name, port)
        return None

    def _heard(self, told: tuple[str, Any] | Recovered) -> None:
        name, event = ("", told) if isinstance(told, Recovered) else told
        if isinstance(event, Recovered):
            self.notices.append(event.text)
        if self._hear is not None:
            self._hear(name, event)

    def _now(self) -> float:
        return self._time

    def _pass(self, seconds: float) -> None:
        self._time += seconds
        self.world.pass_time(seconds)

    def mark(self) -> int:
        """Note this moment; returns its place."""
        place = self.world.mark()
        for console in self.consoles.values():
            console.mark(place)
        return place

    def undo(self, place: int) -> int:
        """Bring all back to a place, programs as well; returns how many of their connections were closed."""
        known = [console.undo(place) for console in self.consoles.values()]
        self.variables_lost = not all(known)
        return self.world.undo(place)

    def send_again(self, terminal: str, ran: Ran) -> None:
        """Send again what a statement of Python sent, and wait for the replies: time jumps to them."""
        parsers: dict[tuple[int, int], Request] = {}
        for life, number, server, data in ran.sent or ():
            if any(life != other for other, _ in self._again):
                self.hang_up()  # those of another process ended with it
            client, connection = f"{terminal} again {number}", self._again.get((life, number))
            if data is None:
                if connection is not None:
                    self._again.pop((life, number)).close()
                continue
            with contextlib.suppress(OSError, LinkError):  # the server does not run, or ends the connection
                if connection is None:
                    connection = self._again[life, number] = Connection(self.world.connect(server, client))
                connection.socket.sendall(data)
                for argv in requests(parsers.setdefault((life, number), Request()), data):
                    self._wait_for_reply(client, connection, longest_wait(argv) + 1 if argv else 0)

    def _wait_for_reply(self, client: str, connection: Connection, seconds: float) -> None:
        while connection.buffered() is INCOMPLETE:
            if not connection.wait(timeout=0):
                self.world.wait_for_output(client, seconds)
            if not connection.wait(timeout=0):
                return
            connection.receive()

    def hang_up(self) -> None:
        """End the connections on which something was sent again."""
        for connection in self._again.values():
            connection.close()
        self._again.clear()

    def close(self) -> None:
        """See `Machines`."""
        self._close_consoles()
        self.hang_up()
        self.world.stop()


class RealMachines(Machines):
    """Machines with real servers, for `verify`. There is no way back."""

    def __init__(self, lesson: Lesson, program: str) -> None:
        super().__init__(lesson)
        self._base = tempfile.TemporaryDirectory(prefix="redis-tutor-")
        base = Path(self._base.name)
        real = {
            spec.address: "127" + spec.address.removeprefix("172") if spec.address != "127.0.0.1" else "127.0.0.1"
            for spec in self.specs.values()
        }
        first = _common_port(list(real.values()))
        second = next(port for _ in range(50) if (port := _common_port(list(real.values()))) != first)
        third = next(port for _ in range(50) if (port := _common_port(list(real.values()))) not in (first, second))
        ports = {SERVER_PORT: first, SENTINEL_PORT: second, TLS_PORT: third}
        self.machines: Mapping[str, RealMachine] = {
            name: RealMachine(name, spec, base, program, ports, real) for name, spec in self.specs.items()
        }
        told = {name: (machine.real, machine.port) for name, machine in self.machines.items()}
        self._open_consoles(lambda name: (self.machines[name].door, self.machines[name].port), told)
        try:
            for name, spec in self.specs.items():
                self.machines[name].write(conf_name(spec), "".join(f"{line}\n" for line in conf_lines(spec)).encode())
            for sentinels in (False, True):  # which then find the replicas at once
                for name, spec in self.specs.items():
                    if spec.started and spec.sentinel is sentinels:
                        self.machines[name].start()
                if any(spec.sentinel for spec in self.specs.values()):
                    self.settle()
                    if sentinels:
                        self._pass(SENTINELS_MEET_SECONDS)
        except BaseException:
            self.close()
            raise

    def _now(self) -> float:
        return time.monotonic()

    def _pass(self, seconds: float) -> None:
        time.sleep(seconds)  # nothing tells the end of what goes on between other processes

    def close(self) -> None:
        """See `Machines`."""
        self._close_consoles()
        for machine in self.machines.values():
            with contextlib.suppress(HostError):
                machine.close()
        with contextlib.suppress(OSError):
            shutil.rmtree(self._base.name)
        self._base.cleanup()


def setting(machine: Machine, name: str) -> str:
    """Return a setting of a machine's server. Raises HostError."""
    reply = machine.inspect([b"CONFIG", b"GET", name.encode()])
    value = reply.get(name.encode(), b"") if isinstance(reply, dict) else reply[1]
    return str(value.decode(errors="replace"))


def listens_to_others(machine: Machine) -> bool:
    """Tell whether a machine's server listens at the address that the others know."""
    if machine.sentinel:
        return True
    try:
        bound = setting(machine, "bind").split()
    except HostError:
        return False
    return bool({"*", "0.0.0.0", machine.address, f"-{machine.address}"} & set(bound))


def can_be_real(lesson: Lesson, program: str) -> bool:
    """Tell whether a lesson's machines can run a real server here.

    Addresses of their own need Linux's loopback, and TLS a server that was built with it.
    """
    alone = all(spec.address == "127.0.0.1" for spec in lesson.front.servers.values())
    tasks = [task for step in lesson.steps for task in step.tasks]
    secured = any("tls-port" in line for task in tasks for line in task.solution)
    return (alone or sys.platform.startswith("linux")) and (not secured or has_tls(program))


@functools.cache
def has_tls(program: str) -> bool:
    """Return whether a real server was built with TLS: it then ends because the certificate is missing."""
    options = ["--port", "0", "--tls-port", str(TLS_PORT)]
    done = subprocess.run([program, *options], capture_output=True, timeout=START_SECONDS, cwd=tempfile.gettempdir())
    return b"No tls-cert-file" in done.stdout


def _common_port(addresses: Sequence[str]) -> int:
    for _ in range(50):
        port = free_port()
        with contextlib.ExitStack() as stack:
            try:
                for address in set(addresses):
                    probe = stack.enter_context(socket.socket())
                    probe.bind((address, port))
            except OSError:
                continue
            return port
    raise OSError("no port is free on all addresses")


def conf_name(of: ServerSpec | Machine) -> str:
    """Return the name of a machine's configuration file."""
    return "sentinel.conf" if of.sentinel else CONF


def conf_lines(spec: ServerSpec) -> list[str]:
    """Return a machine's redis.conf."""
    lines: list[str] = []
    for name, value in spec.config.items():
        text = str(value)
        lines += [f"{name} {each}" for each in text.split("\n")] if text else [f'{name} ""']
    return lines


def info_fields(reply: Reply) -> dict[str, str]:
    """Return INFO's fields."""
    text = reply.text if isinstance(reply, Verbatim) else reply
    rows = text.decode(errors="replace").splitlines()
    return dict(row.split(":", 1) for row in rows if ":" in row)
