"""The child process of `tutor.lesson_server.parent`: a live server with a recorded history.

The server opens no TCP port. The tutor passes one end of a socket pair for each of its terminals ("adopted"): an undo
restores their state together with the server's and leaves them open. Other clients connect to a Unix socket in a
folder that only the learner can access: an undo notifies and closes them, because they may have seen changes that are
now undone. The node itself assumes TCP: every client has an address such as 127.0.0.1:50003.

The history is also written to a file that the tutor keeps open. When this process ends for any reason, the next one
reads the file and restores the data (see `engine.journal`).
"""

import contextlib
import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine import effects as fx
from engine.clients.client import Client
from engine.config import FatalConfigError
from engine.inspection import inspect
from engine.journal import Journal
from engine.live.loop import Loop
from engine.live.memory import return_memory
from engine.live.records import JournalFile
from engine.live.server import ServerLog, configure
from engine.live.tls import TlsSocket
from engine.node import Node
from engine.observe.events import CommandExecuted, Event
from engine.protocol.errors import ReplyError
from engine.protocol.resp import encode2
from tutor.lesson_server.messages import receive_call, send_message
from tutor.lesson_server.parent import WENT_AWAY, Bytes, Skipped, Undone

EVENTS_PER_WINDOW = 256
WINDOW_US = 50_000
SHOWN_BYTES = 4096
SHOWN_WORD = 128
SHOWN_WORDS = 32
FIRST_PORT = 50_000  # the first port in the addresses assigned to clients
DIAL_SECONDS = 5.0
HANGUP_SECONDS = 1.0  # from the end of the control channel to the end of the process, whatever it is doing
WENT_BACK = ReplyError(b"ERR the lesson's server went back in time; connect again")


