"""`redis-tutor lab SCENARIO --expose`: simulated nodes on real ports, their time going as the wall clock does.

Real clients attach to any node, a real server follows a simulated master (`REPLICAOF 127.0.0.1 7001`), and a
simulated node follows a real master: to a node, 127.0.0.1 is the machine that it is shown on. Everything between the
nodes stays simulated, and what the laboratory does to it can be typed: `cut A B`, `crash A`, `app> SET k v`.

Whatever comes from outside is an action (`engine.simulation.gateway`), and the same on a history as on a world
without a past. Without a screen there is no past (`Present`): the world begins at the wall clock's time less what the
steps that are played first take, so that keys expire in real and simulated nodes at the same moment. With a screen
the history begins when all do, and the clocks of the nodes are set instead (`clock_actions`).
"""

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Container, Iterator
from typing import Any

from engine.sentinel.role import SentinelRole
from engine.simulation import actions, trace
from engine.simulation.actions import Action, ActionError
from engine.simulation.connection import DOWN
from engine.simulation.gateway import WAITING_BYTES_MAX, Gateway
from engine.simulation.history import FIRST, Branch, History, HistoryPosition
from engine.simulation.trace import TraceEvent
from engine.simulation.world import BEGINNING_US, World
from tutor.lab.actions import run_line
from tutor.lab.keeping import About
from tutor.lab.model import ScenarioSpec
from tutor.lab.runner import ScenarioRunner

HERE = "127.0.0.1"
FIRST_PORT = 7001
DIAL_TIMEOUT_S = 1.0  # on this machine a port answers at once or not at all
LONGEST_WAIT_S = 0.5
READ_BYTES = 1 << 16


class Present:
    """A world without a past, where a runner would have a history; it has one branch and goes nowhere back."""

    branch_name = FIRST

    def __init__(self, seed: int, beginning_us: int = BEGINNING_US) -> None:
        self.branches = {FIRST: Branch(FIRST, "", HistoryPosition(0, 0, 0, 0))}
        self.world = World(seed, observed=False, beginning_us=beginning_us)

    @property
    def place(self) -> int:
        """How much has happened of what is kept."""
        return len(self.world.trace)

    @property
    def trace(self) -> list[TraceEvent]:
        """What has happened and is kept."""
        return self.world.trace

    def do(self, action: Action) -> list[TraceEvent]:
        """Do something. Raises ActionError."""
        return self.world.do(action)

    def run(self, until_us: int, enough: Callable[[], bool] = lambda: False) -> list[TraceEvent]:
        """Have everything happen that is due until a time, or until it is enough."""
        world, before = self.world, len(self.world.trace)
        while world.deadline() <= until_us and not enough():
            world.step()
        if world.deadline() > until_us:
            world.run(until_us)
        return world.trace[before:]


def played(spec: ScenarioSpec, steps: int, now_us: int, first_port: int = 0) -> ScenarioRunner:
    """Return the runner of a scenario after so many steps, which have lasted until now."""
    beginning_us = now_us
    if steps:
        rehearsal = ScenarioRunner(spec, history=Present(spec.seed), first_port=first_port)
        for _ in range(steps):
            rehearsal.step()
        beginning_us -= rehearsal.history.world.now_us - BEGINNING_US
    runner = ScenarioRunner(spec, history=Present(spec.seed, beginning_us), first_port=first_port)
    for _ in range(steps):
        runner.step()
    return runner


def clock_actions(world: World, wall_us: int, known: Container[str] = ()) -> Iterator[actions.SetClock]:
    """Yield what sets servers to the wall clock's time; Sentinels do not need it, and a jump alarms them."""
    for name, host in world.hosts.items():
        if host.role is not SentinelRole and name not in known:
            yield actions.SetClock(name, wall_us - world.now_us)


def check_steps(spec: ScenarioSpec, steps: int) -> bool:
    """Return whether a scenario has so many steps; if it does not, that is told."""
    if steps > len(spec.steps):
        print(f"redis-tutor: {spec.id} has {len(spec.steps)} steps, not {steps}", file=sys.stderr)
    return steps <= len(spec.steps)


