"""The child process of a lesson with machines: a simulated world that follows the wall clock.

All machines of the lesson are hosts of one `engine.simulation` world. While the learner works, its virtual time
follows the wall clock; ten minutes after the last input it stops. Where a lesson waits (`pass_time`,
`wait_for_output`), it jumps. Every terminal is a client in the world, and the tutor has one end of a socket pair for
it. Other programs, such as the shell's redis-cli, connect to the Unix socket of a machine, or to a port of 127.0.0.1
if the lesson asks for one. Each connection is a client, too. Servers see these clients at 127.0.0.1.

A port with TLS does real handshakes here, with the certificate that its server has loaded from its simulated disk.
The bytes in the world, and in its history, are those that TLS protects.

While a script is busy, terminals are served at its pauses, so that SCRIPT KILL works at once, and an undo ends the
process: the next one is back at the place.

What comes from outside is an action in the world's history, with its virtual time, so the history can be repeated:
`undo` goes back to a place in it and starts a branch there, the laboratory opens it, and after the end of this
process the next one runs it again from the journal. That is a file of lines of JSON: actions as in a saved history,
and where the history went back.
"""

import contextlib
import json
import os
import selectors
import socket
import ssl
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from typing import Any

from engine.config import Config
from engine.config.tls import TlsError
from engine.inspection import inspect
from engine.live.tls import TlsBytes, make_context
from engine.observe.events import CommandExecuted
from engine.protocol.resp import encode2
from engine.simulation import actions
from engine.simulation.actions import Action, ActionError
from engine.simulation.certificates import LoadedTls
from engine.simulation.connection import DOWN
from engine.simulation.history import History, HistoryError
from engine.simulation.host import Host
from engine.simulation.trace import Delivered, Exited, Hungup, Logged, NodeEvent, Refused, TraceEvent
from engine.simulation.world import BEGINNING_US
from engine.timers import NEVER_US
from tutor.lesson_server.child import SHOWN_BYTES, WENT_BACK, EventQueue, prepare, short
from tutor.lesson_server.messages import receive_call, send_message
from tutor.lesson_server.parent import WENT_AWAY, Bytes, MachineSpec, Recovered, Undone

DIRECTORY = "/var/lib/redis"  # of every machine: its data and its redis.conf
AWAY_US = 600_000_000  # without any input, the virtual time stops after this time
ANSWER_US = 5_000  # what comes within this time after an input comes at once
CATCH_UP_S = 0.05
LONGEST_WAIT_S = 0.5
REPLICAS_MEET_US = 1_000_000  # in lessons with Sentinels, before these start: they find the replicas at once then
SENTINELS_MEET_US = 5_000_000  # and after that, each other
BUSY_LOOK_S = 0.02  # between two looks at the sockets while a script is busy
AHEAD_US = 1_000_000  # by which the virtual time may be ahead of the wall clock's
ALWAYS = ("ping", "mark", "is_running", "listens")  # calls that are answered even while a script is busy
END_US = 15_000_000  # within which a server ends that was told to
CHECKPOINTS_MAX = 60
LEVELS = ".-*#"
ROUTINE = (b"PING", b"INFO", b"PUBLISH", b"REPLCONF")  # what Sentinels and replicas send all the time
LOADING_FAILED = "Fatal error loading the DB, check server logs. Exiting."


@dataclass(slots=True)
class Wire:
    """The socket of a client, and what is still to be sent on it."""

    socket: socket.socket
    host: str
    terminal: bool
    client_id: int = 0  # as the server numbers it
    unsent: bytearray = field(default_factory=bytearray)
    tls: TlsBytes | None = None  # if the port expects TLS: the world of the server sees what it protects

    def take(self, data: bytes) -> None:
        """Add to what is to be sent."""
        if self.tls is not None:
            self.tls.send(data)
            data = self.tls.taken()
        self.unsent += data


