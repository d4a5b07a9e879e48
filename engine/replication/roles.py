"""The two roles of a node, and changing between them (REPLICAOF, FAILOVER).

https://redis.io/docs/latest/commands/replicaof/
"""

from engine.clients.blocking import Waiting
from engine.clients.client import BLOCKED_POSTPONE, Client
from engine.clients.conditions import Conditions
from engine.clients.pauses import Pauses
from engine.config import MasterAddress
from engine.core import Core
from engine.observe.events import RoleChanged
from engine.persistence.aof.log import AppendOnlyFile
from engine.protocol.errors import ReplyError
from engine.replication import Replication
from engine.replication.master import MasterRole
from engine.replication.replica import REPL_STATE_CONNECTED, ReplicaRole


class Roles:
    """Makes a node a replica or a master."""

    def __init__(
        self,
        core: Core,
        conditions: Conditions,
        waiting: Waiting,
        pauses: Pauses,
        aof: AppendOnlyFile,
        replication: Replication,
        master: MasterRole,
        replica: ReplicaRole,
    ) -> None:
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.events = core.events
        self.conditions = conditions
        self.waiting = waiting
        self.pauses = pauses
        self.aof = aof
        self.replication = replication
        self.master = master
        self.replica = replica

    def follow(self, host: str, port: int, why: str = "") -> None:
        """Become a replica of another server; `why` is for the log."""
        was_master = not self.config.is_replica
        self.config.replicaof = MasterAddress(host, port)
        if was_master:
            for client in self._waiting_clients():
                self.waiting.unblock_with_error(
                    client,
                    ReplyError(
                        b"UNBLOCKED force unblock from blocking operation, instance state changed "
                        b"(master -> replica?)"
                    ),
                )
            self.replica.take_own_history()
        self.update()
        self._tell(why)
        self.replica.follow()
        if why:
            self.output.log("*", f"REPLICAOF {host}:{port} enabled ({why})")

    def _waiting_clients(self) -> list[Client]:
        """Return the clients whose commands wait halfway; a postponed one has not begun, and starts over later."""
        return [
            client
            for client in self.waiting.clients.values()
            if client.blocking is not None and client.blocking.kind != BLOCKED_POSTPONE
        ]

    def promote(self, why: str = "") -> None:
        """Become a master and keep the data; `why` is for the log."""
        self.config.replicaof = None
        self.replica.stop()
        self.replication.shift_id()
        self.master.selected = -1
        self.replication.need_backlog(keep_id=True)
        self.master.no_replicas_since_us = self.clock.monotonic_us
        self.replication.drop_replicas("the role changed: they have to ask again")
        self.update()
        self._tell(why)
        if why:
            self.output.log("*", f"MASTER MODE enabled ({why})")
        if self.config.appendonly:
            self.aof.enable()  # a failed transfer may have disabled it

    def _tell(self, why: str) -> None:
        """Report the node's new role to observers."""
        if self.events.observers:
            role = "slave" if self.config.is_replica else "master"
            self.events.emit(RoleChanged(self.clock.now_us, role, self.replica.master, why))

    def update(self) -> None:
        """Update everything that depends on the role and on the state of the link to the master."""
        config, conditions = self.config, self.conditions
        connected = self.replica.state == REPL_STATE_CONNECTED
        conditions.read_only_replica = config.is_replica and config.replica_read_only
        conditions.stale = config.is_replica and not connected and not config.replica_serve_stale_data
        self.pauses.update_expire_mode()
        conditions.update()
