"""Writing a whole RDB file, in pieces.

The keyspace must not change while `write` is being iterated over: the live world writes in a forked child, the
simulated one from a copy. Version 11, as Redis 7.2 writes it (see `engine.rdb.loader` for the shape).
"""

from collections.abc import Iterable, Iterator

from engine.keyspace import TOUCH_LFU, Database, Keyspace
from engine.rdb.compression import crc64
from engine.rdb.dump import RDB_VERSION
from engine.rdb.loader import AUX, EOF, EXPIRETIME_MS, FREQ, FUNCTION2, IDLE, RESIZEDB, SELECTDB
from engine.rdb.objects import save, type_of
from engine.rdb.primitives import MILLISECONDS, length, string

CHUNK_BYTES = 1 << 16


class Progress:
    """How far a snapshot is that is being written."""

    def __init__(self) -> None:
        self.keys = 0


def auxiliary(
    version: str,
    ctime: int,
    used_memory: int,
    replication: tuple[int, bytes, int] | None = None,
    aof_base: bool = False,
) -> list[tuple[bytes, bytes]]:
    """Return the auxiliary fields that Redis writes.

    `ctime` in seconds; `replication`: (selected database, replication id, offset), which a master notes.
    """
    fields = [
        (b"redis-ver", version.encode()),
        (b"redis-bits", b"64"),
        (b"ctime", b"%d" % ctime),
        (b"used-mem", b"%d" % used_memory),
    ]
    if replication is not None:
        db, replid, offset = replication
        fields += [(b"repl-stream-db", b"%d" % db), (b"repl-id", replid), (b"repl-offset", b"%d" % offset)]
    fields.append((b"aof-base", b"%d" % aof_base))
    return fields


def write(
    space: Keyspace,
    aux: Iterable[tuple[bytes, bytes]] = (),
    functions: Iterable[bytes] = (),
    data: bool = True,
    compressed: bool = True,
    checksum: bool = True,
    usage: bool = False,
    chunk_bytes: int = CHUNK_BYTES,
    progress: Progress | None = None,
) -> Iterator[bytes]:
    """Yield the pieces of a file, each about `chunk_bytes` or one value large.

    `functions` are sources of libraries. Without `data` the databases are left out. With `usage` every key is written
    with its idle time (seconds), or its frequency where the keyspace counts that: what an LRU or LFU policy needs.
    `progress` is told, before every piece, how many keys there are up to its end.
    """
    crc = 0
    parts = [b"REDIS%04d" % RDB_VERSION]
    parts += [b"%c%b%b" % (AUX, string(name), string(value)) for name, value in aux]
    parts += [b"%c%b" % (FUNCTION2, string(code, compressed)) for code in functions]
    progress = progress or Progress()
    for piece in _pieces(space.databases if data else (), compressed, usage, parts, chunk_bytes, progress):
        if checksum:
            crc = crc64(piece, crc)
        yield piece
    yield crc.to_bytes(8, "little")


def _pieces(
    databases: Iterable[Database],
    compressed: bool,
    usage: bool,
    parts: list[bytes],
    chunk_bytes: int,
    progress: Progress,
) -> Iterator[bytes]:
    pending = sum(map(len, parts))
    others = len(parts)  # parts that are not keys
    add = parts.append
    for db in databases:
        if not db.order:
            continue
        sizes = length(len(db.order)) + length(db.expiring)
        add(b"%c%b%c%b" % (SELECTDB, length(db.index), RESIZEDB, sizes))
        others += 1
        for entry in db.order:
            value = entry.value
            record = b"%c%b%b" % (type_of(value), string(entry.key, compressed), save(value, compressed))
            if entry.expire is not None or usage:
                record = _attributes(db, entry.expire, entry.access, usage) + record
            add(record)
            pending += len(record)
            if pending >= chunk_bytes:
                progress.keys += len(parts) - others
                yield b"".join(parts)
                parts.clear()
                pending = others = 0
    progress.keys += len(parts) - others
    add(b"%c" % EOF)
    yield b"".join(parts)


def _attributes(db: Database, expire: int | None, access: int, usage: bool) -> bytes:
    written = b"" if expire is None else b"%c%b" % (EXPIRETIME_MS, MILLISECONDS.pack(expire))
    if usage:
        space = db.space
        if space.touch == TOUCH_LFU:
            written += b"%c%c" % (FREQ, db.lfu_decayed(access))
        else:
            written += b"%c%b" % (IDLE, length(max(0, space.lru_clock - access)))
    return written
