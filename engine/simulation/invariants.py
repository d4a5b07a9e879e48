"""What holds in every simulated world, whatever is done to it: a world in which it does not has a bug.

`Streams` knows the bytes of every history (replication ID) and compares each node's backlog with them: nodes of one
history agree at equal offsets, so a partial resynchronization neither skipped nor repeated a byte; no node has more
of a history than the master that makes it, and two nodes at the same place of a history have the same data. `Wires`
counts what travels: the offset at which a stream began and its bytes make the replica's offset.
"""

from typing import Any

from engine.clients.client import REPLICA
from engine.keyspace.digest import dataset_digest
from engine.node import Node
from engine.replication.backlog import Backlog
from engine.replication.replica import REPL_STATE_CONNECTED
from engine.sentinel.process import SentinelNode
from engine.simulation.trace import Delivered, Hungup, Logged, TraceEvent
from engine.simulation.world import World

BROKEN_STREAM = ("Protocol error (", "sending an error to its master", "Internal error in ")


class BrokenError(AssertionError):
    """An invariant does not hold."""


class StreamHistory:
    """What is known of a history's bytes, in pieces: what a short backlog has lost before it was looked at is not.

    >>> history = StreamHistory()
    >>> history.add(1, b"abc"), history.add(9, b"ij"), history.add(3, b"cde"), history.pieces
    (None, None, None, [(1, bytearray(b'abcde')), (9, bytearray(b'ij'))])
    >>> history.add(4, b"defgh"), history.pieces, history.end
    (None, [(1, bytearray(b'abcdefghij'))], 11)
    >>> history.add(2, b"bcxd")
    (4, b'xd', b'defghij')
    """

    def __init__(self) -> None:
        self.pieces: list[tuple[int, bytearray]] = []  # offset and bytes, in order, with gaps between them
        self.owner: Node | None = None  # the node that makes it

    @property
    def end(self) -> int:
        """The offset after the last byte that is known."""
        return self.pieces[-1][0] + len(self.pieces[-1][1]) if self.pieces else 0

    def add(self, first: int, content: bytes) -> tuple[int, bytes, bytes] | None:
        """Take bytes in; returns (offset, they, what is known there) if they are not equal to what is known."""
        apart: list[tuple[int, bytearray]] = []
        joined, end = (first, bytearray(content)), first + len(content)
        for piece in self.pieces:
            start, known = piece
            stop = start + len(known)
            if stop < first or start > end:
                apart.append(piece)
                continue
            low, high = max(first, start), min(end, stop)
            if known[low - start : high - start] != content[low - first : high - first]:
                at = next(i for i in range(low, high) if known[i - start] != content[i - first])
                return at, bytes(content[at - first :][:40]), bytes(known[at - start :][:40])
            base, held = joined
            if start < base:
                joined = start, known + held[stop - base :]
            else:
                held += known[base + len(held) - start :]
        self.pieces = sorted([*apart, joined])
        return None


class Streams:
    """The bytes of every history, and the data that belongs to each of its offsets."""

    def __init__(self) -> None:
        self.histories: dict[bytes, StreamHistory] = {}  # by replication ID
        self.seen: dict[str, tuple[tuple[bytes, Node], int]] = {}  # by host: ID, offset up to which it was compared
        self.data: dict[tuple[bytes, int], tuple[bytes, str]] = {}  # by ID and offset: digest, host

    def look(self, world: World, data: bool = False) -> None:
        """Compare all nodes; with `data` their keys too, where two are at the same offset of one history."""
        nodes = [
            (name, host.node)
            for name, host in world.hosts.items()
            if host.node is not None and not isinstance(host.node, SentinelNode)
        ]
        nodes.sort(key=lambda item: item[1].config.is_replica)
        running = {id(node) for _, node in nodes}
        for history in self.histories.values():
            if id(history.owner) not in running:
                history.owner = None  # it ended, and may have sent more than was seen of it
        for name, node in nodes:
            replication = node.replication
            backlog = replication.backlog
            if backlog is None:
                continue
            backlog.check()
            if backlog.end != replication.offset + 1:
                raise BrokenError(f"{name}: the backlog ends at {backlog.end}, the offset is {replication.offset}")
            self._compare(name, node, backlog)
            if data:
                self._compare_data(name, node)

    def _compare(self, name: str, node: Node, backlog: Backlog) -> None:
        replication = node.replication
        known, upto = self.seen.get(name, ((b"", node), 0))
        start = max(backlog.first_offset, upto) if known == (replication.replid, node) else backlog.first_offset
        stream = backlog.since(start)
        cut = replication.second_replid_offset
        parts = [(replication.replid, start, stream)]
        if cut > start:
            parts = [
                (replication.replid2, start, stream[: cut - start]),
                (replication.replid, max(start, cut), stream[cut - start :]),
            ]
        for replid, first, content in parts:
            if content:
                self._hold(name, node, replid, first, content)
        self.seen[name] = ((replication.replid, node), backlog.end)

    def _hold(self, name: str, node: Node, replid: bytes, first: int, content: bytes) -> None:
        history = self.histories.setdefault(replid, StreamHistory())
        if _makes(node, replid):
            history.owner = node
        if history.owner is not None and history.owner is not node and _makes(history.owner, replid):
            ahead = first + len(content) - history.end
            if ahead > 0:
                raise BrokenError(f"{name} is {ahead} bytes further in {replid[:8].decode()} than its master")
        differs = history.add(first, content)
        if differs is not None:
            at, told, known = differs
            raise BrokenError(
                f"{name}: history {replid[:8].decode()} differs at offset {at}: {told!r} instead of {known!r}"
            )

    def _compare_data(self, name: str, node: Node) -> None:
        replication, replica = node.replication, node.replica
        if node.config.is_replica and (replica.stream is None or replica.stream.unfinished):
            return
        if any(client.queue is not None for client in node.clients.values() if client.flags & REPLICA):
            return
        place = (replication.replid, replication.offset)
        digest = dataset_digest(node.space)
        other = self.data.setdefault(place, (digest, name))
        if other[0] != digest:
            raise BrokenError(f"{name} and {other[1]} differ at offset {place[1]} of history {place[0][:8].decode()}")