class EventQueue:
    """Events on their way to the tutor: so many in a window of time, and of the rest their number."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.events: list[Any] = []
        self.budget = EVENTS_PER_WINDOW
        self.window_us = 0
        self.skipped = 0

    def note(self, event: Any) -> None:
        """Add an event."""
        if self.budget > 0:
            self.budget -= 1
            self.events.append(event)
        else:
            self.skipped += 1

    def send(self, wrapped: Callable[[Skipped], Any] = lambda event: event) -> None:
        """Send what there is."""
        now = time.monotonic_ns() // 1000
        full = now - self.window_us >= WINDOW_US
        if full:
            self.window_us, self.budget = now, EVENTS_PER_WINDOW
        if self.events or (self.skipped and full):
            events, self.events = self.events, []
            if self.skipped and full:
                events.append(wrapped(Skipped(self.skipped)))
                self.skipped = 0
            with contextlib.suppress(OSError):  # the tutor is gone, which the reader of the channel notices
                send_message(self.channel, events)


def short(event: CommandExecuted) -> CommandExecuted:
    """Return an event without what is long in it: what is told is short, however long the command or its reply.

    A list is told by its length alone, as that many nulls; at most so many words of it.
    """
    argv = [word[:SHOWN_WORD] for word in event.argv[:SHOWN_WORDS]]
    reply = event.reply
    if isinstance(reply, bytes):
        reply = type(reply)(reply[:SHOWN_WORD])
    elif not isinstance(reply, ReplyError | int | float):
        reply = [None] * min(len(reply), SHOWN_WORDS) if isinstance(reply, list) else None
    return replace(event, argv=argv, reply=reply)


class HostedLoop(Loop):
    """A live loop with a control channel, and a clock that an undo sets back and `do_skip_time` ahead."""

    can_debug = False  # a lesson's server serves the lesson, too: it must not stop for a terminal

    def __init__(self, journal: Journal, channel: socket.socket) -> None:
        self.shift_us = 0
        super().__init__(journal, lambda level, text: None)
        self.journal = journal
        self.channel = channel
        self.outbox = EventQueue(channel)
        self.terminals: dict[str, str] = {}  # the addresses of adopted connections and their terminals
        self.hooks[channel.fileno()] = self._control
        self.poller.set(channel.fileno(), True, False, new=True)
        journal.node.observe(self._note)

    def now(self) -> int:
        """Return the lesson's monotonic time in µs."""
        return super().now() - self.shift_us

    def return_memory(self) -> None:
        """Have the node, which an undo may have replaced, return to the system what its scripts free."""
        self.journal.node.scripting.on_memory_freed = return_memory

    # --- events -------------------------------------------------------------------------------------------------

    def _note(self, event: Event | Bytes | Undone) -> None:
        self.outbox.note(short(event) if isinstance(event, CommandExecuted) else event)

    def _carry_out(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, fx.Send):
                self._wire(effect.link, effect.data, False)
        super()._carry_out(effects)
        self.outbox.send()

    def _wire(self, link: int, data: bytes, to_server: bool) -> None:
        client = self.journal.node.client(link)
        if client is not None and client.peer in self.terminals:
            self._note(Bytes(self.now(), client.id, to_server, data[:SHOWN_BYTES], len(data)))

    def heard(self, link: int, data: bytes) -> None:
        """Note what a terminal sent (called before the node gets it)."""
        self._wire(link, data, True)

    def close(self) -> None:
        """See `Loop`. The control channel closes first, so the tutor knows the reason when a connection is lost."""
        self.channel.close()
        super().close()

    def adopt(self, sock: socket.socket | TlsSocket, peer: str, kind: str, local: str = "") -> int:
        """See `Loop`. Every client is known by an address of loopback."""
        return super().adopt(sock, f"127.0.0.1:{FIRST_PORT + self.next_link}", "tcp", "127.0.0.1:6379")

    def run_now(self, node: Node, effect: fx.Effect) -> Any:
        """See `Loop`."""
        if isinstance(effect, fx.Listen):
            return None  # regardless of `bind` and `port`: other users must not be able to connect
        return super().run_now(node, effect)

    # --- control ------------------------------------------------------------------------------------------------

    def _control(self) -> None:
        try:
            (number, name, args), descriptors = receive_call(self.channel)
        except (EOFError, OSError):
            self.exit_status = 0  # the tutor is gone, and its lesson with it
            return
        try:
            result = getattr(self, f"do_{name}")(*args, *descriptors)
        except Exception as error:
            result = error
        self.outbox.send()
        send_message(self.channel, (number, result))

    def do_ping(self) -> None:
        """Answer, which a process that is about to end does not."""

    def do_adopt(self, name: str, descriptor: int) -> int:
        """Take the connection of one of the tutor's terminals; returns the client's number."""
        peer = f"127.0.0.1:{FIRST_PORT + self.next_link}"
        self.terminals[peer] = name
        self.journal.note((peer, name))
        link = self.adopt(socket.socket(fileno=descriptor), peer, "tcp")
        client = self.journal.node.client(link)
        assert client is not None, "a terminal is let in"
        return client.id

    def do_inspect(self, argv: list[bytes], db: int) -> Any:
        """Look without a trace."""
        return inspect(self.journal.node, argv, db, self.now())

    def do_inspect_all(self, requests: list[tuple[list[bytes], int]]) -> list[Any]:
        """Look several times at one moment."""
        return [inspect(self.journal.node, argv, db, self.now()) for argv, db in requests]

    def do_skip_time(self, duration_us: int) -> None:
        """Let time pass, at once."""
        self.shift_us -= duration_us

    def do_mark(self) -> int:
        """Note a place."""
        return self.journal.mark()

    def do_undo(self, place: int) -> int:
        """Go back to a place: the node, its clock, and the terminals' state."""
        if self.journal.busy and self.journal.file is not None:
            os._exit(WENT_AWAY)  # a running script cannot be aborted; the next process performs the undo
        alive = _clients(self.journal.node)
        node = self.journal.rewind(place)
        self.shift_us += self.now() - node.clock.monotonic_us
        self.clock_offset_us = node.clock.offset_us
        self.journal.overtaken(self.now())
        self.children.abandon(self.journal.snapshots)
        self.background.abandon(node.output.tickets)
        closed = 0
        self._rejoin(alive)
        for link, connection in list(self.links.items()):
            client = node.client(link)
            known = client or alive.get(link)
            if known is None or known.peer not in self.terminals:
                connection.sock.setblocking(False)
                with contextlib.suppress(OSError):
                    connection.sock.send(encode2(WENT_BACK))
                self._close(connection)
                closed += 1
            elif client is None:
                old = alive[link]
                self.journal.opened(link, old.peer, old.kind, self.now(), old.local)
        for link in list(node.links):
            if link not in self.links:
                self.journal.closed(link, self.now())
        self._note(Undone(place, closed))
        return closed

    def _rejoin(self, alive: dict[int, Client]) -> None:
        """Give reconnected terminals the connections that they had at the place."""
        node = self.journal.node
        left = {
            self.terminals[client.peer]: link
            for link, client in sorted(_clients(node).items())
            if link not in self.links and client.peer in self.terminals
        }
        for link, connection in list(self.links.items()):
            name = self.terminals.get(alive[link].peer) if link in alive else None
            if name in left and link not in node.links:
                del self.links[link]
                connection.link = left.pop(name)
                self.links[connection.link] = connection

    def resume(self) -> None:
        """Restore the data of the previous process. No time passes between the two."""
        self.next_link = self.journal.resume() + 1
        self.terminals = dict(self.journal.notes)
        node = self.journal.node
        self.shift_us += self.now() - node.clock.monotonic_us
        self.clock_offset_us = node.clock.offset_us
        self.journal.interrupted(self.now())


