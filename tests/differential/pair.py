"""A node and a real server that get the same commands: their replies must be equal to the byte."""

import socket
import time

import hiredis

from engine.config import Config
from engine.effects import Send
from engine.node import Node
from engine.protocol.resp import encode_command
from tests.inprocess import StillWorld
from tests.real import RealServer
from tests.waiting import PATIENCE_S

LINK = 1


class Pair:
    """Our node, and a connection to the real server (flushed)."""

    def __init__(self, server: RealServer) -> None:
        self.server = server
        self.sock = socket.create_connection((server.host, server.port), timeout=PATIENCE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = Config()
        config.enable_debug_command = "yes"
        self.node = Node(config, 1, self.now)
        self.node.attach(StillWorld())
        self.node.opened(LINK, "127.0.0.1:1", "tcp", self.now)
        self.theirs(b"FLUSHALL")

    @property
    def now(self) -> int:
        return time.time_ns() // 1000

    def close(self) -> None:
        self.sock.close()

    def ours(self, *argv: bytes) -> bytes:
        """Return our reply."""
        self.node.received(LINK, encode_command(list(argv)), self.now)
        return b"".join(effect.data for effect in self.node.end_round(self.now) if isinstance(effect, Send))

    def theirs(self, *argv: bytes) -> bytes:
        """Return the real server's reply."""
        self.sock.sendall(encode_command(list(argv)))
        reader = hiredis.Reader(replyError=lambda text: text, errors=None)
        raw = b""
        while reader.gets() is False:
            data = self.sock.recv(1 << 20)
            assert data, "the real server hung up"
            raw += data
            reader.feed(data)
        return raw

    def both(self, *argv: bytes) -> bytes:
        """Give both a command; fail unless they answer the same. Returns the answer."""
        theirs = self.theirs(*argv)
        ours = self.ours(*argv)
        assert ours == theirs, f"{b' '.join(argv)[:200]!r}: ours {ours[:300]!r}, theirs {theirs[:300]!r}"
        return ours