def _makes(node: Node, replid: bytes) -> bool:
    return not node.config.is_replica and node.replication.replid == replid and not node.exiting


class Wires:
    """What travels from masters to replicas, and that no replica finds it broken."""

    def __init__(self) -> None:
        self.asked: dict[int, int] = {}  # by connection: the offset that the replica named in PSYNC
        self.heads: dict[int, bytearray] = {}  # by connection: bytes of the answer, until the stream begins
        self.streams: dict[int, list[Any]] = {}  # by connection: offset at the beginning, bytes since, replica
        self.complaint = ""  # of a replica: it heals by taking everything anew, and hides what went wrong

    def begin(self, world: World) -> None:
        """Follow the streams of a world that has been running from here on."""
        for name, host in world.hosts.items():
            node = host.node
            if node is None or isinstance(node, SentinelNode) or node.replica.state != REPL_STATE_CONNECTED:
                continue
            link, stream = host.links.get(node.replica.link, 0), node.replica.stream
            if link and stream is not None and not stream.request.missing:
                self.streams[link] = [node.replication.offset + stream.read_bytes, 0, name]

    def __call__(self, event: TraceEvent) -> None:
        """Take note of an event."""
        if isinstance(event, Hungup):
            self.asked.pop(event.link, None)
            self.heads.pop(event.link, None)
            self.streams.pop(event.link, None)
        elif isinstance(event, Delivered):
            self._delivered(event)
        elif isinstance(event, Logged) and any(sign in event.text for sign in BROKEN_STREAM):
            self.complaint = f"{event.host}: {event.text}"

    def _delivered(self, event: Delivered) -> None:
        link, data = event.link, event.data
        stream = self.streams.get(link)
        if stream is not None:
            if event.target == stream[2]:
                stream[1] += len(data)
            return
        at = data.find(b"$5\r\nPSYNC\r\n")
        if at >= 0:
            words = data[at:].split(b"\r\n")
            self.asked[link] = int(words[5])
            self.heads[link] = bytearray()
        elif link in self.heads:
            self.heads[link] += data
            self._begin(link, event.target)

    def _begin(self, link: int, replica: str) -> None:
        head = self.heads[link]
        line, _, rest = bytes(head.lstrip(b"\n")).partition(b"\r\n")
        if line.startswith(b"+CONTINUE"):
            self._stream(link, self.asked[link] - 1, len(rest), replica)
        elif line.startswith(b"+FULLRESYNC"):
            offset = int(line.split(b" ")[2])
            size, found, body = rest.lstrip(b"\n").partition(b"\r\n")
            if not found:
                return
            if size.startswith(b"$EOF:"):
                end = body.find(size[5:])
                if end >= 0:
                    self._stream(link, offset, len(body) - end - 40, replica)
            elif len(body) >= int(size[1:]):
                self._stream(link, offset, len(body) - int(size[1:]), replica)

    def _stream(self, link: int, offset: int, size: int, replica: str) -> None:
        del self.heads[link]
        self.streams[link] = [offset, size, replica]

    def look(self, world: World) -> None:
        """Compare the bytes that replicas got with their offsets."""
        if self.complaint:
            raise BrokenError(self.complaint)
        for link, (offset, size, replica) in self.streams.items():
            host, connection = world.hosts[replica], world.links.get(link)
            if connection is None or host.node is None or host.links.get(connection.link_of(replica)) != link:
                continue
            node = host.node
            if node.replica.state != REPL_STATE_CONNECTED or node.replica.link != connection.link_of(replica):
                continue
            stream = node.replica.stream
            if stream is None or stream.request.missing:
                continue  # in the middle of a long argument
            has = node.replication.offset + stream.read_bytes
            if has != offset + size:
                raise BrokenError(f"{replica}: {offset} and {size} bytes on the wire make {has}")


__all__ = ["BrokenError", "StreamHistory", "Streams", "Wires"]
