"""A simulated world: hosts, clients, a network, one clock, one source of randomness.

    do(action)    performs an action now
    step()        performs what is due next: an arrival, a timer, the end of a snapshot
    run(until)    performs everything that is due until then, and sets the clock to `until`

All of them return the resulting events (`engine.simulation.trace`); all events stay in `trace`. Things due at the
same time happen in the order in which they were scheduled, followed by the timers of hosts, in the order of the
hosts. `digest` is a chain of hashes of all bytes sent and written and of all other events except the nodes' logs
and events.
"""

import hashlib
import re
from collections.abc import Callable, Collection
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any

from engine import effects as fx
from engine.protocol.resp import encode_command
from engine.sentinel.role import SentinelRole
from engine.simulation import actions, pending
from engine.simulation.actions import Action, ActionError
from engine.simulation.application import Application
from engine.simulation.client import ClientHost
from engine.simulation.cluster_application import ClusterApplication
from engine.simulation.connection import DOWN, PAUSED, RUNNING, SimulatedConnection
from engine.simulation.gateway import NAME as OUTSIDE
from engine.simulation.gateway import Gateway
from engine.simulation.host import BASE_DIRECTIVES, NOTICEABLE_US, SENTINEL_CONFIG_PATH, Host
from engine.simulation.network import Network
from engine.simulation.programs import KINDS, LOCKER, READER, Locker
from engine.simulation.trace import Acted, Delivered, Dropped, Exited, Logged, NodeEvent, Sent, TraceEvent
from engine.timers import NEVER_US
from engine.values.rng import Rng

BEGINNING_US = 1_700_000_000_000_000
CLIENT_LINK = 1  # a client's link number for its only link
UNHASHED_BYTES_MAX = 1 << 20  # of file contents
_SNAKE = re.compile("(?<!^)(?=[A-Z])")

_due = attrgetter("due_us")
_new = tuple.__new__  # creates a named tuple in half the time

Machine = Host | ClientHost | Application | ClusterApplication | Gateway


def _first(hosts: Collection[Host]) -> tuple[int, Host | None]:
    host = min(hosts, key=_due, default=None)
    return (NEVER_US, None) if host is None or host.due_us == NEVER_US else (host.due_us, host)


