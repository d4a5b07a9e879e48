"""What a change leaves behind besides its reply, on our node and on a real server: keyspace events, and the stream of
changes that replicas get."""

import socket
from typing import Any

import hiredis

from engine.effects import Send
from engine.protocol.resp import Argv, encode_command
from engine.replication.backlog import Backlog
from tests.differential.pair import Pair
from tests.waiting import PATIENCE_S

END = b"end-of-comparison"
EVENTS_LINK = 2
SUBSCRIBE = encode_command([b"PSUBSCRIBE", b"__key*", END])


class Listener:
    """A connection whose messages are read one by one."""

    def __init__(self, host: str, port: int) -> None:
        self.sock = socket.create_connection((host, port), timeout=PATIENCE_S)
        self.reader = hiredis.Reader()

    def next(self) -> Any:
        while (message := self.reader.gets()) is False:
            data = self.sock.recv(1 << 16)
            assert data, "the real server hung up"
            self.reader.feed(data)
        return message


class FakeReplica(Listener):
    """A replica of the real server that only listens."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.sock.sendall(b"SYNC\r\n")
        head = b""
        while not (head.startswith(b"$") and head.endswith(b"\n")):
            head = (head + self.sock.recv(1)).lstrip(b"\n")
        left = int(head[1:])
        while left:
            left -= len(self.sock.recv(min(left, 1 << 16)))

    def until(self, mark: bytes) -> list[Argv]:
        """Return the commands up to a PUBLISH on the channel `mark`."""
        found: list[Argv] = []
        while (argv := self.next())[:2] != [b"PUBLISH", mark]:
            if argv != [b"ping"]:
                found.append(argv)
        return found


class ObservedPair(Pair):
    """A pair that also compares what was propagated and which keyspace events were sent."""

    def observe(self) -> None:
        """Begin to observe both."""
        self.both(b"CONFIG", b"SET", b"notify-keyspace-events", b"AKEmn")
        self.theirs(b"CONFIG", b"SET", b"repl-diskless-sync", b"no")
        self.replica = FakeReplica(self.server.host, self.server.port)
        self.events = Listener(self.server.host, self.server.port)
        self.marker = Listener(self.server.host, self.server.port)  # of its own: it must not be queued by MULTI
        self.events.sock.sendall(SUBSCRIBE)
        for _ in range(2):
            self.events.next()
        self.fed: list[Argv] = []
        self.fed_db = -1
        self.our_events = hiredis.Reader()
        self.node.replication.backlog = Backlog(1 << 20, 0)
        self.node.propagation.update()
        self.node.master.feed = self._feed  # type: ignore[method-assign]
        self.node.opened(EVENTS_LINK, "127.0.0.1:2", "tcp", self.now)
        self.node.received(EVENTS_LINK, SUBSCRIBE, self.now)
        self.node.end_round(self.now)
        self.changes()

    def _feed(self, db: int, argv: Argv) -> None:
        if db not in (-1, self.fed_db):
            self.fed_db = db
            self.fed.append([b"SELECT", b"%d" % db])
        self.fed.append(argv)

    def close(self) -> None:
        super().close()
        self.marker.sock.close()
        self.replica.sock.close()
        self.events.sock.close()

    def ours(self, *argv: bytes) -> bytes:
        self.node.received(1, encode_command(list(argv)), self.now)
        reply = b""
        for effect in self.node.end_round(self.now):
            if isinstance(effect, Send):
                if effect.link == 1:
                    reply += effect.data
                else:
                    self.our_events.feed(effect.data)
        return reply

    def changes(self) -> tuple[tuple[list[Argv], list[Argv]], tuple[list[Argv], list[Argv]]]:
        """Return what was propagated, and which events were sent, since the last call: (ours, theirs) of each."""
        self.marker.sock.sendall(encode_command([b"PUBLISH", END, b""]))
        self.marker.next()
        their_stream = self.replica.until(END)
        their_events = []
        while (message := self.events.next())[2] != END:
            their_events.append(message[2:])
        self._feed(0, [END])
        our_stream, self.fed = self.fed[:-1], []
        our_events = []
        while (message := self.our_events.gets()) is not False:
            our_events.append(message[2:])
        return (our_stream, their_stream), (our_events, their_events)
