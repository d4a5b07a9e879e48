"""The data set as commands: what a rewrite writes without an RDB base (`aof-use-rdb-preamble no`).

Large collections are split into commands of 64 elements each, so no single command blocks a loading
server for long. Keys are in the order of the database, and each is followed by its time to live.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from engine.keyspace.databases import Keyspace
from engine.persistence.rdb.stream_values import record_of
from engine.persistence.rdb.writer import SaveProgress
from engine.protocol.resp import Argv, encode_command
from engine.values.hash import HashValue
from engine.values.list import ListValue
from engine.values.set import SetValue
from engine.values.stream import StreamValue, format_id
from engine.values.zset import ZSetValue

ITEMS_PER_COMMAND = 64


def rewrite(
    space: Keyspace,
    functions: Iterable[bytes] = (),
    timestamp_s: int | None = None,
    chunk_bytes: int = 1 << 16,
    progress: SaveProgress | None = None,
) -> Iterator[bytes]:
    """Yield the pieces of an append-only file that creates this data set, which must not change meanwhile.

    `timestamp_s`: the time to write at the beginning (`aof-timestamp-enabled`). `progress` receives the number of
    keys up to the end of each piece.
    """
    parts: list[bytes] = []
    if timestamp_s is not None:
        parts.append(timestamp(timestamp_s))
    parts += [encode_command([b"FUNCTION", b"LOAD", code]) for code in functions]
    pending = 0
    progress = progress or SaveProgress()
    for db in space.databases:
        if not len(db):
            continue
        parts.append(encode_command([b"SELECT", b"%d" % db.index]))
        for key, value in db.items():
            for argv in commands_of(key, value):
                data = encode_command(argv)
                parts.append(data)
                pending += len(data)
            until = db.expires.get(key)
            if until is not None:
                parts.append(encode_command([b"PEXPIREAT", key, b"%d" % until]))
            progress.keys += 1
            if pending >= chunk_bytes:
                yield b"".join(parts)
                parts.clear()
                pending = 0
    yield b"".join(parts)


def timestamp(seconds: int) -> bytes:
    """Return the annotation with the time of the commands after it."""
    return b"#TS:%d\r\n" % seconds


def commands_of(key: bytes, value: Any) -> Iterator[Argv]:
    """Yield the commands that create a key."""
    if isinstance(value, int):
        yield [b"SET", key, b"%d" % value]
    elif isinstance(value, bytes | bytearray):
        yield [b"SET", key, bytes(value)]
    elif isinstance(value, ListValue):
        yield from _spread([b"RPUSH", key], value, 1)
    elif isinstance(value, SetValue):
        yield from _spread([b"SADD", key], value.to_list(), 1)
    elif isinstance(value, ZSetValue):
        pairs = ((b"%.17g" % score, member) for member, score in value.items())
        yield from _spread([b"ZADD", key], chain.from_iterable(pairs), 2)
    elif isinstance(value, HashValue):
        yield from _spread([b"HMSET", key], chain.from_iterable(value.items()), 2)
    elif isinstance(value, StreamValue):
        yield from _stream(key, value)
    else:
        raise TypeError(f"no commands make a {type(value).__name__}")


def _spread(head: Argv, items: Iterable[bytes], width: int) -> Iterator[Argv]:
    left = iter(items)
    while batch := list(islice(left, ITEMS_PER_COMMAND * width)):
        yield [*head, *batch]


def _stream(key: bytes, value: StreamValue) -> Iterator[Argv]:
    record = record_of(value)
    last_id = format_id(record.last_id)
    live = [entry for node in record.nodes for entry in node.entries if not entry.deleted]
    for entry in live:
        yield [b"XADD", key, format_id(entry.id), *entry.pairs]
    if not live:
        # No command creates an empty stream: an entry is added and trimmed in one command.
        id = last_id if record.last_id != (0, 0) else b"0-1"
        yield [b"XADD", key, b"MAXLEN", b"0", id, b"x", b"y"]
    counters = [b"ENTRIESADDED", b"%d" % record.entries_added, b"MAXDELETEDID", format_id(record.max_deleted_id)]
    yield [b"XSETID", key, last_id, *counters]
    for group in record.groups:
        read = b"%d" % group.entries_read
        yield [b"XGROUP", b"CREATE", key, group.name, format_id(group.last_id), b"ENTRIESREAD", read]
        times = {pending.id: pending for pending in group.pending}
        for consumer in group.consumers:
            yield [b"XGROUP", b"CREATECONSUMER", key, group.name, consumer.name]
            for id_ in consumer.pending:
                pending = times[id_]
                claim = [b"TIME", b"%d" % pending.delivered_ms, b"RETRYCOUNT", b"%d" % pending.deliveries]
                yield [
                    b"XCLAIM", key, group.name, consumer.name, b"0", format_id(id_), *claim, b"JUSTID", b"FORCE"
                ]  # fmt: skip