class HostedWorld:
    """The world, its sockets, and the control channel."""

    def __init__(self, channel: socket.socket, told: dict[str, Any], seed: int) -> None:
        self.channel = channel
        self.specs = {name: MachineSpec(*spec) for name, spec in told["machines"].items()}
        self.watched = any(spec.sentinel for spec in self.specs.values())
        self.journal: int = told["journal"]
        self.selector = selectors.DefaultSelector()
        self.outbox = EventQueue(channel)
        self.wires: dict[str, Wire] = {}
        self.restarted: set[str] = set()  # terminals whose connection ended with a server that was restarted
        self.strangers = self.undone = 0
        self.before = 0  # the place before the last input
        self.asked_at = 0  # the place at which the tutor's last call arrived
        self.open = True
        self.listeners: set[Any] = set()
        self.doors: dict[str, socket.socket] = {}  # the listeners on ports, by machine
        self.sockets: str = told["sockets"]  # the folder of the machines' sockets
        self.side_doors: dict[tuple[str, int], socket.socket] = {}  # for a server's other ports, such as that of TLS
        self.contexts: dict[str, tuple[LoadedTls, ssl.SSLContext]] = {}  # by machine
        self.heard = 0  # events that were looked at
        self.touched_us = 0  # when the last input was
        self.held = False  # the virtual time stands still
        self.within = False  # a step of the world, in which a script is busy
        self.looked_s = 0.0  # when a busy script was interrupted for a look at the sockets
        self.calls: list[Any] = []  # of the tutor, to be answered after the step
        resumes = os.fstat(self.journal).st_size > 0
        if resumes:
            self.history = self._run_again()
        else:
            self.history = History(seed)
            self.follow()
            self._line({"seed": seed})
            self._make()
        self.heard = self.history.place
        self.history.on_busy = self._busy
        self.follow()
        if resumes:  # the sockets are lost
            for name, client in self.history.world.clients.items():
                if client.connection:
                    self.do(actions.CloseClient(name))
        self.selector.register(channel, selectors.EVENT_READ, self._control)
        for name in self.specs:
            self._listen(name, self._port(name), name)
        self._open_doors()

    # --- history ------------------------------------------------------------------------------------------------

    def _make(self) -> None:
        offset_us = time.time_ns() // 1000 - BEGINNING_US
        for name, spec in self.specs.items():
            add = actions.AddSentinel if spec.sentinel else actions.AddHost
            self.do(add(name, spec.address, tuple(spec.config), DIRECTORY))
            self.do(actions.SetClock(name, offset_us))
        for sentinels, meet_us in ((False, REPLICAS_MEET_US), (True, SENTINELS_MEET_US)):
            names = [name for name, spec in self.specs.items() if spec.started and spec.sentinel is sentinels]
            for name in names:
                if failure := self._start(name):
                    raise RuntimeError(failure)
            if names and self.watched:
                self.run_until(self.history.world.now_us + meet_us)

    def _line(self, line: dict[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        while data:
            data = data[os.write(self.journal, data) :]

    def _note_place(self) -> None:
        """Note how far the world has come: what a client is about to be told must hold in the next process, too."""
        self._line(self.history.place_line())

    def _run_again(self) -> History:
        size = os.fstat(self.journal).st_size
        lines = os.pread(self.journal, size, 0).splitlines(keepends=True)
        os.lseek(self.journal, size, os.SEEK_SET)
        history = History(json.loads(lines[0])["seed"])
        for line in lines[1:]:
            if not line.endswith(b"\n"):
                os.ftruncate(self.journal, size - len(line))  # the process ended while it wrote this
                os.lseek(self.journal, 0, os.SEEK_END)
                break
            entry = json.loads(line)
            if "goto" in entry:
                self._go_to(history, entry["goto"])
            else:
                history.again(entry)
        return history

    def _go_to(self, history: History, place: int) -> None:
        history.goto(place)
        self.undone += 1
        history.branch(f"undo {self.undone}")

    def do(self, action: Action) -> None:
        """Do something in the world, and keep it."""
        history = self.history
        self.before = history.place
        if self.now_us() >= self.touched_us + AWAY_US:
            self.follow()
        self.touched_us = history.world.now_us
        history.do(action)
        self._line(history.branch_now.inputs[-1].as_line())

    # --- time ---------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Have the virtual time follow the wall clock from here."""
        self.virtual_us, self.wall_us = self.history.world.now_us, time.monotonic_ns() // 1000
        self.touched_us = self.virtual_us

    def now_us(self) -> int:
        """Return the virtual time that the wall clock asks for: it stands still while the learner is away."""
        if self.held:
            return self.history.world.now_us
        return min(self.virtual_us + time.monotonic_ns() // 1000 - self.wall_us, self.touched_us + AWAY_US)

    def catch_up(self) -> None:
        """Let everything happen that is due by now. Where that takes too long, the virtual time goes more slowly.

        A replica whose password is refused connects again at once, and again: on a busy machine the world would
        never be done with what is due.
        """
        if self.within:
            return
        until_us, end = self.now_us(), time.monotonic() + CATCH_UP_S
        self.history.run(until_us, lambda: time.monotonic() > end)
        if self.history.world.now_us < until_us:
            self.virtual_us, self.wall_us = self.history.world.now_us, time.monotonic_ns() // 1000
        elif self.history.world.now_us > until_us + AHEAD_US:  # a script has taken less time than it is assumed to
            self.follow()
        self._hear()
        kept = self.history.branch_now.checkpoints
        if len(kept) > CHECKPOINTS_MAX:
            del kept[1 : CHECKPOINTS_MAX // 2 : 2]

    def run_until(self, until_us: int, client: str = "") -> None:
        """Let everything happen until a time, or until there is something for a client."""
        if self.within:
            return
        history = self.history
        at = history.place

        def enough() -> bool:
            nonlocal at
            fresh, at = history.trace[at : history.place], history.place
            return self._is_told(client, fresh)

        if client:
            history.run(until_us, enough)
        else:
            history.run(until_us)
        self._hear()

    @staticmethod
    def _is_told(client: str, events: list[TraceEvent]) -> bool:
        """Tell whether something came for a client, or its connection ended."""
        return any(isinstance(event, Delivered | Hungup) and event.target == client for event in events)

    # --- what happened ------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        """Pass on what has happened since the last look: to terminals, and to the tutor."""
        history = self.history
        if self.within:
            fresh, self.heard = history.world.trace[self.heard :], history.world.count
        else:
            fresh, self.heard = history.trace[self.heard : history.place], history.place
        noted = False
        for number, event in enumerate(fresh, self.heard - len(fresh)):
            if self.within and isinstance(event, Exited):
                self.heard = number  # and this after the step
                break
            match event:
                case Delivered():
                    if not noted and event.target in self.wires and not self.within:
                        self._note_place()
                        noted = True
                    self._delivered(event)
                case NodeEvent(host=host, event=CommandExecuted() as ran) if self._is_routine(host, ran):
                    pass
                case NodeEvent(host=host, event=told):
                    told = short(told) if isinstance(told, CommandExecuted) else told
                    self.outbox.note((host, told))
                case Hungup(target=name) | Refused(source=name):
                    self._lose(name)
                case Exited(host=host) if self.specs[host].restarts and not self._restart(event):
                    return
        if not self.within:
            self._open_doors()
        self._tell()

    def _busy(self, pause: bool) -> None:
        """Look at the sockets while a script is busy. Terminals are served only at its pauses.

        There it waits for the wall clock, which a script's time would run ahead of: it would soon be over.
        """
        ahead_us = self.history.world.now_us - self.now_us() if pause else 0
        if ahead_us <= 0 and time.monotonic() < self.looked_s + BUSY_LOOK_S:
            return
        self.within = True
        try:
            for key, _ in self.selector.select(min(max(ahead_us / 1e6, 0.0), LONGEST_WAIT_S)):
                if key.fileobj is self.channel:
                    self._control_within(pause)
                elif pause and key.fileobj not in self.listeners:
                    key.data()
            if pause:
                self._hear()
        finally:
            self.within = False
            self.looked_s = time.monotonic()

    def _control_within(self, pause: bool) -> None:
        try:
            (number, name, args), descriptors = receive_call(self.channel)
        except (EOFError, OSError):
            os._exit(0)  # the tutor is gone
        if name == "undo":
            self._line({"goto": args[0]})
            os._exit(WENT_AWAY)  # a running script cannot be given up; the next process is at the place
        if name in ALWAYS or (pause and name == "inspect_all"):
            self._answer(number, name, args, descriptors)
        else:
            self.calls.append((number, name, args, descriptors))

    def _is_routine(self, host: str, ran: CommandExecuted) -> bool:
        """Tell whether a command is what Sentinels and replicas send all the time, in a lesson that has Sentinels."""
        if not self.watched or ran.argv[0].upper() not in ROUTINE:
            return False
        return all(wire.host != host or wire.client_id != ran.client_id for wire in self.wires.values())

    def _tell(self) -> None:
        self.outbox.send(lambda skipped: ("", skipped))

    def _delivered(self, event: Delivered) -> None:
        to_server = event.source in self.wires
        wire = self.wires.get(event.source if to_server else event.target)
        if wire is None:
            return
        if wire.terminal:
            data = event.data[:SHOWN_BYTES]
            self.outbox.note((wire.host, Bytes(event.at_us, wire.client_id, to_server, data, len(event.data))))
        if not to_server:
            wire.take(event.data)
            self._flush(event.target)

    def _restart(self, event: Exited) -> bool:
        """Go on as if the last input had not been: it ended a server that the learner cannot start again."""
        name = event.host
        for client, wire in list(self.wires.items()):
            if wire.host == name:
                self.restarted.add(client)
                self._lose(client)
        self.go_back(self.before)
        end = "has shut down" if event.status == 0 else "has crashed"
        self.outbox.note((name, Recovered(end, name if len(self.specs) > 1 else "")))
        self._tell()
        return False

    def go_back(self, place: int) -> None:
        """Go back to a place, and on from there."""
        self._go_to(self.history, place)
        self._line({"goto": place})
        self.heard = self.history.place
        self.follow()
        self._rejoin()

    # --- clients ------------------------------------------------------------------------------------------------

    def _port(self, name: str) -> int:
        return int(self.specs[name].address.rpartition(":")[2])

    def _listen(self, name: str, port: int, file: str) -> socket.socket:
        path = f"{self.sockets}/{file}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o600)
        return self._accept_at(listener, name, port)

    def _open_doors(self) -> None:
        """Listen for each machine that has a port here, and for its other ports, while its server does."""
        wanted: dict[tuple[str, int], None] = {}
        for name, spec in self.specs.items():
            host = self._host(name)
            runs = host.state != DOWN
            if spec.port and runs and name not in self.doors:
                self.doors[name] = self._listen_outside(name, spec.port)
            elif not runs and (door := self.doors.pop(name, None)) is not None:
                self._close_door(door)
            wanted |= {
                (name, port): None
                for port, kind in host.listening.items()
                if runs and kind != "bus" and port != self._port(name)
            }
        for name, port in wanted:
            if (name, port) not in self.side_doors:
                self.side_doors[name, port] = self._listen(name, port, f"{name}:{port}")
        for name, port in [key for key in self.side_doors if key not in wanted]:
            self._close_door(self.side_doors.pop((name, port)))

    def _close_door(self, door: socket.socket) -> None:
        self.listeners.discard(door)
        self.selector.unregister(door)
        door.close()

    def _listen_outside(self, name: str, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the process before this one had it
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise RuntimeError(f"port {port} for {name}: {error.strerror}") from error
        return self._accept_at(listener, name, self._port(name))

    def _accept_at(self, listener: socket.socket, name: str, port: int) -> socket.socket:
        listener.listen(64)
        listener.setblocking(False)
        self.listeners.add(listener)
        self.selector.register(listener, selectors.EVENT_READ, lambda: self._stranger(listener, name, port))
        return listener

    def _stranger(self, listener: socket.socket, host: str, port: int) -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            self.strangers += 1
            self._connect(f"program {self.strangers}", host, port, sock, terminal=False)

    def _connect(self, name: str, host: str, port: int, sock: socket.socket, terminal: bool) -> int:
        """Make a socket a client's; returns the client's number at the server, 0 when it is refused."""
        sock.setblocking(False)
        self.catch_up()
        if name in self.wires:
            self._leave(name)
        self.wires[name] = Wire(sock, host, terminal)
        self.restarted.discard(name)
        self.selector.register(sock, selectors.EVENT_READ, lambda: self._read(name))
        return self._open_client(name, port)

    def _open_client(self, name: str, port: int) -> int:
        """Connect a client in the world, if it is not connected yet; returns its number as above."""
        wire, client = self.wires[name], self.history.world.clients.get(name)
        machine = self._host(wire.host)
        if client is None or not client.connection:
            opens = actions.OpenClientAt(name, wire.host, "127.0.0.1", port)
            self.do(opens if port != machine.port else actions.OpenClient(name, wire.host, "127.0.0.1"))
            self.run_until(self.history.world.now_us + ANSWER_US)
        number = self._number(name, wire)
        wire.tls = None
        if number and machine.node is not None and machine.node.clients[number].kind == "tls":
            try:
                wire.tls = TlsBytes(self._context(wire.host))
            except OSError as error:  # OpenSSL does not accept what the simulated server has
                self._fail_handshake(name, str(error))
                return 0
        return number

    def _context(self, name: str) -> ssl.SSLContext:
        """Return the context for what a server has loaded from the simulated disk. Raises TlsError."""
        loaded, kept = self._host(name).tls, self.contexts.get(name)
        assert loaded is not None
        if kept is not None and kept[0] == loaded:
            return kept[1]
        with tempfile.TemporaryDirectory(prefix="redis-tutor-") as folder:  # OpenSSL reads only real files
            config = Config()
            for attribute, value in loaded.settings.items():
                setattr(config, attribute, value)
            for attribute, data in loaded.files.items():
                path = os.path.join(folder, attribute)
                with open(path, "xb") as file:
                    file.write(data)
                setattr(config, attribute, path)
            context = make_context(config, server=True)
        self.contexts[name] = loaded, context
        return context

    def _fail_handshake(self, name: str, reason: str) -> None:
        """End a connection whose handshake fails, and have the server log the reason."""
        wire = self.wires[name]
        if wire.tls is not None:
            wire.unsent += wire.tls.taken()
            self._flush(name)
        self._drop(name)
        with contextlib.suppress(ActionError):
            self.do(actions.FailHandshake(name, reason))
            self.run_until(self.history.world.now_us + ANSWER_US)

    def _number(self, name: str, wire: Wire) -> int:
        world = self.history.world
        client = world.clients.get(name)
        connection = world.network.connections.get(client.connection) if client is not None else None
        node = world.hosts[wire.host].node
        if connection is None or node is None:
            return 0
        for each in node.clients.values():
            if each.link == connection.target_link:
                wire.client_id = each.id
                return each.id
        return 0

    def _read(self, name: str) -> None:
        wire = self.wires.get(name)
        if wire is None:
            return
        # Bytes that are not TLS stay unread, and the end of the connection is a reset, as at a real server.
        flags = socket.MSG_PEEK if wire.tls is not None and not wire.tls.established else 0
        try:
            data = wire.socket.recv(1 << 18, flags)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.catch_up()
        if name not in self.wires:
            return
        if flags and not data:
            self._fail_handshake(name, "SSL routines::unexpected eof while reading")
            return
        if data and wire.tls is not None:
            try:
                plain = wire.tls.received(data)
            except TlsError as error:
                self._fail_handshake(name, str(error))
                return
            if flags:
                wire.socket.recv(len(data))
            wire.take(b"")
            self._flush(name)
            if not plain:
                return
            data = plain
        if data:
            self._act(actions.RawBytes(name, data), name)
        else:
            self._leave(name)

    def _act(self, action: Action, client: str) -> None:
        with contextlib.suppress(ActionError):  # the connection has just ended
            self.do(action)
            self.run_until(self.history.world.now_us + ANSWER_US, client)

    def _leave(self, name: str) -> None:
        """End a connection from the tutor's side."""
        self._drop(name)
        with contextlib.suppress(ActionError):
            self.do(actions.CloseClient(name))
            self.run_until(self.history.world.now_us + ANSWER_US)

    def _lose(self, name: str) -> None:
        """End a connection from the world's side, once everything is sent."""
        wire = self.wires.get(name)
        if wire is not None:
            if wire.tls is not None:
                wire.tls.end()
                wire.take(b"")
            with contextlib.suppress(OSError):
                wire.socket.setblocking(True)
                wire.socket.settimeout(1)
                wire.socket.sendall(wire.unsent)
            self._drop(name)

    def _drop(self, name: str) -> None:
        wire = self.wires.pop(name)
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(wire.socket)
        wire.socket.close()

    def _flush(self, name: str) -> None:
        wire = self.wires[name]
        try:
            del wire.unsent[: wire.socket.send(wire.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            wire.unsent.clear()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wire.unsent else 0)
        self.selector.modify(wire.socket, events, lambda: self._ready(name))

    def _ready(self, name: str) -> None:
        if name in self.wires and self.wires[name].unsent:
            self._flush(name)
        if name in self.wires:
            self._read(name)

    def _rejoin(self) -> None:
        """After going back, connect the terminals that had no connection at the place, and end all other programs."""
        for name, wire in list(self.wires.items()):
            wire.unsent.clear()
            client = self.history.world.clients.get(name)
            if not wire.terminal:
                wire.take(encode2(WENT_BACK))
                with contextlib.suppress(OSError):
                    wire.socket.send(wire.unsent)
                self._drop(name)
            else:
                with contextlib.suppress(ActionError):
                    self._open_client(name, self._port(wire.host))
        for name, client in list(self.history.world.clients.items()):
            if client.connection and name not in self.wires and name.startswith("program "):
                with contextlib.suppress(ActionError):
                    self.do(actions.CloseClient(name))

    # --- control ------------------------------------------------------------------------------------------------

    def _control(self) -> None:
        try:
            (number, name, args), descriptors = receive_call(self.channel)
        except (EOFError, OSError):
            self.open = False  # the tutor is gone, and its lesson with it
            return
        self.asked_at = self.history.place
        for client in list(self.wires):
            self._read(client)  # what the tutor typed before it asked for this
        self._answer(number, name, args, descriptors)

    def _answer(self, number: int, name: str, args: Any, descriptors: Any) -> None:
        try:
            self.catch_up()
            result = getattr(self, f"do_{name}")(*args, *descriptors)
        except Exception as error:
            result = error
        self._tell()
        send_message(self.channel, (number, result))

    def _host(self, name: str) -> Host:
        return self.history.world.hosts[name]

    def do_adopt(self, host: str, name: str, descriptor: int) -> int:
        """Take the connection of a terminal; returns the client's number, 0 when it was refused."""
        return self._connect(name, host, self._port(host), socket.socket(fileno=descriptor), terminal=True)

    def do_inspect_all(self, host: str, requests: list[tuple[list[bytes], int]]) -> list[Any]:
        """Look several times at one moment."""
        node = self._host(host).node
        if node is None:
            raise RuntimeError(f"the server of {host} does not run")
        now_us = self.history.world.now_us
        found: list[Any] = []
        for argv, db in requests:
            try:
                found.append(inspect(node, argv, db, now_us))
            except ValueError as error:
                found.append(error)
        return found

    def do_ping(self) -> None:
        """Answer, which a process that is about to end does not."""

    def do_mark(self) -> int:
        """Note a place."""
        return self.history.place

    def do_undo(self, place: int) -> int:
        """Go back to a place; returns how many connections of other programs were ended."""
        strangers = sum(not wire.terminal for wire in self.wires.values())
        if place != self.history.place:
            self.go_back(place)
        self.outbox.note(("", Undone(place, strangers)))
        return strangers

    def do_hold(self, held: bool) -> None:
        """Have the virtual time stand still, or go on from where it stands."""
        if held and not self.held:
            self.catch_up()
        self.held = held
        self.follow()

    def do_continue_from(self, lines: list[dict[str, Any]], end: dict[str, Any]) -> int:
        """Go on from a branch that has all of these actions; returns the place where it leaves the present one.

        Where it does not run as it was recorded, nothing changes, and -1 is returned.
        """
        history, home = self.history, self.history.branch_name
        common = 0
        for mine, other in zip(history.branch_now.inputs, lines, strict=False):
            if mine.as_line() != other:
                break
            common += 1
        steps = lines[common]["steps"] if common < len(lines) else end["steps"]
        places = history.branch_now.places
        place = max((each.happened for each in places if each.inputs <= common and each.steps <= steps), default=0)
        self._go_to(history, place)
        try:
            for line in (*lines[common:], end):
                history.again(line)
        except (HistoryError, ActionError):
            history.switch(home)
            return -1
        self._line({"goto": place})
        for line in (*lines[common:], end):
            self._line(line)
        self.heard = history.place
        self.follow()
        strangers = sum(not wire.terminal for wire in self.wires.values())
        self._rejoin()
        self.outbox.note(("", Undone(place, strangers)))
        return place

    def do_pass_time(self, duration_us: int) -> None:
        """Let time pass at once."""
        self.run_until(self.history.world.now_us + duration_us)
        self.follow()

    def do_wait_for_output(self, client: str, duration_us: int) -> None:
        """Let time pass until there is output for a terminal."""
        if self._is_told(client, self.history.trace[self.asked_at : self.history.place]):
            return
        self.run_until(self.history.world.now_us + duration_us, client)
        self.follow()

    def do_is_running(self, host: str) -> bool:
        """Tell whether a server runs."""
        return self._host(host).state != DOWN

    def do_listens(self, host: str, port: int) -> bool:
        """Tell whether a server listens on a port."""
        return self._host(host).listening.get(port, "bus") != "bus"

    def do_start(self, host: str) -> str:
        """Start a server; returns what is wrong if it does not run then."""
        return self._start(host) if self._host(host).state == DOWN else ""

    def _start(self, host: str) -> str:
        history = self.history
        began = history.place
        self.do(actions.Start(host))
        self.run_until(history.world.now_us + ANSWER_US)
        if self._host(host).state != DOWN:
            return ""
        fresh = history.trace[began : history.place]
        last = "\n".join(event.text for event in fresh if isinstance(event, Logged) and event.level == "#")
        loading = any(isinstance(event, Exited) and "loaded" in event.reason for event in fresh)
        return LOADING_FAILED if loading else last or "the server ended at once"

    def do_terminate(self, host: str) -> None:
        """End a server as SIGTERM does."""
        self._end(host, actions.Terminate(host))

    def do_kill(self, host: str) -> None:
        """End a server as SIGKILL does."""
        self._end(host, actions.Crash(host))

    def do_cut_power(self, host: str) -> None:
        """Cut the power of a machine. The terminals notice at once."""
        self._end(host, actions.PullPlug(host))
        for name, wire in list(self.wires.items()):
            if wire.host == host:
                self._leave(name)

    def _end(self, name: str, action: Action) -> None:
        host = self._host(name)
        if host.state == DOWN:
            return
        kept = self.specs[name]
        self.specs[name] = replace(kept, restarts=False)
        try:
            self.do(action)
            until_us = self.history.world.now_us + END_US
            while host.state != DOWN and self.history.world.now_us < until_us:
                self.run_until(self.history.world.now_us + ANSWER_US)
            self.run_until(self.history.world.now_us + ANSWER_US)
        finally:
            self.specs[name] = kept
        if host.state != DOWN:
            raise RuntimeError("the lesson's server does not end")

    def do_restarted(self, client: str) -> bool:
        """Tell whether the connection of a terminal ended with a server that was restarted."""
        return client in self.restarted

    def do_files(self, host: str) -> dict[str, int]:
        """Return the files of the data folder with their sizes."""
        disk, head = self._host(host).disk, f"{DIRECTORY}/"
        return {path[len(head) :]: disk.size(path) for path in sorted(disk.names) if path.startswith(head)}

    def do_read(self, host: str, name: str) -> bytes | None:
        """Return what a file holds."""
        disk, path = self._host(host).disk, f"{DIRECTORY}/{name}"
        return disk.read(path) if path in disk.names else None

    def do_write(self, host: str, name: str, data: bytes) -> None:
        """Write a file."""
        self.do(actions.WriteFile(host, f"{DIRECTORY}/{name}", data))
        self._hear()

    def do_remove(self, host: str, name: str) -> None:
        """Remove a file."""
        self.do(actions.RemoveFile(host, f"{DIRECTORY}/{name}"))
        self._hear()

    def do_log(self, host: str) -> bytes:
        """Return the log of a server in Redis's format: `pid:role day month year time level text`."""
        history, machine = self.history, self._host(host)
        node = machine.node
        minimum = {"debug": 0, "verbose": 1}.get(node.config.loglevel, 2) if node is not None else 2
        role = "S" if node is not None and node.config.is_replica else "M"
        if self.specs[host].sentinel:
            role = "X"
        rows: list[str] = []
        for event in history.trace[: history.place]:
            if isinstance(event, Logged) and event.host == host and LEVELS.index(event.level) >= minimum:
                at_us = event.at_us + machine.clock_offset_us
                stamp = time.strftime("%d %b %Y %H:%M:%S", time.localtime(at_us // 1_000_000))
                head = f"{machine.pid}:{role} {stamp}.{at_us // 1000 % 1000:03d}"
                rows.append(f"{head} {event.level} {event.text}\n")
        return "".join(rows).encode(errors="surrogateescape")

    def do_history(self) -> bytes:
        """Return the whole history as the laboratory keeps it."""
        return self.history.encode()

    # --- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until the tutor is gone."""
        while self.open:
            due_us = self.history.world.deadline()
            wait_s = LONGEST_WAIT_S if due_us >= NEVER_US else (due_us - self.now_us()) / 1e6
            for key, _ in self.selector.select(min(max(wait_s, 0.0), LONGEST_WAIT_S)):
                if not self.open:
                    break
                key.data()
            if self.open:
                self.catch_up()
            while self.calls and self.open:
                self._answer(*self.calls.pop(0))
        return 0


def main(argv: list[str]) -> int:
    """Serve until the control channel closes: `world.py CHANNEL SEED TOLD`.

    TOLD is JSON: the `machines` with their fields, the folder of their `sockets`, the descriptor of the `journal`.
    """
    channel = prepare(int(argv[0]))
    seed = int(argv[1]) or int.from_bytes(os.urandom(8), "big")
    try:
        world = HostedWorld(channel, json.loads(argv[2]), seed)
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    send_message(channel, {})
    return world.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
