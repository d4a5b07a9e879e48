"""Writing an RDB file, in pieces.

The keyspace must not change while iterating over `write`: the live server writes in a forked child, the
simulated one from a copy. The version is 11, as in Redis 7.2 (see `engine.persistence.rdb.loader` for the format).
"""

from collections.abc import Iterable, Iterator

from engine.keyspace.databases import TOUCH_LFU, Database, Keyspace
from engine.persistence.rdb.compression import crc64
from engine.persistence.rdb.dump import RDB_VERSION
from engine.persistence.rdb.loader import AUX, EOF, EXPIRETIME_MS, FREQ, FUNCTION2, IDLE, RESIZEDB, SELECTDB
from engine.persistence.rdb.objects import save, type_of
from engine.persistence.rdb.primitives import MILLISECONDS, length, string

CHUNK_BYTES = 1 << 16


class SaveProgress:
    """The progress of a snapshot being written."""

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

    `ctime` in seconds; `replication`: (selected database, replication ID, offset), written by a master.
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
    progress: SaveProgress | None = None,
) -> Iterator[bytes]:
    """Yield the pieces of a file, each of about `chunk_bytes` or as large as one value.

    `functions` are sources of libraries. Without `data` the databases are omitted. With `usage` every key is written
    with its idle time (seconds) or LFU frequency, as needed by an LRU or LFU policy.
    `progress` receives the number of keys up to the end of each piece, before the piece is yielded.
    """
    crc = 0
    parts = [b"REDIS%04d" % RDB_VERSION]
    parts += [b"%c%b%b" % (AUX, string(name), string(value)) for name, value in aux]
    parts += [b"%c%b" % (FUNCTION2, string(code, compressed)) for code in functions]
    progress = progress or SaveProgress()
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
    progress: SaveProgress,
) -> Iterator[bytes]:
    pending = sum(map(len, parts))
    others = len(parts)  # number of parts that are not keys
    add = parts.append
    for db in databases:
        if not len(db):
            continue
        sizes = length(len(db)) + length(len(db.expires))
        add(b"%c%b%c%b" % (SELECTDB, length(db.index), RESIZEDB, sizes))
        others += 1
        expires = db.expires
        for key, value in db.items():
            record = b"%c%b%b" % (type_of(value), string(key, compressed), save(value, compressed))
            if usage or (expires and key in expires):
                record = _attributes(db, key, usage) + record
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


def _attributes(db: Database, key: bytes, usage: bool) -> bytes:
    expire = db.expires.get(key)
    written = b"" if expire is None else b"%c%b" % (EXPIRETIME_MS, MILLISECONDS.pack(expire))
    if usage:
        space, access = db.space, db.access(key)
        if space.touch == TOUCH_LFU:
            written += b"%c%c" % (FREQ, db.lfu_decayed(access))
        else:
            written += b"%c%b" % (IDLE, length(max(0, space.lru_clock - access)))
    return written
