"""The master's stream, applied: its commands are run, its bytes are counted and passed on as they are.

What comes in one piece is parsed as a batch; a command that is cut by the end of a piece, and whatever is not written
as masters write it, is read with care. The bytes of a transaction count when all of it has run.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from typing import TYPE_CHECKING

from engine import client as flags
from engine import dispatch
from engine.keyspace import EXPIRE_HIDE, EXPIRE_IGNORE
from engine.resp import INLINE_MAX, Argv, Limits, Request, encode_command

if TYPE_CHECKING:
    from engine.node import Node


class Stream:
    """What comes from a master after the synchronization."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.request = Request()
        self.unfinished = bytearray()  # bytes of a transaction that is not complete yet

    @property
    def read_bytes(self) -> int:
        """What has come and is not counted yet."""
        return len(self.unfinished) + len(self.request.buffer)

    @property
    def held(self) -> bool:
        """Whether the stream has to wait: a script takes too long, or clients are paused."""
        return self.node.busy or self.node.pauses.active

    def resume(self) -> None:
        """Apply what came while the stream was held."""
        if self.request.buffer and not self.held:
            self.receive(b"")

    def receive(self, data: bytes) -> None:
        """Apply what came. Raises ProtocolError."""
        node, request = self.node, self.request
        space = node.space
        before, space.expire_mode = space.expire_mode, EXPIRE_IGNORE
        try:
            while self._goes_on and (data or request.buffer):
                if not (request.buffer or request.missing):
                    data = self._batch(data)
                request.buffer += data
                data = b""
                if not self._next():
                    return
                data = bytes(request.buffer)
                request.buffer.clear()
            request.buffer += data
        finally:
            space.expire_mode = EXPIRE_HIDE if node.is_replica else before

    @property
    def _goes_on(self) -> bool:
        """Whether the next command may run: the link is still this one, and nothing holds the stream."""
        return self.node.replica.stream is self and not self.held

    def _batch(self, data: bytes) -> bytes:
        """Run the complete commands at the head of `data`; returns the rest."""
        batch, used = self.node.parser.parse(data)
        for place, argv in enumerate(batch):
            if not self._goes_on:
                return b"".join(map(encode_command, batch[place:])) + data[used:]
            self._run(argv, encode_command(argv))
        return data[used:]

    def _next(self) -> bool:
        """Run the command at the head of what waits; False when it is not complete, or may not run now."""
        request = self.request
        if not self._goes_on:
            return False
        waiting = len(request.buffer)
        inline = not request.missing and request.buffer[:1] != b"*"
        head = bytes(request.buffer[: INLINE_MAX + 2]) if inline else b"*0\r\n"
        argv = request.next(Limits(self.node.config.proto_max_bulk_len))
        if argv is None:
            return False
        self._run(argv, head[: waiting - len(request.buffer)] if inline or not argv else encode_command(argv))
        return True

    def _run(self, argv: Argv, raw: bytes) -> None:
        node = self.node
        client = node.replica.client
        assert client is not None
        self.unfinished += raw
        if argv and argv[0].lower() == b"replconf" and len(argv) > 1 and argv[1].lower() == b"getack":
            node.replica.acknowledge()
        elif argv:
            node.mark_us = node.stopwatch()
            dispatch.apply(node, client, argv)
        if node.replica.stream is self and not client.flags & flags.MULTI:
            raw, self.unfinished = bytes(self.unfinished), bytearray()
            node.replication.pass_on(raw)


__all__ = ["Stream"]
