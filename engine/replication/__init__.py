"""Replication: identity, offsets, the backlog, both roles of PSYNC.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from typing import TYPE_CHECKING, Any

from engine.resp import Argv

if TYPE_CHECKING:
    from engine.client import Client
    from engine.node import Node

NO_ID = b"0" * 40


class Replication:
    """A node's place among masters and replicas."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.replid = node.rng.hex(40)
        self.replid2 = NO_ID
        self.second_replid_offset = -1
        self.offset = 0
        self.backlog_bytes = 0
        self.buffer_bytes = 0

    def acknowledged(self, client: "Client") -> int:
        """Return how many replicas have acknowledged what a client wrote last (WAIT)."""
        return 0

    def fsynced(self, client: "Client") -> tuple[int, int]:
        """Return on how many append-only files what a client wrote last is durable: own and replicas' (WAITAOF)."""
        return 0, 0

    def saved_identity(self) -> tuple[int, bytes, int] | None:
        """Return (selected database, replication id, offset) for a snapshot; None when there is no history."""
        return None

    def loaded_identity(self, aux: dict[bytes, bytes]) -> None:
        """Take over the identity that a snapshot was saved with."""

    def change_id(self) -> None:
        """Start a new history (a promotion, DEBUG CHANGE-REPL-ID)."""
        self.replid = self.node.rng.hex(40)
        self.replid2 = NO_ID
        self.second_replid_offset = -1

    def feed_raw(self, argv: Argv) -> None:
        """Send a command to the replicas alone (DEBUG REPLICATE)."""

    def role(self) -> list[Any]:
        """Return what ROLE answers."""
        return [b"master", self.offset, []]

    def info(self) -> list[tuple[str, Any]]:
        """Return the lines of INFO replication."""
        return [
            ("role", "master"),
            ("connected_slaves", 0),
            ("master_failover_state", "no-failover"),
            ("master_replid", self.replid.decode()),
            ("master_replid2", self.replid2.decode()),
            ("master_repl_offset", self.offset),
            ("second_repl_offset", self.second_replid_offset),
            ("repl_backlog_active", 0),
            ("repl_backlog_size", self.node.config.repl_backlog_size),
            ("repl_backlog_first_byte_offset", 0),
            ("repl_backlog_histlen", 0),
        ]
