"""The replication of this node, as the cluster decides about it."""

from engine.config import Config
from engine.replication import Replication
from engine.replication.replica import REPL_STATE_CONNECTED, ReplicaRole
from engine.replication.roles import Roles
from engine.timers import Clock


class OwnRole:
    """Whether this node is a replica, of whom, and how far it is."""

    def __init__(
        self, config: Config, clock: Clock, replication: Replication, replica: ReplicaRole, roles: Roles
    ) -> None:
        self.config = config
        self.clock = clock
        self.replication = replication
        self.replica = replica
        self.roles = roles

    @property
    def replicates(self) -> bool:
        """Whether this node replicates another."""
        return self.config.is_replica

    @property
    def offset(self) -> int:
        """How far this node is in its history; 0 for a replica that has none yet."""
        if self.config.is_replica and self.replica.client is None and not self.replica.has_history:
            return 0
        return max(0, self.replication.offset)

    @property
    def data_age_ms(self) -> int:
        """For how long a replica has not heard of its master."""
        replica, now_us = self.replica, self.clock.monotonic_us
        since_us = replica.last_io_us if replica.state == REPL_STATE_CONNECTED else replica.down_since_us
        return (now_us // 1_000_000 - since_us // 1_000_000) * 1000

    def follow(self, host: str, port: int) -> None:
        """Replicate another node from here on."""
        self.roles.follow(host, port)

    def promote(self) -> None:
        """Be a master from here on."""
        if self.config.is_replica:
            self.roles.promote()
