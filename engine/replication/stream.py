"""Applying the master's stream: commands are executed, and bytes are counted and passed on unchanged.

Complete commands are parsed in batches; a command that is split between pieces, and anything that a master would not
write, goes through the strict parser. The bytes of a transaction count when all of it has been executed.

A master sends arrays, and empty lines as keepalives; anything else means that the stream is out of sync, and the link
is closed. The limits are Redis's: 64 KB for lines, and the master's own limit for values.

A master may send faster than commands run. They run in turns of `TURN_BYTES`; clients are served between turns.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from typing import TYPE_CHECKING

from engine.clients import client as flags
from engine.clients.conditions import Conditions
from engine.clients.describe import describe
from engine.clients.pauses import Pauses
from engine.core import Core
from engine.execution.dispatch import Dispatch
from engine.keyspace.databases import EXPIRE_IGNORE
from engine.observe.events import OffsetAdvanced
from engine.protocol.errors import ReplyError
from engine.protocol.resp import INLINE_MAX, READ_AT_ONCE, Argv, BatchParser, ProtocolError, Request, encode_command
from engine.replication import peer

if TYPE_CHECKING:
    from engine.replication import Replication
    from engine.replication.replica import ReplicaRole

TURN_BYTES = 16 * 1024  # size of the commands of a turn; a longer command has a turn to itself
_COUNT_BYTES_MAX = 32  # of the first line of a command
_SAMPLE_BYTES = 128  # of the invalid input, for the log


class MasterStream:
    """The input from a master after the synchronization."""

    def __init__(
        self,
        core: Core,
        parser: BatchParser,
        conditions: Conditions,
        pauses: Pauses,
        dispatch: Dispatch,
        replication: "Replication",
        replica: "ReplicaRole",
    ) -> None:
        self.clock = core.clock
        self.output = core.output
        self.events = core.events
        self.parser = parser
        self.space = core.space
        self.conditions = conditions
        self.pauses = pauses
        self.dispatch = dispatch
        self.replication = replication
        self.replica = replica
        self.request = Request()
        self.unfinished = bytearray()  # bytes of an incomplete transaction
        self.stopped = False  # before the end of the input: it is held, or continues in the next turn

    @property
    def read_bytes(self) -> int:
        """The number of bytes received but not counted yet."""
        return len(self.unfinished) + len(self.request.buffer)

    @property
    def held(self) -> bool:
        """Whether the stream must wait: a script is busy, clients are paused, or the node shuts down."""
        client = self.replica.client
        return self.conditions.busy or self.pauses.active or (client is not None and client.halted)

    @property
    def waits(self) -> bool:
        """Whether there is input that can be applied now."""
        return self.stopped and not self.held

    def receive(self, data: bytes) -> None:
        """Apply input, as much as one turn allows. Raises PeerError."""
        request = self.request
        space = self.space
        space.expire_mode = EXPIRE_IGNORE
        left = TURN_BYTES
        before = self.replication.offset
        try:
            if self._goes_on and len(data) <= READ_AT_ONCE and not (request.buffer or request.missing):
                used = self._batch(data)
                left -= used
                data = data[used:]
            request.buffer += data
            quick = True
            while request.buffer and left > 0 and self._goes_on:
                waiting = len(request.buffer)
                if quick and request.begins:
                    used = self._batch(bytes(memoryview(request.buffer)[:READ_AT_ONCE]))
                    request.consume(used)
                    quick = used > 0
                else:
                    begun = request.missing
                    if not self._next():
                        break
                    # After anything unusual, use the strict parser for the rest, to avoid parsing each command twice.
                    quick = bool(begun) or waiting - len(request.buffer) >= READ_AT_ONCE
                left -= waiting - len(request.buffer)
            self.stopped = bool(request.buffer) and (left <= 0 or self.held)
        except ProtocolError as error:
            self._broken(error.args[0])
        finally:
            self.pauses.update_expire_mode()
            if self.events.observers and self.replication.offset != before:
                self.events.emit(OffsetAdvanced(self.clock.now_us, self.replication.offset))

    @property
    def _goes_on(self) -> bool:
        """Whether the next command may run: the link is unchanged, and the stream is not held."""
        return self.replica.stream is self and not self.held

    def _batch(self, data: bytes) -> int:
        """Run the complete commands at the start of `data` until the stream is held. Returns how many bytes."""
        batch, used = self.parser.parse(data) if data else ([], 0)
        done = 0
        for argv in batch:
            if not self._goes_on:
                return done
            raw = encode_command(argv)
            done += len(raw)
            self._run(argv, raw)
        return used

    def _next(self) -> bool:
        """Run the command at the start of the buffer. Returns False if it is incomplete."""
        request = self.request
        newlines = b"" if request.missing else peer.take_newlines(request.buffer)
        if newlines:
            self._count(newlines)
            return True
        if not request.missing and not request.begins:
            self._inline()
            return False
        head = bytes(request.buffer[:_COUNT_BYTES_MAX])
        waiting = len(request.buffer)
        argv = request.next(peer.MASTER_LIMITS)
        if argv is None:
            return False
        if argv:
            self._run(argv, encode_command(argv))
        else:
            self._count(head[: waiting - len(request.buffer)])
        return True

    def _inline(self) -> None:
        """Reject an inline command once it is complete: masters never send one."""
        if b"\n" in self.request.buffer:
            self.output.log(
                "#",
                "WARNING: Receiving inline protocol from master, master stream corruption? Closing the master "
                "connection and discarding the cached master.",
            )
            raise ProtocolError(b"Master using the inline protocol. Desync?")
        if len(self.request.buffer) > INLINE_MAX:
            raise ProtocolError(b"too big inline request")

    def _run(self, argv: Argv, raw: bytes) -> None:
        client = self.replica.client
        assert client is not None
        self.dispatch.execution.clock_us = self.clock.stopwatch()
        self.dispatch.apply(client, argv)
        if self.replica.stream is self:
            self._count(raw)
            if client.flags & flags.CLOSE_AFTER_REPLY:
                self.replica.lost("the master ended its own link")  # by QUIT

    def _count(self, raw: bytes) -> None:
        """Count and pass on the bytes of executed commands; those of a transaction only when it is complete."""
        client = self.replica.client
        assert client is not None
        if client.flags & flags.MULTI:
            self.unfinished += raw
            return
        if self.unfinished:
            raw = bytes(self.unfinished) + raw
            self.unfinished.clear()
        self.replication.pass_on(raw)

    def _broken(self, text: bytes) -> None:
        """Log the protocol error with a sample, and close the link."""
        client = self.replica.client
        assert client is not None
        rest = self.request.buffer
        sample = peer.printable(rest[:_SAMPLE_BYTES])
        if len(rest) > _SAMPLE_BYTES:
            half = _SAMPLE_BYTES // 2
            left = f"(... more {len(rest) - _SAMPLE_BYTES} bytes ...)"
            sample = f"{peer.printable(rest[:half])}' {left} '{peer.printable(rest[-half:])}"
        if not text.startswith(b"Master using"):
            self.replication.diverges(client, ReplyError(b"ERR Protocol error: " + text))
        self.output.log(
            "#",
            f"Protocol error ({peer.shown(text)}) from client: {peer.shown(describe(client))}. "
            f"Query buffer during protocol error: '{sample}'",
        )
        raise peer.PeerError(f"Protocol error from master: {peer.shown(text)}")


__all__ = ["MasterStream"]
