"""The machines of a lesson: each has an address, a folder with its server's files, and a server that runs or not.

A lesson with one server and nothing else has no need of them (`server.EngineServer` is quicker, and its undo exact).
Machines are for what takes more: two servers, a restart with the files kept, a crash, a power cut, a copied file.
Their network is the lesson's own: addresses such as 172.16.6.18 are turned into ports of loopback, and nothing else
can be reached.

`OurMachine` runs this project's server (`tutor.host`), `RealMachine` a real one, for `verify`: on Linux every
address 172.x becomes 127.x, which is loopback too, and is turned back in what the server says.

A power cut: a kill loses nothing that was written, since the operating system still has it. So our machine's disk
keeps count of what was fsynced, and a cut takes the rest. For the real one, `appendfsync` says what that is.
"""

import contextlib
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from engine.errors import ReplyError
from engine.resp import Verbatim
from tutor.client import Connection, LinkError
from tutor.course.model import Lesson, ServerSpec
from tutor.host import HostError, LessonServer

Reply = Any
PORT = 6379
CONF = "redis.conf"
START_SECONDS = 20.0
LINK_SECONDS = 3.0  # within which a replica that can reach its master has done so


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port of an address of loopback that nobody uses just now. Raises OSError.

    It is not one of those that the system gives to whoever connects: until it is used, nobody takes it by chance.
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
    folder: Path
    log: Path

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

    def connect(self) -> socket.socket:
        """Open a connection. Raises OSError."""

    def peek(self, argv: Sequence[bytes], db: int = 0) -> Reply:
        """Look without a trace (a real server counts it). Raises HostError when it does not run."""

    def inward(self, text: bytes) -> bytes:
        """Return what a learner wrote as the server is to get it."""

    def outward(self, text: bytes) -> bytes:
        """Return what a server wrote as the learner is to see it."""

    def reach(self, host: str, port: int) -> tuple[str, int] | None:
        """Return where an address of the lesson really is, or None when nobody is there."""

    def waited(self) -> None:
        """Take note that some seconds have gone by."""


class OurMachine:
    """A machine with this project's server."""

    def __init__(self, name: str, address: str, base: Path, hear: Callable[[str, Any], None] | None = None) -> None:
        self.name, self.address = name, address
        self.folder = base / name
        self.folder.mkdir()
        self.log = base / f"{name}.log"
        self.port = free_port()
        self.network: dict[str, int] = {}
        self.callers = base / "callers"
        self.callers.mkdir(exist_ok=True)
        self.server: LessonServer | None = None
        self._hear = hear
        self.seed: int | None = None

    @property
    def running(self) -> bool:
        """See `Machine`."""
        return self.server is not None and self.server.running

    def start(self) -> None:
        """See `Machine`."""
        if self.running:
            return
        if self.server is not None:
            self.server.stop()
        hear = self._hear
        self.server = LessonServer.start(
            str(self.folder),
            (CONF,) if (self.folder / CONF).exists() else (),
            (lambda event: hear(self.name, event)) if hear else None,
            self.seed,
            {
                "address": self.address,
                "port": self.port,
                "network": self.network,
                "callers": str(self.callers),
                "log": str(self.log),
            },
        )

    def stop(self) -> None:
        """See `Machine`."""
        if self.server is not None and self.server.running:
            self.server.terminate()

    def kill(self) -> None:
        """See `Machine`."""
        if self.server is not None and self.server.running:
            self.server.kill()

    def cut_power(self) -> None:
        """See `Machine`."""
        if self.server is not None and self.server.running:
            self.server.cut_power()

    def connect(self) -> socket.socket:
        """See `Machine`."""
        if self.server is None or not self.server.running:
            raise ConnectionRefusedError(111, "Connection refused")
        try:
            return self.server.connect()
        except HostError as error:
            raise ConnectionRefusedError(111, "Connection refused") from error

    def peek(self, argv: Sequence[bytes], db: int = 0) -> Reply:
        """See `Machine`."""
        if self.server is None or not self.server.running:
            raise HostError(f"the server of {self.name} does not run")
        return self.server.peek(list(argv), db)

    def inward(self, text: bytes) -> bytes:
        """See `Machine`."""
        return text

    def outward(self, text: bytes) -> bytes:
        """See `Machine`."""
        return text

    def reach(self, host: str, port: int) -> tuple[str, int] | None:
        """See `Machine`."""
        here = self.address if host in ("127.0.0.1", "localhost") else host
        found = self.network.get(f"{here}:{port}")
        return ("127.0.0.1", found) if found else None

    def waited(self) -> None:
        """See `Machine`."""

    def close(self) -> None:
        """End it."""
        if self.server is not None:
            self.server.stop()


