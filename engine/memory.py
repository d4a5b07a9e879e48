"""What the node says it uses: deterministic accounting, in bytes, never the interpreter's or the system's.

Keys and values are counted as they change (`Keyspace.used`); the rest is what a real server's structures would take.

https://redis.io/docs/latest/commands/memory-stats/
"""

from typing import TYPE_CHECKING

from engine import client as flags
from engine.keyspace import ENTRY_BYTES

if TYPE_CHECKING:
    from engine.client import Client
    from engine.node import Node

STARTUP_BYTES = 956_816  # what an empty 7.2 server has allocated
DICT_ENTRY_BYTES = 24
EXPIRE_BYTES = 32


def clients_bytes(node: "Node", replicas: bool = False) -> int:
    """Return what normal clients take together, or replicas."""
    return sum(
        client.memory().total
        for client in node.clients.values()
        if client.link and bool(client.flags & flags.REPLICA and not client.flags & flags.MONITOR) == replicas
    )


def used_memory(node: "Node") -> int:
    """Return what the node uses in all; notes the peak."""
    used = STARTUP_BYTES + node.space.used + sum([db.expiring for db in node.space.databases]) * EXPIRE_BYTES
    used += node.unread_bytes + node.undelivered_bytes + node.replied_bytes
    if node.replication.backlog is not None:
        # The stream is held once, however many replicas wait for it.
        replicas = node.master.replicas.values()
        used += node.replication.buffer_bytes - sum(client.out_bytes + _buffers(client) for client in replicas)
    node.stats.peak_memory_bytes = max(node.stats.peak_memory_bytes, used)
    return used


def _buffers(client: "Client") -> int:
    return sum(map(len, client.out))


def overhead(node: "Node") -> int:
    """Return what is not data: structures for keys, clients, the start."""
    keys = sum(len(db) for db in node.space.databases)
    return STARTUP_BYTES + keys * DICT_ENTRY_BYTES + clients_bytes(node) + clients_bytes(node, replicas=True)


def key_usage(node: "Node", key: bytes, db: int) -> int | None:
    """Return what a key with its value takes (MEMORY USAGE)."""
    entry = node.space.databases[db].entry(key)
    if entry is None:
        return None
    size = entry.size - ENTRY_BYTES
    # Rounded up as an allocator would: key, value and dictionary entry.
    return (size + 15) // 8 * 8 + 40


def human(size_bytes: int) -> bytes:
    """Return a size as INFO's `_human` fields show it: 993.90K, 2.50M."""
    for unit, letter in ((1 << 50, b"P"), (1 << 40, b"T"), (1 << 30, b"G"), (1 << 20, b"M"), (1 << 10, b"K")):
        if size_bytes >= unit:
            return b"%.2f%b" % (size_bytes / unit, letter)
    return b"%dB" % size_bytes