def _clients(node: Node) -> dict[int, Client]:
    """Return the clients of a node by their links."""
    return {client.link: client for client in node.clients.values() if client.link}


class _Listening(Journal):
    """A journal that lets the loop hear what terminals send."""

    loop: HostedLoop

    def received(self, link: int, data: bytes, now: int) -> None:
        """See `Node.received`."""
        self.loop.heard(link, data)
        super().received(link, data, now)


def _end_with(channel: int) -> None:
    """End the process soon after the tutor's end of the channel is closed.

    The loop ends by itself when it reads the end of the channel. A script that never returns, or the replay of one,
    keeps the loop from ending, and without the tutor nothing else would stop the process.
    """
    poll = select.poll()
    poll.register(channel, 0)  # no events but the end
    poll.poll()
    time.sleep(HANGUP_SECONDS)
    os._exit(0)


def prepare(channel: int) -> socket.socket:
    """Make this process a child of the tutor: it ends when the tutor's end of the control channel is closed."""
    threading.Thread(target=_end_with, args=(channel,), name="end-with-tutor", daemon=True).start()
    os.nice(5)  # where processors are few, the screen goes first
    return socket.socket(fileno=channel)


def main(argv: list[str]) -> int:
    """Serve until the control channel closes: `child.py CHANNEL SEED DIRECTORY TOLD [redis-server's arguments]`.

    TOLD is JSON: the path of the `socket` to listen on, and the descriptor of the `journal`.
    """
    channel = prepare(int(argv[0]))
    seed = int(argv[1]) or int.from_bytes(os.urandom(8), "big")
    os.chdir(argv[2])
    told = json.loads(argv[3])
    file = JournalFile(told["journal"]) if told["journal"] is not None else None
    resumes = file is not None and file.size_bytes > 0
    log = ServerLog()
    log.path = os.devnull
    try:
        config = configure(argv[4:], log)
    except FatalConfigError as error:
        sys.stderr.buffer.write(error.text)
        return 1
    node = Node(config, seed, time.time_ns() // 1000)
    journal = _Listening(node, file=file)
    loop = HostedLoop(journal, channel)
    journal.loop = loop
    loop.on_wake = loop.return_memory
    if resumes:
        loop.resume()
    loop.listen("unix", told["socket"], 0, unix_mode=0o600)
    send_message(channel, {})
    return loop.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