def recorded(spec: ScenarioSpec, steps: int) -> tuple[ScenarioSpec, History]:
    """Return a scenario, and its history after so many steps, in which nodes have the wall clock's time."""
    wall_us = time.time_ns() // 1000
    rehearsal = ScenarioRunner(spec, history=Present(spec.seed))
    for _ in range(steps):
        rehearsal.step()
    lasted_us = rehearsal.history.world.now_us - BEGINNING_US
    history = History(spec.seed)
    for action in ScenarioRunner.beginning(spec):
        if isinstance(action, actions.Start) and history.world.hosts[action.host].role is not SentinelRole:
            history.do(actions.SetClock(action.host, wall_us - lasted_us - BEGINNING_US))
        history.do(action)
    runner = ScenarioRunner(spec, history=history, resumed=True)
    for _ in range(steps):
        runner.step()
    history.about = About(scenario=spec, spans=runner.kept_spans).as_json()
    return spec, history


class ExposedConnection:
    """A real connection."""

    def __init__(self, link: int, sock: socket.socket) -> None:
        self.link = link
        self.sock = sock
        self.out = bytearray()
        self.watched = 0  # what the selector looks for
        self.held = False  # nothing more is read for now
        self.ending = False  # it is closed once everything is sent


class Exposition:
    """A world on real ports: sockets on this side, `Gateway` on the other."""

    def __init__(self, history: "Present | History", first_port: int, tell: Callable[[str], None]) -> None:
        self.history = history
        self.world = history.world
        self.tell = tell
        self.selector = selectors.DefaultSelector()
        self.listeners: dict[str, socket.socket] = {}
        self.ports: dict[str, int] = {}
        self.next_port = first_port
        self.lines: dict[int, ExposedConnection] = {}
        gateway = self.world.gateway
        self.last_link = max(gateway.connections, default=0) if gateway is not None else 0
        self.waiting: list[tuple[int, int]] = []  # connections that nodes have requested, and their ports
        self.taken = 0  # how much has come from outside
        self.ahead_us = 0
        self.synchronize()
        for port, name in gateway.ports.items() if gateway is not None else ():
            self.ports[name] = port  # the history knows it already
            self.next_port = max(self.next_port, port + 1) if first_port else 0
        try:
            for name, host in self.world.hosts.items():
                if host.state != DOWN or isinstance(history, Present):
                    self._open(name)
        except OSError:
            self.close()
            raise
        self.gateway.sockets = self

    @property
    def gateway(self) -> Gateway:
        """The machine of the outside."""
        return self.world.outside

    def synchronize(self) -> None:
        """Let the world's time go on from where it is, as fast as the wall clock."""
        self.ahead_us = self.world.now_us - time.monotonic_ns() // 1000

    def do(self, action: Action) -> None:
        """Do what the outside does; what is not possible any more is left."""
        self.taken += 1
        with contextlib.suppress(ActionError):
            self.history.do(action)

    def close(self) -> None:
        """Close every port and connection."""
        if self.world.gateway is not None:
            self.world.gateway.sockets = None
        for line in self.lines.values():
            line.sock.close()
        for listener in self.listeners.values():
            listener.close()
        self.selector.close()

    @property
    def now_us(self) -> int:
        """Where the world's time is to be: it goes as the wall clock does, and never back."""
        return time.monotonic_ns() // 1000 + self.ahead_us

    # --- ports --------------------------------------------------------------------------------------------------

    def _open(self, name: str) -> None:
        """Listen for a node, on its port if it had one before. Raises OSError with the port in its text."""
        port = self.ports.get(name, self.next_port)
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HERE, port))
            listener.listen()
        except (OSError, OverflowError) as error:
            listener.close()
            reason = error.strerror if isinstance(error, OSError) else "the port does not exist"
            raise OSError(f"port {port}, for {name}: {reason}") from error
        listener.setblocking(False)
        if name not in self.ports:
            self.ports[name] = listener.getsockname()[1]
            self.next_port += bool(self.next_port)
            self.history.do(actions.Expose(name, self.ports[name]))
        elif not self.gateway.is_open:
            self.history.do(actions.Expose(name, port))
        self.listeners[name] = listener
        self.selector.register(listener, selectors.EVENT_READ, lambda _: self._accept(name))

    def _follow_states(self) -> None:
        """Listen for the nodes that run, as their machines would."""
        for name in [name for name in self.listeners if name not in self.world.hosts]:
            listener = self.listeners.pop(name)
            self.selector.unregister(listener)
            listener.close()
        for name, host in self.world.hosts.items():
            if host.state == DOWN and name in self.listeners and name in self.ports:
                listener = self.listeners.pop(name)
                self.selector.unregister(listener)
                listener.close()
            elif host.state != DOWN and name not in self.listeners:
                known = name in self.ports
                try:
                    self._open(name)
                except OSError as error:
                    self.tell(f"{error}")
                    self.next_port += not known
                    continue
                if not known:
                    self.tell(self.where(name))

    def where(self, name: str) -> str:
        """Return where a node is found."""
        port = self.ports[name]
        return f"  {name:<4} {self.world.hosts[name].address:<20} {HERE}:{port:<6}  redis-cli -p {port}"

    def _accept(self, name: str) -> None:
        try:
            sock, (_, port) = self.listeners[name].accept()
        except OSError:
            return
        line = self._line(sock)
        self.do(actions.OutsideOpens(line.link, name, port))

    def _line(self, sock: socket.socket) -> ExposedConnection:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.last_link += 1
        line = self.lines[self.last_link] = ExposedConnection(self.last_link, sock)
        self._watch(line)
        return line

    def _ready(self, line: ExposedConnection, mask: int) -> None:
        if line.link not in self.lines:
            return
        if mask & selectors.EVENT_WRITE:
            self._flush(line)
        if mask & selectors.EVENT_READ and line.link in self.lines:
            try:
                data = line.sock.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                self.do(actions.OutsideSends(line.link, data))
            else:
                self._drop(line)

    def _drop(self, line: ExposedConnection) -> None:
        """A real connection has ended."""
        self._forget(line)
        self.do(actions.OutsideEnds(line.link))

    def _forget(self, line: ExposedConnection) -> None:
        if self.lines.pop(line.link, None) is not None:
            if line.watched:
                self.selector.unregister(line.sock)
            line.sock.close()

    def _flush(self, line: ExposedConnection) -> None:
        try:
            sent = line.sock.send(line.out)
            del line.out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(line)
            return
        if line.ending and not line.out:
            self._forget(line)
            return
        self._watch(line)

    def _watch(self, line: ExposedConnection) -> None:
        """Have the selector look for what a line waits for now."""
        reading = not line.held and not line.ending
        events = (selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if line.out else 0)
        before, line.watched = line.watched, events
        if events == before:
            return
        if not before:
            self.selector.register(line.sock, events, lambda mask: self._ready(line, mask))
        elif not events:
            self.selector.unregister(line.sock)
        else:
            self.selector.modify(line.sock, events, lambda mask: self._ready(line, mask))

    # --- Sockets: what the simulated side wants --------------------------------------------------------------------

    def dial(self, connection: int, port: int) -> None:
        """Note that a node wants to connect to a real port: it happens between two steps of the world."""
        self.waiting.append((connection, port))

    def _dial(self) -> None:
        """Connect to the real ports to which nodes want to connect, and tell them whether a server listens there."""
        waiting, self.waiting = self.waiting, []
        for connection, port in waiting:
            try:
                sock = socket.create_connection((HERE, port), timeout=DIAL_TIMEOUT_S)
            except (OSError, OverflowError):
                self.do(actions.OutsideAnswers(connection, 0))
            else:
                self.do(actions.OutsideAnswers(connection, self._line(sock).link))

    def pass_out(self, link: int, data: bytes) -> None:
        """Send bytes on a real connection."""
        line = self.lines.get(link)
        if line is not None:
            line.out += data
            self._watch(line)

    def _pace(self) -> None:
        """Have the network keep what real connections do not take now, and pass it on when they do."""
        full = self.gateway.full
        for link, line in list(self.lines.items()):
            if (len(line.out) >= WAITING_BYTES_MAX) != (link in full):
                self.do(actions.OutsideReads(link, link in full))

    def _overfull(self) -> bool:
        full = self.gateway.full
        return any(len(line.out) >= WAITING_BYTES_MAX and link not in full for link, line in self.lines.items())

    def hold(self, link: int, held: bool) -> None:
        """Read no more from a real connection, or again."""
        line = self.lines.get(link)
        if line is not None and line.held != held:
            line.held = held
            self._watch(line)

    def hang_up(self, link: int) -> None:
        """End a real connection, once everything is sent."""
        line = self.lines.get(link)
        if line is not None:
            line.ending = True
            self._watch(line)
            if not line.out:
                self._forget(line)

    # --- going on -----------------------------------------------------------------------------------------------

    @property
    def outsiders(self) -> int:
        """How many connections there are with the outside."""
        return len(self.lines)

    def wait_s(self) -> float:
        """Return how long nothing is due."""
        return max(0.0, (self.world.deadline() - self.now_us) / 1e6)

    def run(self, enough: Callable[[], bool] = lambda: False) -> None:
        """Let the world's time come to where it is to be, or until it is enough."""
        until_us = self.now_us
        while self.world.now_us < until_us and not enough():
            self.history.run(until_us, lambda: enough() or self._overfull())
            self._pace()
        self._dial()

    def turn(self, wait_s: float = 0.0, enough: Callable[[], bool] = lambda: False) -> None:
        """Wait for the outside, take what has come from there, and let time go on."""
        events = self.selector.select(wait_s)
        self.run(enough)
        for key, mask in events:
            key.data(mask)
        self.run(enough)
        self._follow_states()


