"""An application of the simulated world that writes to a cluster, as a program with a cluster client does.

It has a slot map, which it asks a node for (CLUSTER SLOTS), and a connection to each node that it has written to. It
appends numbers to lists, each write to the next of its keys, and remembers which numbers were acknowledged. What it
does about redirections differs:

    map      follows them, and asks for the whole map again after MOVED; so most clients do
    slot     follows them, and changes only the slot of the MOVED in its map
    never    follows them, and keeps its map as it is
    nothing  does not follow them: redis-cli without -c

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#client-first-connection-and-handling-of-redirections
"""

from typing import Any

from engine.keyspace.slots import key_slot
from engine.protocol.errors import ReplyError
from engine.protocol.replies import ReplyReader
from engine.protocol.resp import ProtocolError, encode_command
from engine.simulation.connection import SimulatedConnection
from engine.simulation.program import ClientProgram

TIMEOUT_US = 1_000_000  # for a connection and for a reply
REDIRECTIONS_MAX = 5  # for one write
FOLLOWS = ("map", "slot", "never", "nothing")

WAITING, ASKING_MAP, WRITING = "waits to try again", "asks for the slots", "writes"


class _Link:
    """A connection to a node."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.number = 0
        self.is_open = False
        self.waiting = b""  # what is sent when it is open
        self.answer = bytearray()
        self.reader = ReplyReader()


class ClusterApplication(ClientProgram):
    """An application, its slot map and its connections."""

    def __init__(
        self, world: Any, name: str, ip: str, nodes: tuple[str, ...], keys: tuple[str, ...], follows: str,
        period_us: int,
    ) -> None:  # fmt: skip
        super().__init__(world, name, ip, period_us)
        self.nodes = nodes  # the addresses that it is given
        self.keys = tuple(key.encode() for key in keys)
        self.follows = follows
        self.does = WAITING
        self.links: dict[int, _Link] = {}
        self.by_address: dict[str, int] = {}
        self.next_link = 1
        self.map: list[tuple[int, int, str]] = []  # first and last slot, and the address of their master
        self.moved_slots: dict[int, str] = {}  # what MOVED has told since
        self.awaited: list[str] = []  # replies that are due: "map", "asking", "write"
        self.at = 0  # the link on which
        self.since_us = 0
        self.redirections = 0  # of the current write
        self.outdated = False  # the map is to be asked for again
        self.next_node = 0
        self.written = 0
        self.target = ""  # the address of the last write
        self.acknowledged: list[int] = []
        self.failed = 0
        self.error = ""
        self.moved = self.asked = self.refreshed = 0

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its connections."""
        return tuple(link.number for link in self.links.values())

    def key_of(self, number: int) -> bytes:
        """Return the key that a number is written to."""
        return self.keys[number % len(self.keys)]

    def owner_of(self, slot: int) -> str:
        """Return the address of a slot's master, as it believes; "" if it knows none."""
        if slot in self.moved_slots:
            return self.moved_slots[slot]
        return next((address for first, last, address in self.map if first <= slot <= last), "")

    # --- what it does -------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """It is time for the next write."""
        if self.awaited:
            if self.world.now_us - self.since_us < TIMEOUT_US:
                return
            self._lost(self.at, "timeout")
        if not self.map or self.outdated:
            self._ask_for_map()
        else:
            self._write_next()

    def forget(self) -> None:
        """The process is gone: it forgets the map, too."""
        self.awaited = []
        for number in list(self.links):
            self._lost(number, "")
        self.map, self.does = [], WAITING
        self.moved_slots.clear()

    def _ask_for_map(self) -> None:
        known = list(dict.fromkeys([*(address for _, _, address in self.map), *self.nodes]))
        address = known[self.next_node % len(known)]
        self.does = ASKING_MAP
        self._send(address, ["map"], [b"CLUSTER", b"SLOTS"])

    def _write_next(self) -> None:
        self.written += 1
        self.redirections = 0
        slot = key_slot(self.key_of(self.written))
        address = self.owner_of(slot)
        self.does = WRITING
        if not address:
            self._fail(f"no node serves slot {slot}")
            self.outdated = True
            return
        self._write(address)

    def _write(self, address: str, asking: bool = False) -> None:
        self.target = address
        words = [b"RPUSH", self.key_of(self.written), b"%d" % self.written]
        if asking:
            self._send(address, ["asking", "write"], [b"ASKING"], words)
        else:
            self._send(address, ["write"], words)

    def _send(self, address: str, awaited: list[str], *commands: list[bytes]) -> None:
        number = self.by_address.get(address)
        data = b"".join(encode_command(words) for words in commands)
        self.awaited, self.since_us = awaited, self.world.now_us
        if number is not None:
            self.at = number
            link = self.links[number]
            if link.is_open:
                self.world.network.send(self.world.network.connections[link.number], self.name, data)
            else:
                link.waiting += data
            return
        self.at = number = self.next_link
        self.next_link += 1
        link = self.links[number] = _Link(address)
        self.by_address[address] = number
        link.waiting = data
        host, _, port = address.rpartition(":")
        ip, at = self.world.resolve(host, int(port), self)
        link.number = self.world.network.connect(self.name, number, ip, at).number

    def _answered(self, reply: Any) -> None:
        awaited = self.awaited.pop(0) if self.awaited else ""
        if awaited == "map":
            self._take_map(reply)
        elif awaited == "write":
            if isinstance(reply, ReplyError):
                self._refused_write(reply.text.decode("utf-8", "replace"))
            else:
                self.error = ""
                self.acknowledged.append(self.written)
                if self.outdated:
                    self._ask_for_map()

    def _take_map(self, reply: Any) -> None:
        if isinstance(reply, ReplyError) or not reply:
            self._fail("no slots are assigned" if not reply else reply.text.decode("utf-8", "replace"))
            self.next_node += 1
            return
        self.refreshed += 1
        asked = self.links[self.at].address.rpartition(":")[0]
        self.map = [
            (first, last, f"{bytes(master[0]).decode() if master[0] else asked}:{master[1]}")
            for first, last, master, *_ in reply
        ]
        self.moved_slots.clear()
        self.outdated = False
        self.does = WAITING

    def _refused_write(self, error: str) -> None:
        kind, _, rest = error.partition(" ")
        if kind not in ("MOVED", "ASK") or self.follows == "nothing":
            self._fail(error)
            self.outdated |= kind == "CLUSTERDOWN"
            self.moved += kind == "MOVED"
            self.asked += kind == "ASK"
            return
        slot, _, address = rest.partition(" ")
        if address.startswith(":"):  # an unknown endpoint: the same host, another port
            address = self.links[self.at].address.rpartition(":")[0] + address
        self.redirections += 1
        if kind == "MOVED":
            self.moved += 1
            self.outdated |= self.follows == "map"
            if self.follows in ("map", "slot"):
                self.moved_slots[int(slot)] = address
        else:
            self.asked += 1
        if self.redirections > REDIRECTIONS_MAX:
            self._fail("too many redirections")
            return
        self._write(address, asking=kind == "ASK")

    def _fail(self, error: str) -> None:
        """Give up what is being done; the next attempt follows."""
        self.failed += 1
        self.error, self.does, self.awaited = error, WAITING, []

    def _lost(self, number: int, error: str) -> None:
        """A connection is lost, or not used any longer: the map may be outdated."""
        link = self.links.pop(number, None)
        if link is None:
            return
        del self.by_address[link.address]
        connection = self.world.network.connections.get(link.number)
        if connection is not None and connection.link_of(self.name):
            self.world.network.hang_up(connection, self.name)
        if number == self.at and self.awaited:
            self._fail(error)
            self.outdated = self.follows in ("map", "slot")
            self.next_node += 1

    # --- as a machine of the network ----------------------------------------------------------------------------

    def _link(self, connection: SimulatedConnection) -> tuple[int, _Link] | None:
        return next((each for each in self.links.items() if each[1].number == connection.number), None)

    def opened(self, connection: SimulatedConnection) -> None:
        """The connection is established: send what waits."""
        found = self._link(connection)
        if found is not None:
            link = found[1]
            link.is_open = True
            waiting, link.waiting = link.waiting, b""
            self.world.network.send(connection, self.name, waiting)

    def refused(self, link: int, reason: str) -> None:
        """The connection failed."""
        self._lost(link, reason)

    def read(self, connection: SimulatedConnection, data: bytes) -> None:
        """Bytes arrived."""
        found = self._link(connection)
        if found is None:
            return
        number, link = found
        link.answer += data
        try:
            while number in self.links and (reply := link.reader(link.answer)) is not None:
                if number == self.at and self.awaited:
                    self._answered(reply)
        except ProtocolError:
            self._lost(number, "an unreadable reply")

    def closed(self, connection: SimulatedConnection, link: int) -> None:
        """The connection has ended."""
        found = self._link(connection)
        if found is not None:
            self._lost(found[0], "connection lost")
