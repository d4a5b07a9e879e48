"""State that requires checks before commands. While none of it is set, checks are skipped.

Each component sets its own condition and then calls `update`.
"""

from typing import Final, Protocol

from engine.core import Core
from engine.table.declarations import MAY_REPLICATE, WRITE

ALL_COMMANDS: Final = -1


class Load(Protocol):
    """A data set being loaded."""

    asynchronous: bool  # the old data set can still be read

    def info(self) -> list[tuple[str, object]]:
        """Return the corresponding lines of INFO persistence."""


class Conditions:
    """The conditions of a node that affect all commands or all writes."""

    def __init__(self, core: Core) -> None:
        self.config = core.config
        self.space = core.space
        self.events = core.events
        self.needs_checks = 0  # the flags of the commands that need checks (see `engine.execution.checks`)
        self.load: Load | None = None
        self.busy = False  # a script has exceeded busy-reply-threshold
        self.stale = False  # a replica that lost its master and may not serve old data
        self.read_only_replica = False
        self.cluster_enabled = False
        self.monitored = False
        self.tracked = False  # a client tracks the keys that it reads
        self.paused = False
        self.save_failed = False  # the last snapshot failed
        self.aof_failed = False  # the last write or fsync of the append-only file failed

    def update(self) -> None:
        """Recompute which commands need checks."""
        config = self.config
        every = (
            config.maxmemory
            or config.maxmemory_clients
            or self.monitored
            or self.tracked
            or self.events.observers
            or self.load is not None
            or self.busy
            or self.stale
            or self.paused
            or self.save_failed
            or self.aof_failed
        )
        writes = self.read_only_replica or config.min_replicas_to_write
        self.needs_checks = ALL_COMMANDS if every else WRITE | MAY_REPLICATE if writes else 0

    def update_attended(self) -> None:
        """Recompute whether the keyspace must report changes of keys."""
        watched = any(db.watchers for db in self.space.databases)
        self.space.attend(bool(self.events.observers or self.tracked or watched))
        self.update()
