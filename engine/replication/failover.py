"""FAILOVER: a master hands its role to one of its replicas, and nothing is lost.

Clients' writes are held back until a replica has acknowledged the whole stream; then the master becomes its replica,
with a PSYNC that says so, and the other takes the role over when it sees its own history named:

    no-failover ──FAILOVER──▶ waiting-for-sync ──a replica has everything──▶ failover-in-progress ──+CONTINUE──▶ …
                                      └──── ABORT, or the time is up (and no FORCE) ────┴──── refused ──▶ no-failover

https://redis.io/docs/latest/commands/failover/
"""

from typing import TYPE_CHECKING

from engine.client import Client
from engine.events import FailoverChanged
from engine.pauses import NEVER_MS
from engine.replication.master import ReplicaLink

if TYPE_CHECKING:
    from engine.node import Node

NO_FAILOVER, WAITING, IN_PROGRESS = "no-failover", "waiting-for-sync", "failover-in-progress"
PURPOSE = b"failover"


class Failover:
    """The failover of a node, when there is one."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.state = NO_FAILOVER
        self.target: tuple[str, int] | None = None  # None: whichever replica is first
        self.until_ms = 0  # 0: no limit
        self.force = False

    @property
    def under_way(self) -> bool:
        """Whether there is one."""
        return self.state != NO_FAILOVER

    def begin(self, target: tuple[str, int] | None, timeout_ms: int, force: bool) -> None:
        """Hold writes back, and wait for the target, or any replica, to have them all."""
        node = self.node
        node.log("*", f"FAILOVER requested to {_shown(target)}.")
        self.target = target
        self.until_ms = node.now_ms + timeout_ms if timeout_ms else 0
        self.force = force
        self._go(WAITING, "asked for: writes are held back until it has them all")
        node.pauses.pause(PURPOSE, NEVER_MS, everything=False)

    def update(self) -> None:
        """Go on with one that waits: a replica may have caught up, or the time may be up."""
        if self.state != WAITING:
            return
        node = self.node
        if self.until_ms and self.until_ms <= node.now_ms:
            if self.force:
                node.log("*", f"FAILOVER to {_shown(self.target)} time out exceeded, failing over.")
                self._hand_over("the time is up, and FORCE was given")
            else:
                self.abort("Replica never caught up before timeout")
            return
        for client in node.master.replicas.values():
            address = self.address(client)
            link = client.extra
            assert isinstance(link, ReplicaLink)
            if link.ack_offset == node.replication.offset and self.target in (None, address):
                self.target = address
                node.log("*", f"Failover target {_shown(address)} is synced, failing over.")
                self._hand_over(f"the target has acknowledged offset {link.ack_offset}, which is all")
                return

    def _go(self, state: str, reason: str) -> None:
        self.state = state
        node = self.node
        if node.observers:
            node.emit(FailoverChanged(node.now_us, state, _shown(self.target), reason))

    def _hand_over(self, reason: str) -> None:
        assert self.target is not None
        self._go(IN_PROGRESS, reason)
        self.node.follow(*self.target)

    def answered(self, accepted: bool) -> bool:
        """The target answered PSYNC; False when it refused, and the node is a master again."""
        if self.state == IN_PROGRESS:
            if not accepted:
                self.abort("Failover target rejected psync request")
                return False
            self._end("the target accepted: it is the master now")
        return True

    def abort(self, reason: str) -> None:
        """Give it up."""
        self.node.log("*", f"FAILOVER to {_shown(self.target)} aborted: {reason}")
        if self.state == IN_PROGRESS:
            self.node.promote()
        self._end(reason)

    def _end(self, reason: str) -> None:
        self._go(NO_FAILOVER, reason)
        self.target = None
        self.until_ms = 0
        self.force = False
        self.node.pauses.end(PURPOSE)

    def find(self, target: tuple[str, int]) -> Client | None:
        """Return the replica that listens at an address."""
        return next((each for each in self.node.master.replicas.values() if self.address(each) == target), None)

    @staticmethod
    def address(client: Client) -> tuple[str, int]:
        """Return where a replica listens, as far as it has said."""
        link = client.extra
        assert isinstance(link, ReplicaLink)
        return link.announced_ip or client.peer.rpartition(":")[0].strip("[]"), link.listening_port


def _shown(target: tuple[str, int] | None) -> str:
    return "any replica" if target is None else f"{target[0]}:{target[1]}"
