"""What must hold in every simulated cluster, whatever is done to it.

`Streams` knows the bytes of every history (replication ID) and holds each node's backlog against them: nodes of one
history agree at equal offsets, so a partial resynchronization neither skipped nor repeated a byte; and nobody has
more of a history than the master that makes it. `Wires` counts what travels: the offset that a stream began with and
its bytes make the replica's offset. `Promises` knows what clients were told.
"""

import hiredis

from engine.keyspace.digest import dataset_digest
from engine.replication.replica import REPL_STATE_CONNECTED
from engine.simulation.trace import Delivered, Dropped, Hungup, Logged, Sent

BROKEN_STREAM = ("Protocol error (", "sending an error to its master", "Internal error in ")


class BrokenError(AssertionError):
    """An invariant does not hold."""


class History:
    """What is known of a history's bytes, in pieces: what a short backlog has lost before it was looked at is not.

    >>> history = History()
    >>> history.add(1, b"abc"), history.add(9, b"ij"), history.add(3, b"cde"), history.pieces
    (None, None, None, [[1, bytearray(b'abcde')], [9, bytearray(b'ij')]])
    >>> history.add(4, b"defgh"), history.pieces, history.end
    (None, [[1, bytearray(b'abcdefghij')]], 11)
    >>> history.add(2, b"bcxd")
    (4, b'xd', b'defghij')
    """

    def __init__(self):
        self.pieces = []  # [offset, bytes] in order, with gaps between them
        self.owner = None  # the node that makes it

    @property
    def end(self):
        """The offset behind the last byte that is known."""
        return self.pieces[-1][0] + len(self.pieces[-1][1]) if self.pieces else 0

    def add(self, first, content):
        """Take bytes in; returns (offset, they, what is known there) if they are not equal to what is known."""
        apart, joined, end = [], [first, bytearray(content)], first + len(content)
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
                joined = [start, known + held[stop - base :]]
            else:
                held += known[base + len(held) - start :]
        self.pieces = sorted([*apart, joined])
        return None


class Streams:
    """The bytes of every history, and the data that belongs to each of its offsets."""

    def __init__(self):
        self.histories = {}  # by replication ID
        self.seen = {}  # host -> (ID, offset up to which it was compared)
        self.data = {}  # (ID, offset) -> (digest, host)

    def look(self, world, data=False):
        """Compare all nodes; with `data` their keys too, where two stand at the same offset of one history."""
        nodes = [(name, host.node) for name, host in world.hosts.items() if host.node is not None]
        nodes.sort(key=lambda item: item[1].config.is_replica)
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

    def _compare(self, name, node, backlog):
        replication = node.replication
        known, upto = self.seen.get(name, (None, 0))
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

    def _hold(self, name, node, replid, first, content):
        history = self.histories.setdefault(replid, History())
        if _makes(node, replid):
            history.owner = node
        if history.owner not in (None, node) and _makes(history.owner, replid):
            ahead = first + len(content) - history.end
            if ahead > 0:
                raise BrokenError(f"{name} is {ahead} bytes further in {replid[:8].decode()} than its master")
        differs = history.add(first, content)
        if differs is not None:
            at, told, known = differs
            raise BrokenError(
                f"{name}: history {replid[:8].decode()} differs at offset {at}: {told!r} instead of {known!r}"
            )

    def _compare_data(self, name, node):
        replication, replica = node.replication, node.replica
        if node.config.is_replica and (replica.stream is None or replica.stream.unfinished):
            return
        if any(client.queue is not None for client in node.clients.values() if client.flags & 2):
            return
        place = (replication.replid, replication.offset)
        digest = dataset_digest(node.space)
        other = self.data.setdefault(place, (digest, name))
        if other[0] != digest:
            raise BrokenError(f"{name} and {other[1]} differ at offset {place[1]} of history {place[0][:8].decode()}")


def _makes(node, replid):
    return not node.config.is_replica and node.replication.replid == replid and not node.exiting


class Wires:
    """What travels from masters to replicas, and that no replica finds it broken."""

    def __init__(self):
        self.asked = {}  # connection -> offset that the replica named in PSYNC
        self.heads = {}  # connection -> bytes of the answer, until the stream begins
        self.streams = {}  # connection -> [offset at the beginning, bytes since, replica]
        self.complaint = ""  # of a replica: it heals by taking everything anew, and hides what went wrong

    def __call__(self, event):
        """Take note of an event."""
        kind = type(event)
        if kind is Hungup:
            for kept in (self.asked, self.heads, self.streams):
                kept.pop(event.link, None)
        elif kind is Delivered:
            self._delivered(event)
        elif kind is Logged and any(sign in event.text for sign in BROKEN_STREAM):
            self.complaint = f"{event.host}: {event.text}"

    def _delivered(self, event):
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

    def _begin(self, link, replica):
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

    def _stream(self, link, offset, size, replica):
        del self.heads[link]
        self.streams[link] = [offset, size, replica]

    def look(self, world):
        """Hold the bytes that replicas got against their offsets."""
        if self.complaint:
            raise BrokenError(self.complaint)
        for link, (offset, size, replica) in self.streams.items():
            host, connection = world.hosts[replica], world.links.get(link)
            if connection is None or host.node is None or host.links.get(connection.link_of(replica)) != link:
                continue
            node = host.node
            if node.replica.state != REPL_STATE_CONNECTED or node.replica.link != connection.link_of(replica):
                continue
            has = node.replication.offset + node.replica.stream.read_bytes
            if node.replica.stream.request.missing:
                continue  # in the middle of a long argument
            if has != offset + size:
                raise BrokenError(f"{replica}: {offset} and {size} bytes on the wire make {has}")


class Promises:
    """What clients asked, what they were told, and when."""

    def __init__(self):
        self.readers = {}
        self.asked = {}  # client -> [what (None: nothing to remember), …] without an answer yet
        self.told = {}  # what -> when the answer was sent (µs)
        self.sent = {}  # what -> when it was asked
        self.answers = 0

    def ask(self, client, what, now_us):
        """A client sends a command; `what` names the promise that its answer makes."""
        self.asked.setdefault(client, []).append(what)
        if what is not None:
            self.sent[what] = now_us

    def opened(self, client):
        """A client has a new connection: nothing is owed."""
        self.readers[client] = hiredis.Reader()
        self.asked[client] = []

    def __call__(self, event):
        """Take note of an event: an answer that left its server is a promise."""
        if type(event) is Sent and event.target in self.readers:
            reader = self.readers[event.target]
            reader.feed(event.data)
            waiting = self.asked[event.target]
            while True:
                reply = reader.gets()
                if reply is False or not waiting:
                    return
                what = waiting.pop(0)
                self.answers += 1
                if what is not None and not isinstance(reply, hiredis.ReplyError):
                    self.told[what] = event.at_us


__all__ = ["BrokenError", "Dropped", "Promises", "Streams", "Wires"]
