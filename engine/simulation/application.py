"""An application of the simulated world: a client that writes at a steady rate, as a program in production does.

It appends numbers to a list that has its name, one at a time, and remembers which of them were acknowledged: those
are the writes that it believes in. How it finds the master is what differs:

    a Sentinel-aware one asks a Sentinel (the next one if that does not answer), checks with ROLE that it has reached
    a master, and asks again after every lost connection, timeout, and READONLY;
    one with a fixed address connects to that address again and again, whichever server is there.

https://redis.io/docs/latest/develop/reference/sentinel-clients/
"""

from typing import Any

from engine.protocol.errors import ReplyError
from engine.protocol.replies import ReplyReader
from engine.protocol.resp import ProtocolError, encode_command
from engine.simulation.connection import SimulatedConnection
from engine.simulation.program import ClientProgram

TIMEOUT_US = 1_000_000  # for a connection and for a reply

IDLE, ASKING, CHECKING, WRITING = "waits to try again", "asks", "checks the role of", "writes"


class Application(ClientProgram):
    """An application and its one connection."""

    def __init__(
        self,
        world: Any,
        name: str,
        ip: str,
        sentinels: tuple[str, ...],
        master: str,
        address: str,
        period_us: int,
    ) -> None:
        super().__init__(world, name, ip, period_us)
        self.sentinels = sentinels  # their addresses; none: `address` is fixed
        self.master = master
        self.address = address  # where it writes, or last wrote
        self.does = IDLE
        self.connection = 0
        self.target = ""  # the address that it is connected to
        self.is_open = False
        self.since_us = 0  # when it began to wait for the connection or for a reply
        self.waits = False
        self.answer = bytearray()
        self.reader = ReplyReader()
        self.next_sentinel = 0
        self.written = 0  # the last number that it tried to write
        self.acknowledged: list[int] = []
        self.acknowledged_us = 0  # when the last one was
        self.failed = 0  # attempts to write that failed, or for which there was no master
        self.error = ""  # the last

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its connections."""
        return (self.connection,)

    @property
    def key(self) -> bytes:
        """The list that it appends to."""
        return self.name.encode()

    # --- what it does -------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """It is time for the next write."""
        now_us = self.world.now_us
        if self.does != IDLE and (self.waits or not self.is_open):
            if now_us - self.since_us < TIMEOUT_US:
                if self.does == WRITING:
                    return  # the last write is not answered yet
                self.failed += 1
                return
            self._fail("timeout")
        if self.does == IDLE:
            self.failed += bool(self.error)
            self._find()
        elif self.does == WRITING and not self.waits:
            self.act()

    def forget(self) -> None:
        """The process is gone."""
        self._hang_up()
        self.does = IDLE

    def _find(self) -> None:
        if self.sentinels:
            address = self.sentinels[self.next_sentinel % len(self.sentinels)]
            self._connect(address, ASKING)
        else:
            self._connect(self.address, CHECKING)

    def _connect(self, address: str, does: str) -> None:
        ip, _, port = address.rpartition(":")
        self.does, self.target, self.is_open, self.waits = does, address, False, False
        self.since_us = self.world.now_us
        self.answer.clear()
        self.reader = ReplyReader()
        self.connection = self.world.network.connect(self.name, 1, ip, int(port)).number

    def ask(self, *argv: bytes) -> None:
        """Send a command; `took` gets its reply."""
        self.waits, self.since_us = True, self.world.now_us
        self.world.network.send(
            self.world.network.connections[self.connection], self.name, encode_command(list(argv))
        )

    def act(self) -> None:
        """Write the next number; other programs do something else."""
        self.written += 1
        self.ask(b"RPUSH", self.key, b"%d" % self.written)

    def took(self, reply: Any) -> None:
        """What it asked for in `act` was answered without an error."""
        self.acknowledged.append(self.written)
        self.acknowledged_us = self.world.now_us

    def _answered(self, reply: Any) -> None:
        self.waits = False
        if self.does == ASKING:
            if not (isinstance(reply, list) and len(reply) == 2):
                self._fail(f"no master {self.master}" if not isinstance(reply, ReplyError) else _text(reply))
                return
            self._hang_up()
            self.address = f"{bytes(reply[0]).decode()}:{bytes(reply[1]).decode()}"
            self._connect(self.address, CHECKING)
        elif self.does == CHECKING:
            is_master = isinstance(reply, list) and reply and reply[0] == b"master"
            if self.sentinels and not is_master:
                self._fail(_text(reply) if isinstance(reply, ReplyError) else "it is not a master")
                return
            self.does = WRITING
            self.act()
        elif isinstance(reply, ReplyError):
            self.error = _text(reply)
            self.failed += 1
            if self.sentinels and self.error.startswith("READONLY"):
                self._hang_up()
                self.does = IDLE
        else:
            self.error = ""
            self.took(reply)

    def _fail(self, error: str) -> None:
        """Give up what is being done; the next attempt follows."""
        if self.does == WRITING and self.waits:
            self.failed += 1
        if self.does == ASKING:
            self.next_sentinel += 1
        self._hang_up()
        self.does, self.error = IDLE, error

    def _hang_up(self) -> None:
        connection = self.world.network.connections.get(self.connection)
        self.connection, self.is_open, self.waits = 0, False, False
        if connection is not None and connection.link_of(self.name):
            self.world.network.hang_up(connection, self.name)

    # --- as a machine of the network ----------------------------------------------------------------------------

    def opened(self, connection: SimulatedConnection) -> None:
        """The connection is established: say what it is for."""
        if connection.number != self.connection:
            return
        self.is_open = True
        if self.does == ASKING:
            self.ask(b"SENTINEL", b"get-master-addr-by-name", self.master.encode())
        else:
            self.ask(b"ROLE")

    def refused(self, link: int, reason: str) -> None:
        """The connection failed."""
        if not self.is_open:
            self._fail(reason)

    def read(self, connection: SimulatedConnection, data: bytes) -> None:
        """Bytes arrived."""
        if connection.number != self.connection:
            return
        self.answer += data
        try:
            reply = self.reader(self.answer)
        except ProtocolError:
            self._fail("an unreadable reply")
            return
        if reply is not None and self.waits:
            self._answered(reply)

    def closed(self, connection: SimulatedConnection, link: int) -> None:
        """The connection has ended."""
        if connection.number == self.connection:
            self.connection = 0
            self._fail("connection lost")


def _text(error: ReplyError) -> str:
    return error.text.decode("utf-8", "replace")
