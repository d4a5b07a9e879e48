"""A simulated world: hosts, clients, a network, one clock, one source of randomness.

    do(action)    somebody does something, now
    step()        the next thing that is due happens: an arrival, a timer, the end of a snapshot
    run(until)    everything that is due until then happens, and the clock stands at `until`

Both return the happenings (`engine.simulation.happenings`) that came of it; all of them stay in `happenings`. What
is due at one time happens in the order in which it was decided on, and timers of hosts after it, in the order of the
hosts. `digest` is a chain of hashes over every byte on every wire and disk, and everything else that happened but the
nodes' log and events.
"""

import hashlib
import re
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from engine import effects as fx
from engine.resp import encode_command
from engine.rng import Rng
from engine.simulation import actions
from engine.simulation.actions import Action, ActionError
from engine.simulation.client import ClientHost
from engine.simulation.happenings import Acted, Delivered, Dropped, Exited, Happening, Logged, NodeEvent
from engine.simulation.host import BASE_DIRECTIVES, CONFIG_PATH, NOTICEABLE_US, Host
from engine.simulation.network import DOWN, PAUSED, RUNNING, Connection, Network
from engine.simulation.outside import Outside

BEGINNING_US = 1_700_000_000_000_000
CLIENT_LINK = 1  # what a client calls its only link
NEVER_US = 1 << 62
_SNAKE = re.compile("(?<!^)(?=[A-Z])")

Machine = Host | ClientHost | Outside


