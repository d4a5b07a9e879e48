"""The child process of `tutor.host`: a live server whose history is kept.

Connections that the tutor announced ("adopted") are its terminals: an undo takes their state back with the server's
and leaves them open. Any other is from outside: an undo tells it so and closes it, since it may have seen what now
never happened.
"""

import contextlib
import json
import os
import socket
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine import effects as fx
from engine.client import Client
from engine.config import FatalConfigError
from engine.errors import ReplyError
from engine.events import CommandExecuted, Event
from engine.journal import Journal
from engine.live.loop import Loop
from engine.live.server import Log, configure
from engine.live.tls import TlsSocket
from engine.node import Node
from engine.peek import peek
from engine.persistence import LoadError
from engine.resp import encode2
from tutor.host import Bytes, Skipped, Undone, receive_message, send_message

EVENTS_PER_WINDOW = 256
WINDOW_US = 50_000
SHOWN_BYTES = 4096
SHOWN_WORD = 128
SHOWN_WORDS = 32
WENT_BACK = ReplyError(b"ERR the lesson's server went back in time; connect again")


@dataclass
class Machine:
    """What makes a server one of a lesson's machines, each with an address of its own on a network of the lesson's.

    The node knows the lesson's addresses alone, and the loop turns them into ports of loopback. Nothing else can be
    dialled: what a lesson says about 172.16.6.18 must never reach a machine of the learner's network.
    """

    address: str = ""
    port: int = 0  # of loopback
    network: dict[str, int] = field(default_factory=dict)  # "address:port" → port of loopback
    callers: str = ""  # a folder in which who dials writes its address under its port's number
    log: str = ""