class RealMachine:
    """A machine with a real server, for `verify`."""

    def __init__(
        self, name: str, address: str, base: Path, program: str, port: int, others: Mapping[str, str]
    ) -> None:
        self.name, self.address = name, address
        self.folder = base / name
        self.folder.mkdir()
        self.log = base / f"{name}.log"
        self.program, self.port = program, port
        self.others = others  # the lesson's addresses → those of loopback
        self.real = others[address]
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
            pattern = rb"(?<![\d.])" + re.escape(lesson.encode()) + rb"(?![\d.])([\s:]+)6379(?!\d)"
            text = re.sub(pattern, rb"%b\g<1>%d" % (real.encode(), self.port), text)
            text = re.sub(rb"(?<![\d.])" + re.escape(lesson.encode()) + rb"(?![\d.])", real.encode(), text)
        return text

    def outward(self, text: bytes) -> bytes:
        """See `Machine`."""
        for lesson, real in self.others.items():
            text = text.replace(real.encode(), lesson.encode())
        text = text.replace(self.door.encode(), b"127.0.0.1")
        return re.sub(rb"(?<!\d)%d(?!\d)" % self.port, b"6379", text)

    def start(self) -> None:
        """See `Machine`."""
        if self.running:
            return
        conf = self.folder / CONF
        text = conf.read_bytes() if conf.exists() else b""
        conf.write_bytes(self.inward(text))
        # Given behind the file, so that it may say what it likes about them.
        binds = re.findall(rb"^bind +(.*)$", conf.read_bytes(), re.M)
        public = not binds or b"*" in binds[-1].split() or self.real.encode() in binds[-1]
        addresses = dict.fromkeys([self.door, self.real] if public else [self.door])
        options = ["--port", str(self.port), "--bind", *addresses, "--bind-source-addr", self.real]
        options += ["--dir", str(self.folder), "--logfile", str(self.log), "--enable-debug-command", "yes"]
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
                look = Connection.tcp(self.door, self.port, timeout=5)
            except LinkError:
                time.sleep(0.01)  # a foreign program: there is nothing to wait on
                continue
            password = re.search(rb"^requirepass +(\S+)", conf.read_bytes(), re.M)
            try:
                if password:
                    look.call(b"AUTH", password[1].strip(b'"'))
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

    def _sizes(self) -> dict[str, int]:
        return {
            str(path): path.stat().st_size for path in self.folder.rglob("*") if path.is_file() and path.name != CONF
        }

    def waited(self) -> None:
        """See `Machine`."""
        if self.running and setting(self, "appendfsync") == "everysec":
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
        always = setting(self, "appendfsync") == "always"
        self.kill()
        if always:
            return
        for path, size in self._sizes().items():
            if path.endswith(".aof") and size > self._durable.get(path, 0):
                os.truncate(path, self._durable.get(path, 0))

    def connect(self) -> socket.socket:
        """See `Machine`."""
        sock = socket.create_connection((self.door, self.port), START_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def peek(self, argv: Sequence[bytes], db: int = 0) -> Reply:
        """See `Machine`."""
        if self._look is None or not self.running:
            raise HostError(f"the server of {self.name} does not run")
        try:
            self._look.call(b"SELECT", db)
            return translated(self._look.call(*argv), self.outward)
        except LinkError as error:
            raise HostError(str(error)) from error

    def reach(self, host: str, port: int) -> tuple[str, int] | None:
        """See `Machine`."""
        if port != PORT:
            return None
        if host in ("127.0.0.1", "localhost", self.address):
            return self.door, self.port
        return (self.others[host], self.port) if host in self.others else None

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
    """All machines of a lesson. `program` is a real server to run on them; without it they run ours.

    `hear` is called with a machine's name and every event of its server, from threads.
    """

    def __init__(
        self,
        lesson: Lesson,
        hear: Callable[[str, Any], None] | None = None,
        program: str = "",
        seed: int | None = None,
    ) -> None:
        self.lesson = lesson
        self.specs: dict[str, ServerSpec] = dict(lesson.front.servers) or {"redis": ServerSpec()}
        self._base = tempfile.TemporaryDirectory(prefix="redis-tutor-")
        self._hear, self._program, self._seed = hear, program, seed
        self._hopeless: set[tuple[Any, ...]] = set()
        self._rounds = 0
        self.machines: dict[str, OurMachine | RealMachine] = {}
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    @property
    def several(self) -> bool:
        """Whether there is more than one machine."""
        return len(self.specs) > 1

    def _make(self) -> None:
        self._rounds += 1
        base = Path(self._base.name) / str(self._rounds)
        base.mkdir()
        if self._program:
            real = {
                spec.address: "127" + spec.address.removeprefix("172") if spec.address != "127.0.0.1" else "127.0.0.1"
                for spec in self.specs.values()
            }
            port = _common_port(list(real.values()))
            self.machines = {
                name: RealMachine(name, spec.address, base, self._program, port, real)
                for name, spec in self.specs.items()
            }
        else:
            ours = {name: OurMachine(name, spec.address, base, self._hear) for name, spec in self.specs.items()}
            network = {f"{machine.address}:{PORT}": machine.port for machine in ours.values()}
            for number, machine in enumerate(ours.values()):
                machine.network = network
                machine.seed = self._seed + number if self._seed is not None else None
            self.machines = dict(ours)
        for name, spec in self.specs.items():
            (self.machines[name].folder / CONF).write_text("".join(f"{line}\n" for line in conf_lines(spec)))
        self._start([name for name, spec in self.specs.items() if spec.started])

    def _start(self, names: Sequence[str]) -> None:
        """Start several at once. Raises HostError."""
        failed: list[BaseException] = []

        def start(name: str) -> None:
            try:
                self.machines[name].start()
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=start, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise HostError(str(failed[0])) from failed[0]

    def renew(self) -> None:
        """Make all of it anew: fresh folders, fresh servers."""
        for machine in self.machines.values():
            machine.close()
        self._hopeless.clear()
        self._make()

    def find(self, name: str) -> OurMachine | RealMachine:
        """Return a machine by its name or address ("" is the first). Raises LookupError."""
        if not name:
            return next(iter(self.machines.values()))
        for machine in self.machines.values():
            if name in (machine.name, machine.address):
                return machine
        raise LookupError(f"no machine {name!r}")

    def close(self) -> None:
        """End all servers and remove their files."""
        for machine in self.machines.values():
            with contextlib.suppress(HostError):
                machine.close()
        with contextlib.suppress(OSError):
            shutil.rmtree(self._base.name)
        self._base.cleanup()

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
            until = time.monotonic() + 1
            while not self._restless() and time.monotonic() < until:
                time.sleep(0.02)

    def settle(self, most_s: float = 5.0) -> None:
        """Wait until replicas have what their masters have, and what runs in the background has ended."""
        until = time.monotonic() + most_s
        while time.monotonic() < until:
            restless = self._restless() - self._hopeless
            down = all(each[1] == "down" for each in restless)
            if not restless or (down and time.monotonic() > until - most_s + LINK_SECONDS):
                break
            time.sleep(0.02)  # nothing tells the end of what goes on between other processes
        else:
            restless = self._restless()
        self._hopeless |= restless

    def _restless(self) -> set[tuple[Any, ...]]:
        facts: dict[str, dict[str, str]] = {}
        found: set[tuple[Any, ...]] = set()
        for name, machine in self.machines.items():
            with contextlib.suppress(HostError, AttributeError):
                facts[name] = info_fields(machine.peek([b"INFO", b"everything"]))
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
                    info_fields(self.machines[each].peek([b"INFO", b"replication"])) for each in (name, master.name)
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


def setting(machine: Machine, name: str) -> str:
    """Return a setting of a machine's server. Raises HostError."""
    reply = machine.peek([b"CONFIG", b"GET", name.encode()])
    value = reply.get(name.encode(), b"") if isinstance(reply, dict) else reply[1]
    return str(value.decode(errors="replace"))


def listens_to_others(machine: Machine) -> bool:
    """Tell whether a machine's server listens at the address that the others know."""
    try:
        bound = setting(machine, "bind").split()
    except HostError:
        return False
    return bool({"*", "0.0.0.0", machine.address, f"-{machine.address}"} & set(bound))


def can_be_real(lesson: Lesson) -> bool:
    """Tell whether a lesson's machines can run real servers here: addresses of their own need Linux's loopback."""
    alone = all(spec.address == "127.0.0.1" for spec in lesson.front.servers.values())
    return alone or sys.platform.startswith("linux")


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
