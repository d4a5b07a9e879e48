"""Propagation of changes to the append-only file and the replicas.

Changes are collected while a command, transaction or script runs, and flushed together when it ends: several commands
are wrapped in MULTI and EXEC. Each change is written once, in an idempotent form, and passed to every sink that reads
the stream.
"""

import contextlib
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from engine.clients.client import PROPAGATE_ALL
from engine.clients.execution import Execution
from engine.protocol.resp import Argv


class Change(NamedTuple):
    """A command to propagate: database number (-1: the selected one), arguments, targets."""

    db: int
    argv: Argv
    targets: int


MULTI: Final = Change(-1, [b"MULTI"], PROPAGATE_ALL)
EXEC: Final = Change(-1, [b"EXEC"], PROPAGATE_ALL)
_new = tuple.__new__


class Sink(Protocol):
    """A reader of the stream of changes."""

    target: int  # PROPAGATE_AOF or PROPAGATE_REPLICAS

    @property
    def reads_changes(self) -> bool:
        """Whether this sink needs the commands."""

    def feed(self, db: int, argv: Argv) -> None:
        """Receive a command. A sink that does not read changes may count it."""


class StreamOffsets(Protocol):
    """Offsets in the stream of changes, in bytes."""

    offset: int
    fsynced_offset: int  # of the data that is durable in the append-only file


class Propagation:
    """The changes of the current execution unit, and the sinks that receive them, in order."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.sinks: tuple[Sink, ...] = ()
        self.active = False  # at least one sink reads the stream
        self.pending: list[Change] = []

    def update(self) -> None:
        """Recompute whether any sink reads the stream."""
        self.active = any(sink.reads_changes for sink in self.sinks)

    def command(self, db: int, argv: Argv, changed: bool) -> None:
        """Propagate an executed command, as it was sent or as its handler rewrote it."""
        execution = self.execution
        override = execution.override
        if override is None:
            if self.active and changed:
                execution.post_execution = True
                self.pending.append(_new(Change, (db, argv, PROPAGATE_ALL)))
            return
        execution.override = None
        if self.active and (changed or override.forced):
            execution.post_execution = True
            commands = [argv] if override.commands is None else override.commands
            self.pending += [_new(Change, (db, each, override.targets)) for each in commands]

    def also(self, db: int, argv: Argv, targets: int = PROPAGATE_ALL) -> None:
        """Add a command to the changes of the current unit."""
        if self.active:
            self.pending.append(Change(db, argv, targets))
            self.execution.post_execution = True

    def flush(self, as_unit: bool = True) -> None:
        """Pass the changes of the unit to the sinks, wrapped in MULTI and EXEC if there are several commands.

        Deletions that no client requested (keys evicted, or expired in cron, SCAN or RANDOMKEY) are not wrapped.
        """
        unit, self.pending = self.pending, []
        if as_unit and len(unit) > 1:
            unit = [MULTI, *unit, EXEC]
        for sink in self.sinks:
            target = sink.target
            for db, argv, targets in unit:
                if targets & target:
                    sink.feed(db, argv)

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Keep the changes of the current unit separate from those of other units within the context."""
        outer, self.pending = self.pending, []
        try:
            yield
        finally:
            self.pending = outer + self.pending

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Propagate nothing within the context, because its commands come from the stream itself."""
        outer, self.active = self.active, False
        try:
            yield
        finally:
            self.active = outer
            self.execution.post_execution = False