class HostedLoop(Loop):
    """A live loop with a control channel, and a clock that an undo sets back."""

    can_debug = False  # a lesson's server serves the lesson, too: it must not stop for a terminal

    def __init__(self, journal: Journal, channel: socket.socket, machine: Machine | None = None) -> None:
        self.shift_us = 0
        self.machine = machine
        self.bound: tuple[str, ...] | None = None
        self.synced: dict[str, int] = {}  # how much of a file would survive a power cut, where it is not all
        super().__init__(journal, lambda level, text: None)
        self.journal = journal
        self.channel = channel
        self.adopted: set[str] = set()
        self.events: list[Any] = []
        self.budget = EVENTS_PER_WINDOW
        self.window_us = 0
        self.skipped = 0
        self.hooks[channel.fileno()] = self._control
        self.poller.set(channel.fileno(), True, False, new=True)
        journal.node.observe(self._note)

    def now(self) -> int:  # type: ignore[override]
        """Return the lesson's time in µs since 1970."""
        return time.time_ns() // 1000 - self.shift_us

    # --- events -------------------------------------------------------------------------------------------------

    def _note(self, event: Event | Bytes | Undone) -> None:
        if self.budget > 0:
            self.budget -= 1
            if isinstance(event, CommandExecuted):
                # What is told is short, however long the command or its reply.
                argv = [word[:SHOWN_WORD] for word in event.argv[:SHOWN_WORDS]]
                reply = event.reply if isinstance(event.reply, ReplyError) else None
                event = replace(event, argv=argv, reply=reply)
            self.events.append(event)
        else:
            self.skipped += 1

    def _carry_out(self, effects: list[Any]) -> None:
        for effect in effects:
            if type(effect).__name__ == "Send":
                self._wire(effect.link, effect.data, False)
        super()._carry_out(effects)
        self._tell()

    def _wire(self, link: int, data: bytes, to_server: bool) -> None:
        client = self.journal.node.links.get(link)
        if client is not None and client.peer in self.adopted:
            self._note(Bytes(self.now(), client.id, to_server, data[:SHOWN_BYTES], len(data)))

    def heard(self, link: int, data: bytes) -> None:
        """Note what a terminal sent (called before the node gets it)."""
        self._wire(link, data, True)

    def _tell(self) -> None:
        self.tell_bound()
        now = time.monotonic_ns() // 1000
        full = now - self.window_us >= WINDOW_US
        if full:
            self.window_us, self.budget = now, EVENTS_PER_WINDOW
        if self.events or (self.skipped and full):
            events, self.events = self.events, []
            if self.skipped and full:
                events.append(Skipped(self.skipped))
                self.skipped = 0
            send_message(self.channel, events)

    # --- the lesson's network -----------------------------------------------------------------------------------

    def _port_of(self, host: str, port: int) -> int:
        assert self.machine is not None
        if host in ("127.0.0.1", "localhost", "::1"):
            host = self.machine.address
        return self.machine.network.get(f"{host}:{port}", 0)

    def _dial(self, effect: fx.Dial) -> None:
        if self.machine is None:
            super()._dial(effect)
            return
        port = self._port_of(effect.host, effect.port)
        if not port or (Path(self.machine.callers) / f"{effect.host}.closed").exists():
            self.journal.refused(effect.link, "Connection refused", self.now())
            return
        super()._dial(effect._replace(host="127.0.0.1", port=port, source="127.0.0.1"))

    def tell_bound(self) -> None:
        """Leave word for the other machines whether the server listens at its address, as `bind` has it."""
        bound = tuple(self.journal.node.config.bind)
        if self.machine is None or bound == self.bound:
            return
        self.bound = bound
        closed = Path(self.machine.callers) / f"{self.machine.address}.closed"
        if {"*", "0.0.0.0", self.machine.address, f"-{self.machine.address}"} & set(bound):
            closed.unlink(missing_ok=True)
        else:
            closed.touch()

    def connecting(self, sock: socket.socket) -> None:
        """See `Loop`. Who is called finds the lesson's address of who calls."""
        if self.machine is not None:
            (Path(self.machine.callers) / str(sock.getsockname()[1])).write_text(self.machine.address)

    def adopt(self, sock: socket.socket | TlsSocket, peer: str, kind: str, local: str = "") -> int:
        """See `Loop`. A machine of the lesson is known by its address there."""
        if self.machine is not None:
            near = peer.rpartition(":")[2]
            with contextlib.suppress(OSError):
                peer = f"{(Path(self.machine.callers) / near).read_text()}:{near}"
                local = f"{self.machine.address}:6379"
        return super().adopt(sock, peer, kind, local)

    # --- the lesson's disk --------------------------------------------------------------------------------------

    def perform(self, node: Node, effect: fx.Effect) -> Any:
        """See `Loop`."""
        if self.machine is not None:
            if isinstance(effect, fx.Listen):
                return None
            if isinstance(effect, fx.Exchange):
                port = self._port_of(effect.host, effect.port)
                if not port:
                    return ConnectionRefusedError(111, "Connection refused")
                effect = effect._replace(host="127.0.0.1", port=port)
            self._before(effect)
        result = super().perform(node, effect)
        if self.machine is not None and not isinstance(result, OSError):
            self._written(effect)
        return result

    def _file(self, effect: Any) -> None:
        self._before(effect)
        super()._file(effect)
        self._written(effect)

    def _before(self, effect: Any) -> None:
        if isinstance(effect, fx.Append):
            self.synced.setdefault(effect.path, _size(effect.path))

    def _written(self, effect: Any) -> None:
        match effect:
            case fx.Write():
                self.synced[effect.path] = 0
            case fx.Sync():
                self.synced[effect.path] = _size(effect.path)
            case fx.Rename() if effect.source in self.synced:
                self.synced[effect.target] = self.synced.pop(effect.source)
            case fx.Unlink():
                self.synced.pop(effect.path, None)

    def do_cut_power(self) -> None:
        """Take from the files what was never fsynced, and be gone."""
        for path, size in self.synced.items():
            if _size(path) > size:
                os.truncate(path, size)
        os._exit(137)

    def do_signal(self, name: str) -> None:
        """Give the node a signal."""
        self.wake_up(name)

    # --- control ------------------------------------------------------------------------------------------------

    def _control(self) -> None:
        try:
            number, name, args = receive_message(self.channel)
        except (EOFError, OSError):
            self.exit_status = 0  # the tutor is gone, and its lesson with it
            return
        try:
            result = getattr(self, f"do_{name}")(*args)
        except Exception as error:
            result = error
        self._tell()
        send_message(self.channel, (number, result))

    def do_adopt(self, peer: str) -> None:
        """A connection is one of the tutor's terminals."""
        self.adopted.add(peer)

    def do_client_id(self, peer: str) -> int:
        """Return the number of the client with this address."""
        for client in self.journal.node.clients.values():
            if client.peer == peer:
                return client.id
        raise LookupError(f"no client at {peer}")

    def do_peek(self, argv: list[bytes], db: int) -> Any:
        """Look without a trace."""
        return peek(self.journal.node, argv, db, self.now())

    def do_peeks(self, requests: list[tuple[list[bytes], int]]) -> list[Any]:
        """Look several times at one moment."""
        return [peek(self.journal.node, argv, db, self.now()) for argv, db in requests]

    def do_mark(self) -> int:
        """Note a place."""
        return self.journal.mark()

    def do_undo(self, place: int) -> int:
        """Go back to a place: the node, its clock, and the terminals' state."""
        alive = dict(self.journal.node.links)
        node = self.journal.rewind(place)
        self.shift_us = time.time_ns() // 1000 - node.now_us
        closed = 0
        for link, connection in list(self.links.items()):
            client = node.links.get(link)
            peer = alive[link].peer if link in alive else ""
            if peer not in self.adopted:
                connection.sock.setblocking(False)
                with contextlib.suppress(OSError):
                    connection.sock.send(encode2(WENT_BACK))
                self._close(connection)
                closed += 1
            elif client is None:
                old: Client = alive[link]
                self.journal.opened(link, old.peer, old.kind, self.now(), old.local)
        for link in list(node.links):
            if link not in self.links:
                self.journal.closed(link, self.now())
        self._note(Undone(place, closed))
        return closed


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