class World:
    """The world at one moment."""

    def __init__(self, seed: int, observed: bool = True, beginning_us: int = BEGINNING_US) -> None:
        self.seed = seed
        self.rng = Rng(seed)
        self.observed = observed  # whether the trace contains the nodes' events
        self.now_us = beginning_us
        self.steps = 0
        self.hosts: dict[str, Host] = {}
        self.clients: dict[str, ClientHost] = {}
        self.applications: dict[str, Application | ClusterApplication] = {}  # client programs
        self.retired: list[Application | ClusterApplication] = []  # removed programs: what they did is still known
        self.removed: dict[str, int] = {}  # machines that were taken off the network; the last incarnation of each
        self.machines: dict[str, Machine] = {}
        self.gateway: Gateway | None = None  # the access to real connections, if there is one
        self.network = Network(self)
        self.queue: list[tuple[int, int, str, tuple[Any, ...]]] = []
        self.queued = 0
        self.cause = -1
        self.count = 0  # number of events
        self.trace: list[TraceEvent] = []
        self._chain = b""
        self._unhashed: list[Sent | Delivered | Dropped | bytes] = []  # what `_chain` does not contain yet
        self._unhashed_bytes = 0  # the size of file contents in it
        self.observers: list[Callable[[TraceEvent], None]] = []
        self.first_timer: tuple[int, Host | None] | None = None  # and its host; None: to be found
        self.pauses = 0  # how often a busy process has let the world go on
        self.when_busy: Callable[[bool], None] | None = None  # called from time to time while a script is busy

    def __getstate__(self) -> dict[str, Any]:
        self._hash()
        state = self.__dict__.copy()
        state["trace"] = []
        state["observers"] = []
        state["when_busy"] = None
        return state

    @property
    def links(self) -> dict[int, SimulatedConnection]:
        """The connections, by number."""
        return self.network.connections

    @property
    def chain(self) -> bytes:
        """The last of the chain of hashes of all events."""
        self._hash()
        return self._chain

    @property
    def digest(self) -> str:
        """The hash of all events so far."""
        return self.chain.hex()

    # --- events -------------------------------------------------------------------------------------------------

    def note(self, kind: Callable[..., Any], *fields: Any, cause: int | None = None, extra: bytes = b"") -> int:
        """Record an event. Returns its number."""
        number = self.count
        self.count = number + 1
        event = kind(number, self.now_us, self.cause if cause is None else cause, *fields)
        self.trace.append(event)
        if kind is not NodeEvent and kind is not Logged:
            self._unhashed.append(f"{kind.__name__} {self.now_us} {fields!r}".encode() + extra)
            self._unhashed_bytes += len(extra)
            if self._unhashed_bytes > UNHASHED_BYTES_MAX:
                self._hash()
        for observer in self.observers:
            observer(event)
        return number

    def note_bytes(self, kind: type[Sent | Delivered | Dropped], fields: tuple[Any, ...], cause: int) -> int:
        """Record what happens to bytes of a connection. Returns the number of the event."""
        number = self.count
        self.count = number + 1
        event = _new(kind, (number, self.now_us, cause, *fields))
        self.trace.append(event)
        self._unhashed.append(event)
        for observer in self.observers:
            observer(event)
        return number

    def _hash(self) -> None:
        """Add to the chain of hashes what happened since the last time: it is rarely looked at."""
        unhashed, chain, sha256 = self._unhashed, self._chain, hashlib.sha256
        sent: dict[int, bytes] = {}  # what the events of bytes that are under way have in common, by number
        for event in unhashed:
            if isinstance(event, bytes):
                chain = sha256(chain + event).digest()
                continue
            # Not the number of the sending: it also counts events that nodes emit only if observed.
            fields = sent.pop(event.sent, None) if isinstance(event, (Delivered, Dropped)) else None
            if fields is None:
                fields = f" {event[3:7]!r}".encode()
            if isinstance(event, Sent):
                sent[event.number] = fields
            chain = sha256(b"%b%b %d%b" % (chain, type(event).__name__.encode(), event.at_us, fields)).digest()
        unhashed.clear()
        self._chain, self._unhashed_bytes = chain, 0

    def at(self, at_us: int, method: str, *args: Any) -> None:
        """Schedule a call for a time."""
        self.queued += 1
        heappush(self.queue, (at_us, self.queued, method, args))

    def later(self, delay_us: int, method: str, *args: Any) -> None:
        """Schedule a call after a delay."""
        self.at(self.now_us + delay_us, method, *args)

    def deadline(self) -> int:
        """Return when the next thing is due (`NEVER_US`: never)."""
        first = self.first_timer or self._find_first_timer()
        return min(self.queue[0][0] if self.queue else NEVER_US, first[0])

    def _next_of_queue(self) -> None:
        due, _, method, args = heappop(self.queue)
        if due > self.now_us:
            self.now_us = due
        self.cause = -1
        if self.removed and args and args[0] in self.removed:
            return  # its machine is gone
        if method == "arrive":
            self.network.arrive(due, *args)  # most are
        else:
            _EVENTS[method](self, *args)

    def perform(self, entry: tuple[int, int, str, tuple[Any, ...]]) -> None:
        """Perform what was taken out of the queue."""
        _, _, method, args = entry
        if self.removed and args and args[0] in self.removed:
            return
        if method == "arrive":
            self.network.arrive(-1, *args)
        else:
            _EVENTS[method](self, *args)

    def _find_first_timer(self) -> tuple[int, Host | None]:
        """Return when the first timer of a host is due."""
        self.first_timer = found = _first(self.hosts.values())
        return found

    def _advance(self, until_us: int, most: int = NEVER_US) -> None:
        """Perform what is due until a time, at most so many steps."""
        queue = self.queue
        last = self.steps + most
        while self.steps < last:
            due_us, host = self.first_timer or self._find_first_timer()
            if queue and queue[0][0] <= due_us:
                if queue[0][0] > until_us:
                    return
                self._next_of_queue()
            elif host is not None and due_us <= until_us:
                if due_us > self.now_us:
                    self.now_us = due_us
                host.wake()
            else:
                return
            self.steps += 1

    def step(self) -> list[TraceEvent]:
        """Perform the next thing that is due. Returns the resulting events, often none."""
        before = len(self.trace)
        self._advance(NEVER_US, 1)
        return self.trace[before:]

    def run(self, until_us: int) -> list[TraceEvent]:
        """Perform everything that is due until a time, and set the clock to that time."""
        before = len(self.trace)
        self._advance(until_us)
        self.now_us = max(self.now_us, until_us)
        return self.trace[before:]

    # --- machines -----------------------------------------------------------------------------------------------

    def resolve(self, name: str, port: int, source: Host | ClusterApplication) -> tuple[str, int]:
        """Return the address of a host name and port."""
        if name in self.machines:
            return self.machines[name].ip, port
        if name not in ("localhost", "127.0.0.1", "::1"):
            return name, port
        return (source.ip, port) if self.gateway is None else self.gateway.find(port)

    def machine(self, ip: str, port: int) -> Host | Gateway | None:
        """Return the machine with an address; if several share it, the one that listens on the port."""
        if self.gateway is not None and ip == self.gateway.ip:
            return self.gateway
        found = [host for host in self.hosts.values() if host.ip == ip]
        for host in found:
            if port in host.listening:
                return host
        return next((host for host in found if host.port == port), found[0] if found else None)

    def power_off(self, host: Host, torn: bool) -> None:
        """Switch a machine off."""
        host.lose_power(torn)

    def go_on_without(self, busy: Host, until_us: int) -> None:
        """Perform everything that is due until a time while a host's process is busy: its timers wait."""
        cause = self.cause
        while True:
            due, host = _first([host for host in self.hosts.values() if host is not busy])
            if self.queue and self.queue[0][0] <= min(due, until_us):
                self._next_of_queue()
            elif host is not None and due <= until_us:
                self.now_us = max(self.now_us, due)
                host.wake()
            else:
                break
        self.now_us = max(self.now_us, until_us)
        self.cause = cause

    def exchange(self, host: Host, effect: fx.Exchange) -> Any:
        """Exchange requests and replies with another server (MIGRATE) immediately, as if the time had passed."""
        ip, port = self.resolve(effect.host, effect.port, host)
        target = self.machine(ip, port)
        if target is None or target.node is None or not target.accepts(port, host.ip):
            return ConnectionRefusedError(111, "Connection refused")
        paths = self.network.path(host.name, target.name), self.network.path(target.name, host.name)
        if any(path.state != "up" for path in paths) or target.state != RUNNING:
            host.watch_us += effect.timeout_ms * 1000
            return TimeoutError(110, "Connection timed out")
        host.watch_us += 2 * (paths[0].latency_us + paths[1].latency_us)
        return target.answer_at_once(host.ip, effect.data)

    # --- actions ------------------------------------------------------------------------------------------------

    def do(self, action: Action) -> list[TraceEvent]:
        """Perform an action; raises ActionError, with the reason, if it is impossible."""
        before = len(self.trace)
        verb = _SNAKE.sub("_", type(action).__name__).lower()
        check, act = getattr(self, f"_check_{verb}", None), getattr(self, f"_do_{verb}", None)
        if act is None:
            raise ActionError(f"{verb} is no action")
        if isinstance(action, _OF_PROGRAMS) and action.host in self.applications:
            act = self._do_program
            check = self._check_program
        for field in ("host", "a", "b"):
            name = getattr(action, field, None)
            known = self.hosts if field == "host" and act != self._do_program else self.machines
            if name is not None and name not in known:
                raise ActionError(f"there is no host {name}")
        if check is not None:
            check(action)
        self.cause = -1
        self.cause = self.note(Acted, action)
        act(action)
        return self.trace[before:]

    def _check_add_host(self, action: actions.AddHost | actions.AddSentinel) -> None:
        if action.name in self.machines:
            raise ActionError(f"there is a host {action.name} already")
        self._check_address(action.address)

    def _check_address(self, address: str) -> None:
        ip, _, port = address.rpartition(":")
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536 or not _is_host(ip):
            raise ActionError(f"{address} is not an address like 172.16.6.18:6379")
        if any(host.address == address for host in self.hosts.values()):
            raise ActionError(f"the address {address} is taken")

    def _do_add_host(self, action: actions.AddHost) -> None:
        ip, _, port = action.address.rpartition(":")
        host = self.hosts[action.name] = self.machines[action.name] = Host(self, action.name, ip, int(port))
        host.incarnation = self.removed.pop(action.name, 0)
        if action.directory:
            host.cwd = host.data_dir = action.directory
            host.config_path = f"{action.directory}/redis.conf"
        self._configure(host, action.directives, not action.directory)

    _check_add_sentinel = _check_add_host

    def _do_add_sentinel(self, action: actions.AddSentinel) -> None:
        ip, _, port = action.address.rpartition(":")
        host = self.hosts[action.name] = self.machines[action.name] = Host(self, action.name, ip, int(port))
        host.incarnation = self.removed.pop(action.name, 0)
        host.role, host.config_path = SentinelRole, SENTINEL_CONFIG_PATH
        if action.directory:
            host.cwd = host.data_dir = action.directory
            host.config_path = f"{action.directory}/sentinel.conf"
        self._configure(host, action.directives, not action.directory)

    def _check_add_application(self, action: actions.AddApplication) -> None:
        if action.name in self.machines:
            raise ActionError(f"there is a host {action.name} already")
        if action.period_us <= 0:
            raise ActionError(f"the period of {action.name} is above 0 µs, not {action.period_us}")
        for address in action.sentinels or (action.address,):
            _, _, port = address.rpartition(":")
            if not port.isdigit() or not 0 < int(port) < 65536:
                raise ActionError(f"{address} is not an address like 172.16.6.18:6379")

    def _do_add_application(self, action: actions.AddApplication) -> None:
        name, sentinels, master, address, period_us = action
        self._add_program(Application(self, name, self._program_ip(), sentinels, master, address, period_us))

    def _check_add_cluster_application(self, action: actions.AddClusterApplication) -> None:
        self._check_add_application(actions.AddApplication(action.name, action.nodes, "", "", action.period_us))

    def _do_add_cluster_application(self, action: actions.AddClusterApplication) -> None:
        self._add_program(ClusterApplication(self, ip=self._program_ip(), **action._asdict()))

    def _check_add_program(self, action: actions.AddProgram) -> None:
        self._check_add_application(
            actions.AddApplication(action.name, action.sentinels, action.master, action.address, action.period_us)
        )
        if action.kind not in KINDS:
            raise ActionError(f"{action.kind} is not a kind of program: {', '.join(KINDS)}")
        if action.kind == READER and not isinstance(self.applications.get(action.key), Application):
            raise ActionError(f"there is no writer {action.key}")

    def _do_add_program(self, action: actions.AddProgram) -> None:
        name, ip, where = action.name, self._program_ip(), (action.sentinels, action.master, action.address)
        if action.kind == LOCKER:
            times = action.ttl_ms, action.work_ms, action.fenced
            self._add_program(Locker(self, name, ip, where, action.period_us, action.key, *times))
        else:
            kind: Any = KINDS[action.kind]
            self._add_program(kind(self, name, ip, where, action.period_us, action.key))

    def _program_ip(self) -> str:
        taken = {program.ip for program in self.applications.values()}
        numbers = range(1, len(taken) + 2)
        return next(ip for number in numbers if (ip := f"172.16.9.{number}") not in taken)

    def _add_program(self, made: Application | ClusterApplication) -> None:
        for former in self.retired:
            if former.name == made.name and isinstance(former, Application) and isinstance(made, Application):
                made.written = max(made.written, former.written)  # what it numbers has other names than before
        self.removed.pop(made.name, None)
        self.applications[made.name] = self.machines[made.name] = made
        made.serial = self.queued
        self.later(made.period_us, "application", made.name, made.serial)

    def _check_program(self, action: Any) -> None:
        state = self.applications[action.host].state
        if isinstance(action, actions.Start) and state != DOWN:
            raise ActionError(f"{action.host} runs already")
        if isinstance(action, actions.Continue) and state != PAUSED:
            raise ActionError(f"{action.host} is not stopped")
        if isinstance(action, actions.Pause) and state != RUNNING:
            raise ActionError(f"{action.host} does not run")
        if isinstance(action, actions.Crash | actions.Terminate) and state == DOWN:
            raise ActionError(f"{action.host} does not run")

    def _do_program(self, action: Any) -> None:
        program = self.applications[action.host]
        match action:
            case actions.Start():
                program.start()
            case actions.Continue():
                program.go_on()
            case actions.Pause():
                program.pause()
            case actions.Crash():
                program.kill()
            case actions.Terminate():
                program.kill("terminated")
            case _:
                if program.state != DOWN:
                    program.kill("removed")
                del self.applications[program.name]
                self.retired.append(program)
                self._take_off(program.name, 0)

    def _do_remove(self, action: actions.Remove) -> None:
        host = self.hosts[action.host]
        if host.powered:
            host.lose_power(torn=False)
        host.disk.wipe(keep=())
        del self.hosts[host.name]
        self.first_timer = None
        self._take_off(host.name, host.incarnation + 1)

    def _take_off(self, name: str, incarnation: int) -> None:
        for connection in list(self.network.connections.values()):
            if name in (connection.source, connection.target):
                self.network.abandon(connection, name)
        del self.machines[name]
        self.network.paths = {ends: path for ends, path in self.network.paths.items() if name not in ends}
        self.removed[name] = incarnation

    def _configure(self, host: Host, directives: tuple[str, ...], base: bool = True) -> None:
        lines = [f"port {host.port}", *BASE_DIRECTIVES, *directives] if base else directives
        host.disk.write(host.config_path, "".join(f"{line}\n" for line in lines).encode())
        host.disk.sync(host.config_path)

    def _do_write_file(self, action: actions.WriteFile) -> None:
        host = self.hosts[action.host]
        host.disk.write(action.path, action.data)
        host.disk.sync(action.path)
        host.used("write", action.path, len(action.data), data=action.data)

    def _check_remove_file(self, action: actions.RemoveFile) -> None:
        if action.path not in self.hosts[action.host].disk.names:
            raise ActionError(f"{action.path}: No such file or directory")

    def _do_remove_file(self, action: actions.RemoveFile) -> None:
        host = self.hosts[action.host]
        host.disk.unlink(action.path)
        host.disk.durable_names.pop(action.path, None)
        host.used("unlink", action.path, 0)

    def _do_directives(self, action: actions.Directives) -> None:
        self._configure(self.hosts[action.host], action.directives)

    def _check_start(self, action: actions.Start) -> None:
        if self.hosts[action.host].state != DOWN:
            raise ActionError(f"the server of {action.host} runs already")

    def _do_start(self, action: actions.Start) -> None:
        self.hosts[action.host].start()

    def _check_crash(self, action: Any) -> None:
        if self.hosts[action.host].state == DOWN:
            raise ActionError(f"the server of {action.host} does not run")

    _check_terminate = _check_crash

    def _do_crash(self, action: actions.Crash) -> None:
        self.hosts[action.host].end(-9, "killed")

    def _do_terminate(self, action: actions.Terminate) -> None:
        host = self.hosts[action.host]
        if host.state == PAUSED:
            host.awaits.append(("signal", host.name))
        else:
            host.input("signal", "term", self.now_us)

    def _check_pause(self, action: actions.Pause) -> None:
        if self.hosts[action.host].state != RUNNING:
            raise ActionError(f"the server of {action.host} does not run")

    def _do_pause(self, action: actions.Pause) -> None:
        self.hosts[action.host].state = PAUSED
        self.hosts[action.host].reschedule()

    def _check_continue(self, action: actions.Continue) -> None:
        if self.hosts[action.host].state != PAUSED:
            raise ActionError(f"the server of {action.host} is not stopped")

    def _do_continue(self, action: actions.Continue) -> None:
        host = self.hosts[action.host]
        host.state = RUNNING
        host.reschedule()
        awaits, host.awaits = host.awaits, []
        for method, *args in awaits:
            self.later(0, method, *args)
        self.later(0, "inbox", host.name)

    def _check_pull_plug(self, action: actions.PullPlug) -> None:
        if not self.hosts[action.host].powered:
            raise ActionError(f"{action.host} has no power")

    def _do_pull_plug(self, action: actions.PullPlug) -> None:
        host = self.hosts[action.host]
        if action.after_effects and host.state == RUNNING:
            host.crash_after = action.after_effects
        else:
            self.power_off(host, action.torn)

    def _check_wipe(self, action: actions.Wipe) -> None:
        if self.hosts[action.host].state != DOWN:
            raise ActionError(f"the server of {action.host} runs: its disk is in use")

    def _do_wipe(self, action: actions.Wipe) -> None:
        self.hosts[action.host].disk.wipe(keep=(self.hosts[action.host].config_path,))

    def _do_set_clock(self, action: actions.SetClock) -> None:
        host = self.hosts[action.host]
        host.clock_offset_us = action.offset_us
        if host.state == PAUSED:
            host.awaits.append(("clock_set", host.name))
        else:
            self._clock_set(host.name)

    def _do_disk_limit(self, action: actions.DiskLimit) -> None:
        self.hosts[action.host].disk.limit_bytes = action.size_bytes

    def _check_set_link(self, action: actions.SetLink) -> None:
        if action.latency_us < 0 or action.bytes_per_s < 0:
            raise ActionError("a link is not faster than light")

    def _do_set_link(self, action: actions.SetLink) -> None:
        for source, target in ((action.a, action.b), (action.b, action.a)):
            path = self.network.path(source, target)
            path.latency_us, path.bytes_per_s = action.latency_us, action.bytes_per_s

    @staticmethod
    def _check_heal(action: actions.Cut | actions.Heal) -> None:
        if action.a == action.b:
            raise ActionError(f"{action.a} has no link to itself: name two machines")

    def _check_cut(self, action: actions.Cut) -> None:
        self._check_heal(action)
        if action.kind not in ("silent", "reset", "half-open"):
            raise ActionError(f"a link cannot be cut {action.kind}: silent, reset or half-open")
        if action.direction not in ("both", "a-b", "b-a"):
            raise ActionError(f"{action.direction} is no direction: both, a-b or b-a")

    def _do_cut(self, action: actions.Cut) -> None:
        self.network.cut(action.a, action.b, action.kind, action.direction)

    def _do_heal(self, action: actions.Heal) -> None:
        self.network.heal(action.a, action.b)

    def _do_close_port(self, action: actions.ClosePort) -> None:
        self.hosts[action.host].closed_ports[action.port] = None
        for connection in list(self.network.connections.values()):
            if connection.open and connection.target == action.host and connection.port == action.port:
                for end in (connection.source, connection.target):
                    self.network.reset(connection, end)

    def _check_open_port(self, action: actions.OpenPort) -> None:
        if action.port not in self.hosts[action.host].closed_ports:
            raise ActionError(f"the port {action.port} of {action.host} is open")

    def _do_open_port(self, action: actions.OpenPort) -> None:
        del self.hosts[action.host].closed_ports[action.port]

    def _check_readdress(self, action: actions.Readdress) -> None:
        host = self.hosts[action.host]
        if host.state != DOWN:
            raise ActionError(f"the server of {action.host} runs: stop it first")
        self._check_address(action.address)
        if action.address.rpartition(":")[2] != str(host.port):
            raise ActionError(f"{action.host} keeps its port, {host.port}")

    def _do_readdress(self, action: actions.Readdress) -> None:
        self.hosts[action.host].ip = action.address.rpartition(":")[0]

    def _check_open_client(self, action: actions.OpenClient | actions.OpenClientAt) -> None:
        if action.client in self.hosts:
            raise ActionError(f"{action.client} is a server")
        if action.client in self.applications:
            raise ActionError(f"{action.client} is a program, which has its own connection")
        if action.client in self.clients and self.clients[action.client].connection:
            raise ActionError(f"the client {action.client} is connected already")

    def _do_open_client(self, action: actions.OpenClient | actions.OpenClientAt) -> None:
        client = self.clients.get(action.client)
        if client is None:
            number = len(self.clients)
            ip = action.ip or f"172.16.{8 + number // 250}.{1 + number % 250}"
            client = self.clients[action.client] = self.machines[action.client] = ClientHost(self, action.client, ip)
        host = self.hosts[action.host]
        client.host = action.host
        port = action.port if isinstance(action, actions.OpenClientAt) else host.port
        client.connection = self.network.connect(action.client, CLIENT_LINK, host.ip, port, tls=None).number

    _check_open_client_at, _do_open_client_at = _check_open_client, _do_open_client

    def _check_fail_handshake(self, action: actions.FailHandshake) -> None:
        self._check_send_command(action)

    def _do_fail_handshake(self, action: actions.FailHandshake) -> None:
        client = self.clients[action.client]
        connection = self.network.connections[client.connection]
        self.hosts[client.host].log_failed_handshake(connection, action.reason)
        self._do_close_client(action)

    def _check_send_command(self, action: Any) -> None:
        if action.client not in self.clients:
            raise ActionError(f"there is no client {action.client}")
        if not self.clients[action.client].connection:
            raise ActionError(f"the client {action.client} is not connected")

    _check_raw_bytes = _check_close_client = _check_send_command

    def _do_send_command(self, action: actions.SendCommand) -> None:
        self.clients[action.client].send(encode_command(list(action.argv)))

    def _do_raw_bytes(self, action: actions.RawBytes) -> None:
        self.clients[action.client].send(action.data)

    def _do_close_client(self, action: actions.CloseClient | actions.FailHandshake) -> None:
        client = self.clients[action.client]
        connection = self.network.connections[client.connection]
        client.refused(CLIENT_LINK, "")
        self.network.hang_up(connection, client.name)

    def _check_choose_next(self, action: actions.ChooseNext) -> None:
        pending.check_choose(self, action.pending)

    def _do_choose_next(self, action: actions.ChooseNext) -> None:
        pending.choose(self, action.pending)

    def _check_hold_message(self, action: actions.HoldMessage) -> None:
        pending.check_move(self, action.pending, "held")

    def _do_hold_message(self, action: actions.HoldMessage) -> None:
        pending.hold(self, action.pending)

    def _check_release_message(self, action: actions.ReleaseMessage) -> None:
        pending.check_release(self, action.pending)

    def _do_release_message(self, action: actions.ReleaseMessage) -> None:
        pending.release(self, action.pending)

    def _check_delay_message(self, action: actions.DelayMessage) -> None:
        pending.check_move(self, action.pending, "delayed")

    def _do_delay_message(self, action: actions.DelayMessage) -> None:
        pending.delay(self, action.pending, action.delay_us)

    def _check_drop_message(self, action: actions.DropMessage) -> None:
        pending.check_move(self, action.pending, "dropped")

    def _do_drop_message(self, action: actions.DropMessage) -> None:
        pending.drop(self, action.pending)

    def _check_expose(self, action: actions.Expose) -> None:
        if not 0 < action.port < 65536:
            raise ActionError(f"there is no port {action.port}")

    def _do_expose(self, action: actions.Expose) -> None:
        if self.gateway is None:
            self.gateway = self.machines[OUTSIDE] = Gateway(self)
        self.gateway.is_open = True
        self.gateway.ports[action.port] = action.host

    def _check_outside_opens(self, action: Any) -> None:
        if self.gateway is None:
            raise ActionError("no host is exposed")

    _check_outside_sends = _check_outside_ends = _check_outside_answers = _check_outside_opens
    _check_outside_reads = _check_leave_outside = _check_outside_opens

    @property
    def outside(self) -> Gateway:
        """The gateway, which there is."""
        assert self.gateway is not None
        return self.gateway

    def _do_outside_opens(self, action: actions.OutsideOpens) -> None:
        self.outside.connect(*action)

    def _do_outside_sends(self, action: actions.OutsideSends) -> None:
        self.outside.send(*action)

    def _do_outside_ends(self, action: actions.OutsideEnds) -> None:
        self.outside.end(action.link)

    def _do_outside_answers(self, action: actions.OutsideAnswers) -> None:
        self.outside.answer(*action)

    def _do_outside_reads(self, action: actions.OutsideReads) -> None:
        self.outside.set_reading(*action)

    def _do_leave_outside(self, action: actions.LeaveOutside) -> None:
        self.outside.leave()

    # --- what is due --------------------------------------------------------------------------------------------

    def _process(self, method: str, name: str, incarnation: int, *args: Any) -> Host | None:
        """Return the host of a scheduled call if the process is the same, is running, and is not busy."""
        host = self.hosts[name]
        if host.incarnation != incarnation:
            return None
        if host.state == PAUSED:
            host.awaits.append((method, name, incarnation, *args))
            return None
        if host.serving:
            self.later(NOTICEABLE_US, method, name, incarnation, *args)
            return None
        if host.busy_until_us > self.now_us:
            self.at(host.busy_until_us, method, name, incarnation, *args)
            return None
        return host

    def _emit(self, name: str, incarnation: int, effect: fx.Send | fx.Hangup) -> None:
        if self.hosts[name].incarnation == incarnation:
            self.hosts[name].emit(effect)

    def _inbox(self, name: str) -> None:
        host = self.machines[name]
        for connection in list(self.network.connections.values()):
            if name in (connection.source, connection.target):
                incoming = connection.direction(connection.other(name))
                if incoming.arrived:
                    self.network.read(connection, incoming)
                outgoing = connection.direction(name)
                if outgoing.unsent and host.state == RUNNING:
                    self.network.pump(connection, outgoing)

    def _accepted(self, number: int) -> None:
        connection = self.network.connections.get(number)
        if connection is not None and connection.target_link:
            self.machines[connection.target].accepted(connection)

    def _signal(self, name: str) -> None:
        self.hosts[name].input("signal", "term", self.now_us)

    def _clock_set(self, name: str) -> None:
        host = self.hosts[name]
        host.input("clock_set", host.clock_offset_us, self.now_us)

    def _application(self, name: str, serial: int) -> None:
        application = self.applications.get(name)
        if application is not None and application.serial == serial:
            if application.state == RUNNING:
                application.tick()
            self.later(application.period_us, "application", name, serial)

    def _start(self, name: str) -> None:
        if self.hosts[name].state == DOWN and self.hosts[name].powered:
            self.hosts[name].start()

    def _done(self, name: str, incarnation: int, ticket: int, result: Any) -> None:
        host = self._process("done", name, incarnation, ticket, result)
        if host is not None:
            host.input("done", ticket, result, self.now_us)

    def _synced(self, name: str, incarnation: int, effect: fx.Sync, size_bytes: int) -> None:
        host = self.hosts[name]
        if host.incarnation != incarnation:
            return
        try:
            host.disk.sync(host.absolute(effect.path), size_bytes)
            host.used("sync", effect.path, size_bytes)
        except OSError as error:
            self._done(name, incarnation, effect.ticket, error)
            return
        if effect.ticket:
            self._done(name, incarnation, effect.ticket, None)

    def _snapshot_piece(self, name: str, incarnation: int, snapshot: int) -> None:
        host = self._process("snapshot_piece", name, incarnation, snapshot)
        if host is not None:
            host.snapshot_piece(snapshot)

    def _snapshot_written(self, name: str, incarnation: int, snapshot: int) -> None:
        host = self._process("snapshot_written", name, incarnation, snapshot)
        if host is not None:
            host.snapshot_written(snapshot)

    def _snapshot_ended(self, name: str, incarnation: int, snapshot: int, reason: str) -> None:
        host = self._process("snapshot_ended", name, incarnation, snapshot, reason)
        if host is not None:
            host.input("snapshot", snapshot, reason, self.now_us)


def _is_host(ip: str) -> bool:
    """Return whether a machine can have an IPv4 address."""
    parts = ip.split(".")
    numbers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) <= 3]
    return len(parts) == len(numbers) == 4 and max(numbers) <= 255 and 0 < numbers[0] < 224


_OF_PROGRAMS = (
    actions.Start,
    actions.Crash,
    actions.Terminate,
    actions.Pause,
    actions.Continue,
    actions.Remove,
)

_EVENTS: dict[str, Callable[..., None]] = {
    "ask": lambda world, number: world.network.asked(number),
    "answer": lambda world, number: world.network.answered(number),
    "refuse": lambda world, number, reason: world.network.refused(number, reason),
    "reset": lambda world, number, host: world.network.reset_by_number(number, host),
    "emit": World._emit,
    "inbox": World._inbox,
    "accepted": World._accepted,
    "signal": World._signal,
    "clock_set": World._clock_set,
    "start": World._start,
    "application": World._application,
    "done": World._done,
    "synced": World._synced,
    "snapshot_piece": World._snapshot_piece,
    "snapshot_written": World._snapshot_written,
    "snapshot_ended": World._snapshot_ended,
}

__all__ = ["ActionError", "Exited", "World"]
