"""What a scenario needs of a world, made of real servers: processes, files, and a network that fails as told.

`Machines` takes the actions of the simulated world (`engine.simulation.actions`), so that the words of a scenario
(`tutor.lab.actions`) play on it as they do on a history. Each node has an address of its own in 127.0.0.0/8, which
stands wherever the scenario names the node's address: 172.16.6.18:6379 is here 127.x.6.18 and another port.

A node's power cannot be cut, as the machine's page cache would have to forget: see `simulated_only` in a scenario.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import redis

from engine.cluster.state import BUS_PORT_OFFSET
from engine.protocol.resp import encode_command
from engine.simulation import actions
from engine.simulation.actions import Action, ActionError
from engine.simulation.cluster_application import ClusterApplication
from engine.simulation.cluster_state import ClusterView, WriterView
from engine.simulation.state import NO_ID, ApplicationView, BeliefView, MemberView, NodeView, ReplicaView
from tests.clients.ours import start_ours
from tests.lab.applications import RealApplication
from tests.lab.real_clusters import cluster_views, string, text_of, writer_view
from tests.lab.wires import Wires, slim_socket
from tests.real import Program
from tests.waiting import PATIENCE_S
from tutor.lesson_server.forkserver import ForkedProcess

ROOT = Path(__file__).parents[2]
STARTS_WITHIN_S = 20.0
_ADDRESS = re.compile(r"\b172\.16\.(\d+\.\d+)(?:([ :])(\d+))?\b")
_REPLICA = re.compile(r"slave\d+")


def low_port(ip: str) -> int:
    """Return a free port of an address whose bus port, 10,000 above, is none that systems hand out."""
    while True:
        port = random.randrange(10_000, 22_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind((ip, port))
            return port


def can_host() -> bool:
    """Tell whether every address of 127.0.0.0/8 is this machine's (so on Linux)."""
    with socket.socket() as sock:
        with contextlib.suppress(OSError):
            sock.bind(("127.66.6.18", 0))
            return True
        return False


class Machine:
    """A node: where it is, its files, and its process while it has one."""

    def __init__(self, name: str, address: str, ip: str, directory: str) -> None:
        self.name = name
        self.address = address  # as the scenario names it
        self.ip = ip
        self.directory = directory
        self.listener = slim_socket()  # where others find it
        self.port = 0  # where it listens itself
        self.process: ForkedProcess | subprocess.Popen[bytes] | None = None
        self.paused = False
        self.sentinel = False
        self.client: Any = None
        self.in_cluster = False
        self.bus: socket.socket | None = None  # where others find its bus, if it belongs to a cluster
        self.bus_port = 0
        self.cluster_id = ""  # of its node, as of its last start

    @property
    def config(self) -> str:
        """Its redis.conf."""
        return f"{self.directory}/redis.conf"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        with contextlib.suppress(FileNotFoundError), open(f"{self.directory}/log", errors="replace") as file:
            return file.read()
        return ""

    @property
    def state(self) -> str:
        """What its process is: up, down or paused."""
        if self.process is None or self.process.poll() is not None:
            return "down"
        return "paused" if self.paused else "up"


class Client:
    """A client: a connection, and what it was answered."""

    def __init__(self, sock: socket.socket) -> None:
        self.connection: socket.socket | None = sock
        self.heard = b""

    def listen(self) -> bytes:
        """Return everything that it was answered so far."""
        while self.connection is not None:
            try:
                data = self.connection.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.connection.close()
                self.connection = None
            self.heard += data
        return self.heard


class Place(NamedTuple):
    """Where time stands, as a world tells it."""

    now_us: int
    hosts: dict[str, Machine]
    clients: dict[str, Client]