class ExposedInText:
    """A world on real ports without a screen: what happens is printed, and actions are typed."""

    def __init__(self, runner: ScenarioRunner, first_port: int, tell: Callable[[str], None]) -> None:
        self.runner = runner
        self.world = runner.history.world
        self.tell = tell
        self.typing = b""  # a line that is not complete
        self.world.trace.clear()
        self.world.observers.append(self._told)
        self.exposition = Exposition(runner.history, first_port, tell)
        self.exposition.ahead_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000

    def serve(self, typed: int | None = None) -> None:
        """Run until interrupted; `typed` is the descriptor on which actions are typed."""
        exposition = self.exposition
        if typed is not None:
            with contextlib.suppress(OSError, ValueError):  # a file, or closed: no actions can be typed there
                exposition.selector.register(typed, selectors.EVENT_READ, lambda _: self._typed(typed))
        while True:
            exposition.turn(min(LONGEST_WAIT_S, exposition.wait_s()))
            self.world.trace.clear()

    def _typed(self, typed: int) -> None:
        data = os.read(typed, READ_BYTES)
        if not data:
            self.exposition.selector.unregister(typed)
        *lines, self.typing = (self.typing + data).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace").strip()
            try:
                if text.split()[:1] == ["wait"]:
                    raise ActionError("time goes on by itself here")
                if text:
                    run_line(self.runner.history, text, self.runner.spec.clients)
            except ActionError as error:
                self.tell(f"{error}")

    def _told(self, event: TraceEvent) -> None:
        match event:
            case trace.Logged(host=host, level=level, text=text) if level in "*#":
                self.tell(f"{host} {level} {text}")
            case trace.Exited(host=host, reason=reason):
                self.tell(f"{host} ends: {reason}")
            case trace.Noticed(host=host, text=text):
                self.tell(f"{host} {text}")
            case trace.Delivered(target=target, data=data) if target in self.world.clients:
                self.tell(f"{target} < {data.decode('utf-8', 'replace').strip()}")