class World:
    """Everything, at one moment."""

    def __init__(self, seed: int, observed: bool = True, beginning_us: int = BEGINNING_US) -> None:
        self.seed = seed
        self.rng = Rng(seed)
        self.observed = observed  # whether nodes' events are among the happenings
        self.now_us = beginning_us
        self.steps = 0
        self.hosts: dict[str, Host] = {}
        self.clients: dict[str, ClientHost] = {}
        self.machines: dict[str, Machine] = {}
        self.outside: Outside | None = None  # the way to real connections, if there is one
        self.network = Network(self)
        self.queue: list[tuple[int, int, str, tuple[Any, ...]]] = []
        self.queued = 0
        self.cause = -1
        self.count = 0  # of happenings
        self.chain = b""
        self.happenings: list[Happening] = []
        self.observers: list[Callable[[Happening], None]] = []

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["happenings"] = []
        state["observers"] = []
        return state

    @property
    def links(self) -> dict[int, Connection]:
        """The connections, by number."""
        return self.network.connections

    @property
    def digest(self) -> str:
        """The hash over what has happened."""
        return self.chain.hex()

    # --- what happens -------------------------------------------------------------------------------------------

    def note(self, kind: Callable[..., Any], *fields: Any, cause: int | None = None, extra: bytes = b"") -> int:
        """Note a happening; returns its number."""
        number = self.count
        self.count = number + 1
        happening = kind(number, self.now_us, self.cause if cause is None else cause, *fields)
        self.happenings.append(happening)
        if kind is not NodeEvent and kind is not Logged:
            # Not the number of the sending: it counts what nodes only tell if somebody observes them.
            shown = fields[:-1] if kind is Delivered or kind is Dropped else fields
            text = f"{kind.__name__} {self.now_us} {shown!r}".encode()
            self.chain = hashlib.sha256(self.chain + text + extra).digest()
        for observer in self.observers:
            observer(happening)
        return number

    def at(self, at_us: int, method: str, *args: Any) -> None:
        """Have something happen at a time."""
        self.queued += 1
        heappush(self.queue, (at_us, self.queued, method, args))

    def later(self, delay_us: int, method: str, *args: Any) -> None:
        """Have something happen after a time."""
        self.at(self.now_us + delay_us, method, *args)

    def deadline(self) -> int:
        """Return when the next thing is due (`NEVER_US`: nothing is)."""
        return min(self.queue[0][0] if self.queue else NEVER_US, self._next_timer()[0])

    def _next_of_queue(self) -> None:
        due, _, method, args = heappop(self.queue)
        self.now_us = max(self.now_us, due)
        self.cause = -1
        _EVENTS[method](self, *args)

    def _next_timer(self, busy: Host | None = None) -> tuple[int, Host | None]:
        earliest, whose = NEVER_US, None
        for host in self.hosts.values():
            if host.state == RUNNING and host is not busy:
                due = host.deadline_us
                if due < host.busy_until_us:
                    due = host.busy_until_us
                if due < earliest:
                    earliest, whose = due, host
        return earliest, whose

    def step(self) -> list[Happening]:
        """Have the next due thing happen; returns what came of it, often nothing."""
        before = len(self.happenings)
        due, host = self._next_timer()
        if self.queue and self.queue[0][0] <= due:
            self._next_of_queue()
        elif host is not None:
            self.now_us = max(self.now_us, due)
            host.wake()
        else:
            return []
        self.steps += 1
        return self.happenings[before:]

    def run(self, until_us: int) -> list[Happening]:
        """Have everything happen that is due until a time, which it then is."""
        before = len(self.happenings)
        while self.deadline() <= until_us:
            self.step()
        self.now_us = max(self.now_us, until_us)
        return self.happenings[before:]

    # --- machines -----------------------------------------------------------------------------------------------

    def resolve(self, name: str, port: int, source: Host) -> tuple[str, int]:
        """Return the address that a host's name and port stand for."""
        if name in self.machines:
            return self.machines[name].ip, port
        if name not in ("localhost", "127.0.0.1", "::1"):
            return name, port
        return (source.ip, port) if self.outside is None else self.outside.find(port)

    def machine(self, ip: str, port: int) -> Host | Outside | None:
        """Return the machine that has an address, the one that listens on the port if several share it."""
        if self.outside is not None and ip == self.outside.ip:
            return self.outside
        found = [host for host in self.hosts.values() if host.ip == ip]
        for host in found:
            if port in host.listening:
                return host
        return next((host for host in found if host.port == port), found[0] if found else None)

    def power_off(self, host: Host, torn: bool) -> None:
        """A machine loses its power."""
        host.lose_power(torn)

    def go_on_without(self, busy: Host, until_us: int) -> None:
        """Have everything happen until a time while a host's process is busy: its timers wait."""
        cause = self.cause
        while True:
            due, host = self._next_timer(busy)
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
        """Talk to another server and wait for its answers (MIGRATE), out of turn: as if the time had passed."""
        ip, port = self.resolve(effect.host, effect.port, host)
        target = self.machine(ip, port)
        if target is None or target.node is None or not target.accepts(port):
            return ConnectionRefusedError(111, "Connection refused")
        lanes = self.network.lane(host.name, target.name), self.network.lane(target.name, host.name)
        if any(lane.state != "up" for lane in lanes) or target.state != RUNNING:
            host.watch_us += effect.timeout_ms * 1000
            return TimeoutError(110, "Connection timed out")
        host.watch_us += 2 * (lanes[0].latency_us + lanes[1].latency_us)
        data = target.answer_at_once(host.ip, effect.data)
        return [line.rstrip(b"\r") for line in data.split(b"\n")][: min(effect.replies, data.count(b"\n"))]

    # --- actions ------------------------------------------------------------------------------------------------

    def do(self, action: Action) -> list[Happening]:
        """Have somebody do something; raises ActionError, with the reason, when that is impossible."""
        before = len(self.happenings)
        verb = _SNAKE.sub("_", type(action).__name__).lower()
        check, act = getattr(self, f"_check_{verb}", None), getattr(self, f"_do_{verb}", None)
        if act is None:
            raise ActionError(f"{verb} is no action")
        for field in ("host", "a", "b"):
            name = getattr(action, field, None)
            known = self.hosts if field == "host" else self.machines
            if name is not None and name not in known:
                raise ActionError(f"there is no host {name}")
        if check is not None:
            check(action)
        self.cause = -1
        self.cause = self.note(Acted, action)
        act(action)
        return self.happenings[before:]

    def _check_add_host(self, action: actions.AddHost) -> None:
        ip, _, port = action.address.rpartition(":")
        if action.name in self.machines:
            raise ActionError(f"there is a host {action.name} already")
        if not ip or not port.isdigit() or not 0 < int(port) < 65536:
            raise ActionError(f"{action.address} is not an address like 172.16.6.18:6379")
        if any(host.address == action.address for host in self.hosts.values()):
            raise ActionError(f"the address {action.address} is taken")

    def _do_add_host(self, action: actions.AddHost) -> None:
        ip, _, port = action.address.rpartition(":")
        host = self.hosts[action.name] = self.machines[action.name] = Host(self, action.name, ip, int(port))
        self._configure(host, action.directives)

    def _configure(self, host: Host, directives: tuple[str, ...]) -> None:
        lines = [f"port {host.port}", *BASE_DIRECTIVES, *directives]
        host.disk.write(CONFIG_PATH, "".join(f"{line}\n" for line in lines).encode())
        host.disk.sync(CONFIG_PATH)

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

    def _check_continue(self, action: actions.Continue) -> None:
        if self.hosts[action.host].state != PAUSED:
            raise ActionError(f"the server of {action.host} is not stopped")

    def _do_continue(self, action: actions.Continue) -> None:
        host = self.hosts[action.host]
        host.state = RUNNING
        awaits, host.awaits = host.awaits, []
        for method, *args in awaits:
            self.later(0, method, *args)
        self.later(0, "door", host.name)

    def _check_pull_plug(self, action: actions.PullPlug) -> None:
        if not self.hosts[action.host].powered:
            raise ActionError(f"{action.host} has no power")

    def _do_pull_plug(self, action: actions.PullPlug) -> None:
        host = self.hosts[action.host]
        if action.after_effects and host.state == RUNNING:
            host.fuse = action.after_effects
        else:
            self.power_off(host, action.torn)

    def _check_wipe(self, action: actions.Wipe) -> None:
        if self.hosts[action.host].state != DOWN:
            raise ActionError(f"the server of {action.host} runs: its disk is in use")

    def _do_wipe(self, action: actions.Wipe) -> None:
        self.hosts[action.host].disk.wipe(keep=(CONFIG_PATH,))

    def _do_disk_limit(self, action: actions.DiskLimit) -> None:
        self.hosts[action.host].disk.limit_bytes = action.size_bytes

    def _check_set_link(self, action: actions.SetLink) -> None:
        if action.latency_us < 0 or action.bytes_per_s < 0:
            raise ActionError("a link is not faster than light")

    def _do_set_link(self, action: actions.SetLink) -> None:
        for source, target in ((action.a, action.b), (action.b, action.a)):
            lane = self.network.lane(source, target)
            lane.latency_us, lane.bytes_per_s = action.latency_us, action.bytes_per_s

    def _check_cut(self, action: actions.Cut) -> None:
        if action.kind not in ("silent", "reset", "half-open"):
            raise ActionError(f"a link cannot be cut {action.kind}: silent, reset or half-open")
        if action.direction not in ("both", "a-b", "b-a"):
            raise ActionError(f"{action.direction} is no direction: both, a-b or b-a")

    def _do_cut(self, action: actions.Cut) -> None:
        self.network.cut(action.a, action.b, action.kind, action.direction)

    def _do_heal(self, action: actions.Heal) -> None:
        self.network.heal(action.a, action.b)

    def _check_open_client(self, action: actions.OpenClient) -> None:
        if action.client in self.hosts:
            raise ActionError(f"{action.client} is a server")
        if action.client in self.clients and self.clients[action.client].connection:
            raise ActionError(f"the client {action.client} is connected already")

    def _do_open_client(self, action: actions.OpenClient) -> None:
        client = self.clients.get(action.client)
        if client is None:
            number = len(self.clients)
            ip = f"172.16.{8 + number // 250}.{1 + number % 250}"
            client = self.clients[action.client] = self.machines[action.client] = ClientHost(self, action.client, ip)
        host = self.hosts[action.host]
        client.host = action.host
        client.connection = self.network.connect(action.client, CLIENT_LINK, host.ip, host.port).number

    def _check_command(self, action: Any) -> None:
        if action.client not in self.clients:
            raise ActionError(f"there is no client {action.client}")
        if not self.clients[action.client].connection:
            raise ActionError(f"the client {action.client} is not connected")

    _check_raw_bytes = _check_close_client = _check_command

    def _do_command(self, action: actions.Command) -> None:
        self.clients[action.client].send(encode_command(list(action.argv)))

    def _do_raw_bytes(self, action: actions.RawBytes) -> None:
        self.clients[action.client].send(action.data)

    def _do_close_client(self, action: actions.CloseClient) -> None:
        client = self.clients[action.client]
        connection = self.network.connections[client.connection]
        client.refused(CLIENT_LINK, "")
        self.network.hang_up(connection, client.name)

    # --- what is due --------------------------------------------------------------------------------------------

    def _process(self, method: str, name: str, incarnation: int, *args: Any) -> Host | None:
        """Return the host that something concerns, if it is the same process, runs, and has time for it."""
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

    def _emit(self, name: str, incarnation: int, effect: fx.Effect) -> None:
        if self.hosts[name].incarnation == incarnation:
            self.hosts[name].emit(effect)

    def _door(self, name: str) -> None:
        host = self.hosts[name]
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

    def _start(self, name: str) -> None:
        if self.hosts[name].state == DOWN:
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


_EVENTS: dict[str, Callable[..., None]] = {
    "ask": lambda world, number: world.network.asked(number),
    "answer": lambda world, number: world.network.answered(number),
    "refuse": lambda world, number, reason: world.network.refused(number, reason),
    "arrive": lambda world, number, forward: world.network.arrive(number, forward),
    "reset": lambda world, number, host: world.network.reset_by_number(number, host),
    "emit": World._emit,
    "door": World._door,
    "accepted": World._accepted,
    "signal": World._signal,
    "start": World._start,
    "done": World._done,
    "synced": World._synced,
    "snapshot_piece": World._snapshot_piece,
    "snapshot_written": World._snapshot_written,
    "snapshot_ended": World._snapshot_ended,
}

__all__ = ["ActionError", "Exited", "World"]
