"""The child process of `tutor.host`: a live server whose history is kept.

Connections that the tutor announced ("adopted") are its terminals: an undo takes their state back with the server's
and leaves them open. Any other is from outside: an undo tells it so and closes it, since it may have seen what now
never happened.
"""

import contextlib
import os
import socket
import sys
import time
from dataclasses import replace
from typing import Any

from engine.client import Client
from engine.config import FatalConfigError
from engine.errors import ReplyError
from engine.events import CommandExecuted, Event
from engine.journal import Journal
from engine.live.loop import Loop
from engine.live.server import configure
from engine.node import Node
from engine.peek import peek
from engine.resp import encode2
from tutor.host import Bytes, Skipped, Undone, receive_message, send_message

EVENTS_PER_WINDOW = 256
WINDOW_US = 50_000
SHOWN_BYTES = 4096
SHOWN_WORD = 128
SHOWN_WORDS = 32
WENT_BACK = ReplyError(b"ERR the lesson's server went back in time; connect again")


class HostedLoop(Loop):
    """A live loop with a control channel, and a clock that an undo sets back."""

    def __init__(self, journal: Journal, channel: socket.socket) -> None:
        self.shift_us = 0
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


class _Listening(Journal):
    """A journal that lets the loop hear what terminals send."""

    loop: HostedLoop

    def received(self, link: int, data: bytes, now: int) -> None:
        """See `Node.received`."""
        self.loop.heard(link, data)
        super().received(link, data, now)


def main(argv: list[str]) -> int:
    """Serve until the control channel closes: `hosted.py FD SEED DIRECTORY [redis-server's arguments]`."""
    channel = socket.socket(fileno=int(argv[0]))
    seed = int(argv[1]) or int.from_bytes(os.urandom(8), "big")
    os.chdir(argv[2])
    os.nice(5)  # where processors are few, the screen goes first
    try:
        config = configure(argv[3:])
    except FatalConfigError as error:
        sys.stderr.buffer.write(error.text)
        return 1
    node = Node(config, seed, time.time_ns() // 1000)
    journal = _Listening(node)
    loop = HostedLoop(journal, channel)
    journal.loop = loop
    loop.listen("tcp", "127.0.0.1", 0)
    (address,) = loop.addresses
    port = loop.listeners[loop.addresses[address][0]][0].getsockname()[1]
    config.port = port
    send_message(channel, {"port": port})
    return loop.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
