"""Messages of the bus, sound and damaged, for as long as one likes, against nodes that live long.

python -m tests.cluster.fuzz [--messages 1000000] [--seed N] [--jobs N]

A node gets messages of nodes that it knows and of strangers, on connections that it accepted and on its own, whole
and in pieces, while its time passes. It must not end, nor contradict itself, nor grow: what it knows has bounds here,
since all names come from a small set. Who sends what begins no message is disconnected, and only that is called bad.
"""

import argparse
import gc
import multiprocessing
import sys
import time
from dataclasses import dataclass
from random import Random

from engine.cluster import messages as ms
from engine.effects import Log
from engine.links import FIRST_DIALLED
from tests.fuzz.attacks import FindingError, Target, bus_message, check_cluster, damaged

LINKS = 4  # connections that others make
CHECKED_EVERY = 200  # attacks
NODES_MAX = 40  # the names that messages name, and handshakes under way
BAD = "Bad message length or signature received on the Cluster bus"
GIVES_UP_BYTES = 1 << 18  # of a message whose length was damaged: its sender hangs up
PORTION = 25_000  # messages that one node gets


@dataclass
class Counts:
    """What was done, and what came of it."""

    messages: int = 0
    damaged: int = 0
    rejected: int = 0  # messages that contradict themselves
    disconnected: int = 0  # senders of what begins no message
    kb_grown: int = 0  # what the process takes more than after the first tenth

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.messages + other.messages, self.damaged + other.damaged, self.rejected + other.rejected,
            self.disconnected + other.disconnected, max(self.kb_grown, other.kb_grown),
        )  # fmt: skip


def begins_no_message(data: bytes | bytearray) -> tuple[bool, int]:
    """Return whether something in a stream begins no message, and where the last incomplete message begins."""
    at = 0
    while len(data) - at >= 8:
        length = ms.length_of(data[at : at + 8])
        if length is None:
            return True, at
        if len(data) - at < length:
            break
        at += length
    return False, at


class Attacked:
    """A node, and what is on the way to it."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.target = Target(seed, cluster=True)
        self.node = self.target.node
        self.pending: dict[int, bytes] = {}  # link -> what was sent and completes no message yet
        self.counts = Counts()
        self.logged = 0  # how often the node called a sender bad

    def attack(self) -> None:
        """Send some messages on some connection. Raises FindingError."""
        rng, node, target = self.rng, self.node, self.target
        assert node.cluster is not None
        link = self.some_link()
        count = rng.randrange(1, 4)
        data = b"".join(bus_message(rng, list(node.cluster.state.nodes)).encode() for _ in range(count))
        if spoilt := rng.random() < 0.6:
            data = damaged(rng, data, changes=6)
        self.counts.messages += count
        self.counts.damaged += spoilt
        target.sent[:] = [data]
        at = rng.randrange(len(data) + 1)
        for piece in (data[:at], data[at:]):
            if piece and link in node.links:
                self.send(link, piece)
        target.now += rng.choice((0, 1_000, 100_000, 2_000_000, 20_000_000))
        self.settle()
        for known, stream in list(self.pending.items()):
            if known in node.links and len(stream) > GIVES_UP_BYTES:
                node.closed(known, target.now)
            if known not in node.links:
                del self.pending[known]

    def some_link(self) -> int:
        """Return a connection: one that another node made, or one of this node's own."""
        rng, node, now = self.rng, self.node, self.target.now
        assert node.cluster is not None
        dialled = [number for number in node.cluster.bus.links if number >= FIRST_DIALLED]
        if dialled and rng.random() < 0.5:
            link = rng.choice(dialled)
            if rng.random() < 0.1:
                node.refused(link, "Connection refused", now)
            elif rng.random() < 0.3:
                node.opened(link, "10.0.0.1:1", "dialled", now, "10.0.0.9:2")
            return link
        link = 1000 + rng.randrange(LINKS)
        if link not in node.links:
            node.opened(link, f"10.0.0.{link - 1000}:1", "bus", now, "10.0.0.9:2")
        return link

    def send(self, link: int, piece: bytes) -> None:
        """Send a piece. Raises FindingError unless exactly who sends what begins no message is called bad for it."""
        stream = self.pending.pop(link, b"") + piece
        bad, rest = begins_no_message(stream)
        before = self.logged
        self.node.received(link, piece, self.target.now)
        self.settle()
        if bad and link in self.node.links:
            raise FindingError("what begins no message is taken from a sender that stays connected")
        if self.logged > before and not bad:
            raise FindingError("a sender of messages is called bad")
        self.counts.disconnected += self.logged - before
        if link in self.node.links:
            self.pending[link] = stream[rest:]

    def settle(self) -> None:
        """End the round, and look at what the node says."""
        node, target = self.node, self.target
        if target.now >= node.deadline():
            node.wake(target.now)
        for effect in node.end_round(target.now):
            if isinstance(effect, Log):
                self.logged += BAD in effect.text
                self.counts.rejected += effect.text.startswith("Received ") and "packet" in effect.text
        if node.ending.exiting:
            raise FindingError("the node ended")

    def check(self) -> None:
        """Check that the node does not contradict itself, and knows no more than it has to. Raises FindingError."""
        assert self.node.cluster is not None
        state = self.node.cluster.state
        check_cluster(self.node)
        self.target.check()
        for what, size in (
            ("nodes", len(state.nodes)),
            ("shards", len(state.shards)),
            ("reports", max((len(peer.reports) for peer in state.nodes.values()), default=0)),
            ("forgotten", len(state.forgotten)),
            ("links", len(self.node.cluster.bus.links)),
        ):
            if size > 2 * NODES_MAX:
                raise FindingError(f"{size} {what}")


def _resident_kb() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * 4


def attack(seed: int, messages: int = PORTION) -> Counts:
    """Send so many messages to a node. Raises FindingError, with a note that tells how to make it again."""
    attacked = Attacked(seed)
    number = settled_kb = 0
    try:
        while attacked.counts.messages < messages:
            attacked.attack()
            number += 1
            if number % CHECKED_EVERY == 0:
                attacked.check()
            if not settled_kb and attacked.counts.messages > messages // 10:
                gc.collect()
                settled_kb = _resident_kb()
        attacked.check()
    except Exception as error:
        error.add_note(f"seed {seed}, attack {number}: {attacked.target.sent!r}"[:3000])
        raise
    gc.collect()
    attacked.counts.kb_grown = max(0, _resident_kb() - settled_kb)
    return attacked.counts


def main() -> int:
    """Run; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.fuzz", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    total, began = Counts(), time.perf_counter()
    portions = range(options.seed, options.seed + -(-options.messages // PORTION))
    with multiprocessing.Pool(options.jobs) as pool:
        for counts in pool.imap_unordered(attack, portions):
            total += counts
    print(
        f"{total.messages} messages to {len(portions)} nodes, {total.damaged} portions of them damaged: "
        f"{total.rejected} messages rejected, {total.disconnected} senders disconnected, "
        f"at most {total.kb_grown} KB grown, {time.perf_counter() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