def expose(spec: ScenarioSpec, steps: int, first_port: int, reached: bool = False) -> int:
    """Show a scenario's nodes on real ports until Ctrl-C; returns the exit status.

    With `reached`, its nodes know these ports from the beginning, and tell clients of each other by them.
    """
    if not check_steps(spec, steps):
        return 1

    def tell(text: str) -> None:
        print(text, flush=True)

    runner = played(spec, steps, time.time_ns() // 1000, first_port if reached else 0)
    try:
        shown = ExposedInText(runner, first_port, tell)
    except OSError as error:
        print(f"redis-tutor: {error}", file=sys.stderr)
        return 1
    try:
        signal.signal(signal.SIGTERM, _interrupted)
        tell(f"{spec.title}: {steps} of {len(spec.steps)} steps are played, and time runs.")
        for name in shown.exposition.ports:
            tell(shown.exposition.where(name))
        tell(f"To a node {HERE} is this machine (REPLICAOF {HERE} PORT). Actions can be typed: cut A B. Ctrl-C ends.")
        shown.serve(sys.stdin.fileno() if sys.stdin is not None else None)
    except KeyboardInterrupt:
        tell("")
    finally:
        shown.exposition.close()
    return 0


def _interrupted(*_: Any) -> None:
    raise KeyboardInterrupt
