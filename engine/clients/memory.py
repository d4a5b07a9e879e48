"""The memory usage that the node reports: deterministic accounting in bytes, not the interpreter's or the system's.

Keys and values are counted as they change (`Keyspace.used`); the rest is the size of a real server's structures.

https://redis.io/docs/latest/commands/memory-stats/
"""

from typing import Final, Protocol

from engine.clients import client as flags
from engine.clients.client import Client, Outbox
from engine.core import Core
from engine.keyspace.databases import ENTRY_BYTES, Keyspace

STARTUP_BYTES: Final = 956_816  # allocated by an empty 7.2 server
DICT_ENTRY_BYTES: Final = 24
EXPIRE_BYTES: Final = 32


class Buffer(Protocol):
    """Data to be written to the append-only file."""

    buffer_bytes: int


class StreamBuffers(Protocol):
    """The backlog and the output buffers of replicas."""

    @property
    def buffer_bytes(self) -> int:
        """The total size."""

    @property
    def unshared_bytes(self) -> int:
        """The size that is not also counted as output of the replicas' clients."""


class MemoryUse:
    """The memory usage of a node."""

    aof: Buffer
    replication: StreamBuffers

    def __init__(self, core: Core, clients: dict[int, Client], outbox: Outbox) -> None:
        self.config = core.config
        self.space = core.space
        self.clients = clients
        self.outbox = outbox
        self.stats = core.stats

    def used(self) -> int:
        """Return the total memory usage in bytes, and update the peak."""
        space, outbox = self.space, self.outbox
        used = STARTUP_BYTES + space.used + sum([len(db.expires) for db in space.databases]) * EXPIRE_BYTES
        used += outbox.unread_bytes + outbox.output_pending_bytes + outbox.replied_bytes
        used += self.replication.unshared_bytes
        self.stats.peak_memory_bytes = max(self.stats.peak_memory_bytes, used)
        return used

    def not_counted_for_eviction(self) -> int:
        """Return the bytes that eviction cannot free: buffers of replicas and of the append-only file."""
        return self.aof.buffer_bytes + max(0, self.replication.buffer_bytes - self.config.repl_backlog_size)

    def clients_bytes(self, replicas: bool = False) -> int:
        """Return the total memory usage of normal clients, or of replicas."""
        return sum(
            client.memory().total
            for client in self.clients.values()
            if client.link and bool(client.flags & flags.REPLICA and not client.flags & flags.MONITOR) == replicas
        )

    def overhead(self) -> int:
        """Return the memory that is not data: structures for keys, clients, the startup."""
        keys = sum(len(db) for db in self.space.databases)
        return STARTUP_BYTES + keys * DICT_ENTRY_BYTES + self.clients_bytes() + self.clients_bytes(replicas=True)


def key_usage(space: Keyspace, key: bytes, db: int) -> int | None:
    """Return the memory usage of a key with its value in bytes; None if there is no such key (MEMORY USAGE)."""
    database = space.databases[db]
    if database.find(key) is None:
        return None
    size = database.size(key) - ENTRY_BYTES
    # Rounded up as an allocator does: key, value and dictionary entry.
    return (size + 15) // 8 * 8 + 40


def human(size_bytes: int) -> bytes:
    """Format a size as INFO's `_human` fields do: 993.90K, 2.50M."""
    for unit, letter in ((1 << 50, b"P"), (1 << 40, b"T"), (1 << 30, b"G"), (1 << 20, b"M"), (1 << 10, b"K")):
        if size_bytes >= unit:
            return b"%.2f%b" % (size_bytes / unit, letter)
    return b"%dB" % size_bytes