class Machines:
    """Real servers that take the simulated world's actions, in real time."""

    def __init__(self, program: Program | None) -> None:
        self.program = program  # None: our own server
        self.network = random.randrange(1, 255)
        self.ports: dict[str, int] = {}  # the scenario's ports, and what they are here
        self.root = tempfile.mkdtemp(prefix="machines-")
        self.hosts: dict[str, Machine] = {}
        self.clients: dict[str, Client] = {}
        self.wires = Wires()
        self.applications: dict[str, RealApplication] = {}

    def close(self) -> None:
        """End all processes, and forget everything."""
        for application in self.applications.values():
            application.close()
        for client in self.clients.values():
            if client.connection is not None:
                client.connection.close()
        for machine in self.hosts.values():
            if machine.process is not None and machine.process.poll() is None:
                machine.process.kill()
                machine.process.wait()
            if machine.client is not None:
                machine.client.close()
        self.wires.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> "Machines":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # --- as a history -------------------------------------------------------------------------------------------

    @property
    def world(self) -> Place:
        """Time, hosts and clients."""
        return Place(time.monotonic_ns() // 1000, self.hosts, self.clients)

    def run(self, until_us: int, stop: object = None) -> None:
        """Let time pass until then; nothing stops it before."""
        time.sleep(max(0, until_us - self.world.now_us) / 1e6)

    def do(self, action: Action) -> None:
        """Do something. Raises ActionError when that is impossible, or not with real machines."""
        act = getattr(self, "_" + re.sub("(?<!^)(?=[A-Z])", "_", type(action).__name__).lower(), None)
        if act is None:
            raise ActionError(f"real servers cannot do {action}")
        act(action)

    # --- machines -----------------------------------------------------------------------------------------------

    def here(self, text: str) -> str:
        """Return a text with the scenario's addresses replaced by those they have here."""

        def moved(match: re.Match[str]) -> str:
            host, between, port = match.groups()
            return f"127.{self.network}.{host}" + (f"{between}{self.ports.get(port, port)}" if port else "")

        return _ADDRESS.sub(moved, text)

    def _add_host(self, action: actions.AddHost) -> None:
        ip, _, port = action.address.rpartition(":")
        machine = Machine(action.name, action.address, self.here(ip), f"{self.root}/{action.name}")
        machine.listener.bind((machine.ip, self.ports.get(port) or low_port(machine.ip)))
        self.ports[port] = machine.listener.getsockname()[1]
        machine.listener.listen()
        with socket.socket() as sock:
            sock.bind((machine.ip, 0))
            machine.port = sock.getsockname()[1]
        self.wires.add(action.name, machine.ip, machine.listener, machine.port)
        self.hosts[action.name] = machine
        os.makedirs(f"{machine.directory}/data")
        if any(line.split() == ["cluster-enabled", "yes"] for line in action.directives):
            machine.in_cluster = True
            machine.bus_port = low_port(machine.ip)
            self._open_bus(machine)
        self._directives(actions.Directives(action.name, action.directives))

    def _open_bus(self, machine: Machine) -> None:
        """Listen where other nodes expect a bus: 10,000 above the port for clients."""
        machine.bus = slim_socket()
        machine.bus.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        machine.bus.bind((machine.ip, machine.listener.getsockname()[1] + BUS_PORT_OFFSET))
        machine.bus.listen()
        self.wires.add(machine.name, machine.ip, machine.bus, machine.bus_port)

    def _close_port(self, action: actions.ClosePort) -> None:
        machine = self.hosts[action.host]
        if machine.bus is None or action.port != int(machine.address.rpartition(":")[2]) + BUS_PORT_OFFSET:
            raise ActionError("real servers cannot close another port than that of the bus")
        self.wires.close_door(machine.bus)

    def _open_port(self, action: actions.OpenPort) -> None:
        self._open_bus(self.hosts[action.host])

    def _readdress(self, action: actions.Readdress) -> None:
        machine = self.hosts[action.host]
        if machine.state != "down":
            raise ActionError(f"the server of {action.host} runs: stop it first")
        former, port = machine.ip, machine.listener.getsockname()[1]
        self.wires.close_door(machine.listener)
        machine.address = action.address
        machine.ip = self.here(action.address.rpartition(":")[0])
        machine.listener = slim_socket()
        machine.listener.bind((machine.ip, port))
        machine.listener.listen()
        self.wires.add(machine.name, machine.ip, machine.listener, machine.port)
        if machine.bus is not None:
            self.wires.close_door(machine.bus)
            self._open_bus(machine)
        config = Path(machine.config)
        config.write_text(re.sub(rf"\b{re.escape(former)}\b", machine.ip, config.read_text()))

    def _add_cluster_application(self, action: actions.AddClusterApplication) -> None:
        self._add_application(action)

    def _add_sentinel(self, action: actions.AddSentinel) -> None:
        self._add_host(actions.AddHost(action.name, action.address))
        self.hosts[action.name].sentinel = True
        self._directives(actions.Directives(action.name, action.directives))

    def _add_application(self, action: actions.AddApplication | actions.AddClusterApplication) -> None:
        ip = f"127.{self.network}.201.{1 + len(self.applications)}"
        self.wires.add(action.name, ip)

        def real(host: str, port: int) -> tuple[str, int]:
            return self.here(host), self.ports.get(str(port), port)

        self.applications[action.name] = RealApplication(action, ip, real)

    def back(self, address: str) -> str:
        """Return an address as the scenario names it."""
        host, _, port = address.rpartition(":")
        host = host.replace(f"127.{self.network}.", "172.16.")
        return f"{host}:{next((told for told, here in self.ports.items() if str(here) == port), port)}"

    def told(self, data: bytes) -> bytes:
        """Return replies with the addresses in them as the scenario names them."""
        address = re.compile(rb"\b127\.%d\.\d+\.\d+:\d+\b" % self.network)
        return address.sub(lambda found: self.back(found[0].decode()).encode(), data)

    def _directives(self, action: actions.Directives) -> None:
        machine = self.hosts[action.host]
        if machine.sentinel:
            own = [
                f"bind {machine.ip}",
                f"port {machine.port}",
                f"bind-source-addr {machine.ip}",
                f"sentinel announce-ip {machine.ip}",
                f"sentinel announce-port {machine.listener.getsockname()[1]}",
                f"dir {machine.directory}/data",
                "protected-mode no",
            ]
            text = "".join(f"{line}\n" for line in (*own, *map(self.here, action.directives)))
            Path(machine.config).write_text(text)
            return
        port = machine.listener.getsockname()[1]
        in_cluster = [
            f"cluster-port {machine.bus_port}",
            f"cluster-announce-ip {machine.ip}",
            f"cluster-announce-port {port}",
            f"cluster-announce-bus-port {port + BUS_PORT_OFFSET}",
        ]
        lines = [
            *(in_cluster if machine.in_cluster else []),
            f"bind {machine.ip}",
            f"port {machine.port}",
            f"bind-source-addr {machine.ip}",
            f"replica-announce-port {machine.listener.getsockname()[1]}",
            f"dir {machine.directory}/data",
            "protected-mode no",
            "enable-debug-command yes",
        ]
        Path(machine.config).write_text("".join(f"{line}\n" for line in (*lines, *map(self.here, action.directives))))

    def _start(self, action: actions.Start) -> None:
        machine = self.hosts[action.host]
        if machine.state != "down":
            raise ActionError(f"the server of {action.host} runs already")
        with open(f"{machine.directory}/log", "ab") as log:
            if self.program is None:
                words = [machine.config, *(["--sentinel"] if machine.sentinel else [])]
                machine.process = start_ours(words, log.fileno())
            else:
                command = [self.program.path, machine.config, *(["--sentinel"] if machine.sentinel else [])]
                machine.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
                )
        machine.paused = False
        password = re.search(r"^requirepass (\S+)", Path(machine.config).read_text(), re.M)
        machine.client = redis.Redis(
            machine.ip, machine.port, password=password and password[1], socket_timeout=PATIENCE_S, protocol=2
        )
        end = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < end and machine.state == "up":
            with contextlib.suppress(redis.RedisError, OSError):
                if machine.client.ping():
                    if machine.in_cluster:
                        machine.cluster_id = str(text_of(machine.client.execute_command("CLUSTER", "MYID")))
                    return
            time.sleep(0.01)
        raise ActionError(f"{action.host} does not start: {machine.log[-500:]}")

    def _process(self, name: str) -> "ForkedProcess | subprocess.Popen[bytes]":
        machine = self.hosts[name]
        if machine.process is None or machine.state == "down":
            raise ActionError(f"the server of {name} does not run")
        return machine.process

    def _crash(self, action: actions.Crash) -> None:
        process = self._process(action.host)
        process.kill()
        process.wait()

    def _terminate(self, action: actions.Terminate) -> None:
        self._process(action.host).terminate()

    def _pause(self, action: actions.Pause) -> None:
        self._process(action.host).send_signal(signal.SIGSTOP)
        self.hosts[action.host].paused = True

    def _continue(self, action: actions.Continue) -> None:
        self._process(action.host).send_signal(signal.SIGCONT)
        self.hosts[action.host].paused = False

    def _wipe(self, action: actions.Wipe) -> None:
        machine = self.hosts[action.host]
        if machine.state != "down":
            raise ActionError(f"the server of {action.host} runs: its disk is in use")
        shutil.rmtree(f"{machine.directory}/data")
        os.makedirs(f"{machine.directory}/data")

    # --- the network --------------------------------------------------------------------------------------------

    def _set_link(self, action: actions.SetLink) -> None:
        self.wires.set_link(*action)

    def _cut(self, action: actions.Cut) -> None:
        self.wires.cut(*action)

    def _heal(self, action: actions.Heal) -> None:
        self.wires.heal(*action)

    # --- clients ------------------------------------------------------------------------------------------------

    def _open_client(self, action: actions.OpenClient) -> None:
        machine = self.hosts[action.host]
        number = len(self.clients)
        ip = f"127.{self.network}.{200 + number // 250}.{1 + number % 250}"
        self.wires.add(action.client, ip)
        sock = socket.create_connection(machine.listener.getsockname(), timeout=PATIENCE_S, source_address=(ip, 0))
        sock.setblocking(False)
        self.clients[action.client] = Client(sock)

    def _send_command(self, action: actions.SendCommand) -> None:
        sock = self.clients[action.client].connection
        if sock is None:
            raise ActionError(f"the client {action.client} is not connected")
        data = encode_command([self.here(word.decode("latin-1")).encode("latin-1") for word in self._words(action)])
        sock.setblocking(True)
        sock.settimeout(PATIENCE_S)
        sock.sendall(data)
        sock.setblocking(False)

    def _words(self, action: actions.SendCommand) -> list[bytes]:
        """Return a command's words; an address's port follows its host as a word of its own."""
        words = list(action.argv)
        for index, word in enumerate(words[:-1]):
            if _ADDRESS.fullmatch(word.decode("latin-1")):
                port = words[index + 1].decode("latin-1")
                words[index + 1] = str(self.ports.get(port, port)).encode("latin-1")
        return words

    def _close_client(self, action: actions.CloseClient) -> None:
        client = self.clients[action.client]
        if client.connection is not None:
            client.connection.close()
            client.connection = None

    # --- what is so ---------------------------------------------------------------------------------------------

    def look(self) -> dict[str, NodeView]:
        """Return every node, as `engine.simulation.state` does of a simulated world."""
        return {name: self._look(machine) for name, machine in self.hosts.items()}

    def _look(self, machine: Machine) -> NodeView:
        if machine.state != "up":
            return NodeView(machine.name, machine.address, machine.state)
        if machine.sentinel:
            return NodeView(machine.name, machine.address, "up", "sentinel")
        told = machine.client.info("everything")
        replica = told["role"] == "slave"
        master = self.back(f"{told['master_host']}:{told['master_port']}") if replica else ""
        seen = [told[field] for field in told if _REPLICA.fullmatch(field)]
        backlog = None
        if told["repl_backlog_active"]:
            first = told["repl_backlog_first_byte_offset"]
            backlog = first, first + told["repl_backlog_histlen"] - 1, told["repl_backlog_size"]
        return NodeView(
            machine.name, machine.address, "up", "replica" if replica else "master", master,
            told["master_link_status"] if replica else "", told["master_replid"],
            "" if told["master_replid2"] in (NO_ID, 0) else told["master_replid2"],
            told["second_repl_offset"], told["master_repl_offset"], machine.client.dbsize(),
            tuple(ReplicaView(f"{each['ip']}:{each['port']}", each["state"], int(each["offset"])) for each in seen),
            backlog, told["sync_full"], told["sync_partial_ok"], told["sync_partial_err"],
        )  # fmt: skip

    def beliefs(self) -> dict[tuple[str, str], BeliefView]:
        """Return what each Sentinel that runs believes, as far as it can be asked."""
        found: dict[tuple[str, str], BeliefView] = {}
        for name, machine in self.hosts.items():
            if not machine.sentinel or machine.state != "up":
                continue
            tilt = bool(machine.client.info("sentinel")["sentinel_tilt"])
            for master, told in machine.client.sentinel_masters().items():
                said = machine.client.sentinel_master(master)
                others = [MemberView("sentinel", "", "", "")] * told["num-other-sentinels"]
                replicas = [MemberView("slave", "", "", "")] * told["num-slaves"]
                at = machine.client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master)
                host, port = (each.decode() if isinstance(each, bytes) else str(each) for each in at)
                found[name, master] = BeliefView(
                    name, "", master, self.back(f"{host}:{port}"), told["flags"], told["quorum"], 0, 0, 0,
                    told["config-epoch"], "", 0, said.get("failover-state", "none"), 0, (*replicas, *others), tilt,
                )  # fmt: skip
        return found

    def clusters(self) -> dict[str, ClusterView]:
        """Return what each node of a cluster that runs believes."""
        return cluster_views(self.hosts, self.back)

    def writers(self) -> dict[str, WriterView]:
        """Return every application that writes to a cluster."""
        apps = {name: real for name, real in self.applications.items() if isinstance(real.app, ClusterApplication)}
        return {name: writer_view(real, self.hosts, self.back) for name, real in apps.items()}

    def running(self) -> dict[str, ApplicationView]:
        """Return every application that writes to one node."""
        views: dict[str, ApplicationView] = {}
        for name, real in self.applications.items():
            if isinstance(real.app, ClusterApplication):
                continue
            with real.lock:
                app = real.app
                numbers, view = list(app.acknowledged), ApplicationView(
                    name, app.does, app.target, app.address, bool(app.sentinels), 0, app.failed, app.error, {}
                )  # fmt: skip
            target = self.back(view.target) if view.target else ""
            missing: dict[str, int] = {}
            for host, machine in self.hosts.items():
                if not machine.sentinel and machine.state == "up":
                    held = {int(each) for each in machine.client.lrange(name, 0, -1)}
                    missing[host] = sum(number not in held for number in numbers)
            views[name] = view._replace(acknowledged=len(numbers), target=target, missing=missing)
        return views

    def data_of(self, name: str) -> dict[bytes, object]:
        """Return the strings of a node's first database."""
        client = self.hosts[name].client
        if self.hosts[name].state != "up" or self.hosts[name].sentinel:
            return {}
        if self.hosts[name].in_cluster:
            found = {key: string(self.hosts[name], key) for key in client.keys("*")}
            return {key: value for key, value in found.items() if value is not None}
        return {key: client.get(key) for key in client.keys("*") if client.type(key) in (b"string", "string")}

    def digest_of(self, name: str) -> str:
        """Return the DEBUG DIGEST of a node; nothing when it does not run."""
        if self.hosts[name].state != "up" or self.hosts[name].sentinel:
            return ""
        answer = self.hosts[name].client.execute_command("DEBUG", "DIGEST")
        return str(answer.decode() if isinstance(answer, bytes) else answer)