class _Listening(Journal):
    """A journal that lets the loop hear what terminals send."""

    loop: HostedLoop

    def received(self, link: int, data: bytes, now: int) -> None:
        """See `Node.received`."""
        self.loop.heard(link, data)
        super().received(link, data, now)


def main(argv: list[str]) -> int:
    """Serve until the control channel closes: `hosted.py FD SEED DIRECTORY MACHINE [redis-server's arguments]`."""
    channel = socket.socket(fileno=int(argv[0]))
    seed = int(argv[1]) or int.from_bytes(os.urandom(8), "big")
    os.chdir(argv[2])
    told = json.loads(argv[3])
    machine = Machine(**told) if told else None
    os.nice(5)  # where processors are few, the screen goes first
    log = Log()
    log.path = machine.log if machine else os.devnull
    try:
        config = configure(argv[4:], log)
    except FatalConfigError as error:
        sys.stderr.buffer.write(error.text)
        return 1
    node = Node(config, seed, time.time_ns() // 1000)
    journal = _Listening(node)
    loop = HostedLoop(journal, channel, machine)
    journal.loop = loop
    loop.listen("tcp", "127.0.0.1", machine.port if machine else 0)
    (address,) = loop.addresses
    port = loop.listeners[loop.addresses[address][0]][0].getsockname()[1]
    if machine is None:
        config.port = port
    else:
        log.path, log.config = config.logfile or machine.log, config
        log.role = "M" if config.replicaof is None else "S"
        loop.logger = log
        loop.tell_bound()
        log("*", "Server initialized")
        try:
            node.start(time.time_ns() // 1000)
        except LoadError:
            loop.flush_log()
            sys.stderr.write("Fatal error loading the DB, check server logs. Exiting.\n")
            return 1
        log("*", "Ready to accept connections tcp")
    send_message(channel, {"port": port})
    return loop.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
