"""FAILOVER: a master hands over its role to one of its replicas without losing data.

Writes of clients are paused until a replica has acknowledged the whole stream; then the master becomes its replica,
with a special PSYNC, and the target becomes the master when it finds its own replication ID in that PSYNC:

    no-failover ──FAILOVER──▶ waiting-for-sync ──a replica caught up──▶ failover-in-progress ──+CONTINUE──▶ …
                                      └────── ABORT, or timeout (without FORCE) ──────┴──── refused ──▶ no-failover

https://redis.io/docs/latest/commands/failover/
"""

from engine.clients.client import Client
from engine.clients.pauses import Pauses
from engine.core import Core
from engine.observe.events import FailoverChanged
from engine.replication import Replication
from engine.replication.master import MasterRole
from engine.replication.roles import Roles
from engine.timers import NEVER_US

NO_FAILOVER, WAITING, IN_PROGRESS = "no-failover", "waiting-for-sync", "failover-in-progress"
PURPOSE = b"failover"


class CoordinatedFailover:
    """The failover of a node, if there is one."""

    def __init__(
        self, core: Core, pauses: Pauses, replication: Replication, master: MasterRole, roles: Roles
    ) -> None:
        self.clock = core.clock
        self.output = core.output
        self.events = core.events
        self.pauses = pauses
        self.replication = replication
        self.master = master
        self.roles = roles
        self.state = NO_FAILOVER
        self.target: tuple[str, int] | None = None  # None: the first replica that catches up
        self.until_us = 0  # 0: no limit
        self.force = False

    @property
    def under_way(self) -> bool:
        """Whether a failover is in progress."""
        return self.state != NO_FAILOVER

    def begin(self, target: tuple[str, int] | None, timeout_ms: int, force: bool) -> None:
        """Pause writes, and wait until the target, or any replica, has received them all."""
        self.output.log("*", f"FAILOVER requested to {_shown(target)}.")
        self.target = target
        self.until_us = self.clock.monotonic_us + timeout_ms * 1000 if timeout_ms else 0
        self.force = force
        self._go(WAITING, "asked for: writes are held back until it has them all")
        self.pauses.pause(PURPOSE, NEVER_US, everything=False)

    def update(self) -> None:
        """Check a waiting failover: a replica may have caught up, or the timeout may have expired."""
        if self.state != WAITING:
            return
        if self.until_us and self.until_us <= self.clock.monotonic_us:
            if self.force:
                self.output.log("*", f"FAILOVER to {_shown(self.target)} time out exceeded, failing over.")
                self._hand_over("the time is up, and FORCE was given")
            else:
                self.abort("Replica never caught up before timeout")
            return
        for client in self.master.replicas.values():
            address = self.address(client)
            link = client.replica
            assert link is not None
            if link.ack_offset == self.replication.offset and self.target in (None, address):
                self.target = address
                self.output.log("*", f"Failover target {_shown(address)} is synced, failing over.")
                self._hand_over(f"the target has acknowledged offset {link.ack_offset}, which is all")
                return

    def _go(self, state: str, reason: str) -> None:
        self.state = state
        if self.events.observers:
            self.events.emit(FailoverChanged(self.clock.now_us, state, _shown(self.target), reason))

    def _hand_over(self, reason: str) -> None:
        assert self.target is not None
        self._go(IN_PROGRESS, reason)
        self.roles.follow(*self.target)

    def answered(self, accepted: bool) -> bool:
        """Handle the target's reply to PSYNC. Returns False if it refused, which makes the node a master again."""
        if self.state == IN_PROGRESS:
            if not accepted:
                self.abort("Failover target rejected psync request")
                return False
            self._end("the target accepted: it is the master now")
        return True

    def abort(self, reason: str) -> None:
        """Abort the failover."""
        self.output.log("*", f"FAILOVER to {_shown(self.target)} aborted: {reason}")
        if self.state == IN_PROGRESS:
            self.roles.promote()
        self._end(reason)

    def _end(self, reason: str) -> None:
        self._go(NO_FAILOVER, reason)
        self.target = None
        self.until_us = 0
        self.force = False
        self.pauses.end(PURPOSE)

    def find(self, target: tuple[str, int]) -> Client | None:
        """Return the replica with a certain address."""
        return next((each for each in self.master.replicas.values() if self.address(each) == target), None)

    @staticmethod
    def address(client: Client) -> tuple[str, int]:
        """Return the address of a replica, as far as it has announced it."""
        link = client.replica
        assert link is not None
        return link.announced_ip or client.peer.rpartition(":")[0].strip("[]"), link.listening_port


def _shown(target: tuple[str, int] | None) -> str:
    return "any replica" if target is None else f"{target[0]}:{target[1]}"
