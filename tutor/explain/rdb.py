"""Every byte of an RDB file, with its meaning: what a lesson shows, and `redis-tutor explain` prints.

`explain` yields spans that follow each other without gap or overlap from the first byte to the last, whatever the
bytes are: what cannot be understood is one last span that says why. A compressed string is one span too, and what it
stands for is in its `inside`, with offsets in the decompressed bytes.

It reads the format again instead of watching the loader, which has no time for explanations; a test holds the two
against each other.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from engine.persistence.rdb import layouts, objects
from engine.persistence.rdb.compression import crc64
from engine.persistence.rdb.errors import CorruptRdbError, TruncatedRdbError
from engine.persistence.rdb.loader import (
    AUX,
    EOF,
    EXPIRETIME,
    EXPIRETIME_MS,
    FREQ,
    FUNCTION2,
    IDLE,
    MODULE_AUX,
    RESIZEDB,
    SELECTDB,
)
from engine.persistence.rdb.objects import module_name
from engine.persistence.rdb.primitives import (
    DOUBLE,
    LZF,
    MILLISECONDS,
    read_double,
    read_length,
    read_raw,
    read_string,
    read_text_double,
)


class Span(NamedTuple):
    """Some bytes that belong together."""

    offset: int
    data: bytes
    field: str  # what it is: "key", "length", "checksum" …
    meaning: str  # how to read it, in a few words
    value: str  # what it says
    place: str = ""  # what it is part of: "db 0 · user:1 · hash"
    inside: tuple["Span", ...] = ()  # of a compressed string: what it says when decompressed


TYPE_NAMES = {
    objects.STRING: "string",
    objects.LIST: "list: elements one by one",
    objects.SET: "set: members one by one",
    objects.ZSET: "sorted set: members, scores as text",
    objects.HASH: "hash: fields and values one by one",
    objects.ZSET_2: "sorted set: members, scores as doubles",
    objects.MODULE_PRE_GA: "a module's value (old)",
    objects.MODULE_2: "a module's value",
    objects.HASH_ZIPMAP: "hash: a zipmap",
    objects.LIST_ZIPLIST: "list: a ziplist",
    objects.SET_INTSET: "set: an intset",
    objects.ZSET_ZIPLIST: "sorted set: a ziplist",
    objects.HASH_ZIPLIST: "hash: a ziplist",
    objects.LIST_QUICKLIST: "list: nodes that are ziplists",
    objects.STREAM_LISTPACKS: "stream (version 1)",
    objects.HASH_LISTPACK: "hash: a listpack",
    objects.ZSET_LISTPACK: "sorted set: a listpack",
    objects.LIST_QUICKLIST_2: "list: nodes that are listpacks or one big element",
    objects.STREAM_LISTPACKS_2: "stream (version 2)",
    objects.SET_LISTPACK: "set: a listpack",
    objects.STREAM_LISTPACKS_3: "stream (version 3)",
}

_SHOWN = 64


def show(data: bytes) -> str:
    """Return bytes as redis-cli shows them, shortened if they are many."""
    text = "".join(
        _ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in data[:_SHOWN]
    )
    return f'"{text}"' if len(data) <= _SHOWN else f'"{text}"… ({len(data)} bytes)'


_ESCAPES = {34: '\\"', 92: "\\\\", 10: "\\n", 13: "\\r", 9: "\\t", 7: "\\a", 8: "\\b"}


def _when(ms: int) -> str:
    try:
        return f"{ms} ({datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC)"
    except (ValueError, OverflowError, OSError):
        return str(ms)


def _id(raw: bytes) -> str:
    return f"{int.from_bytes(raw[:8], 'big')}-{int.from_bytes(raw[8:16], 'big')}"


Block = Callable[["_RdbWalk", bytes, int], None]


class _RdbWalk:
    """Goes through the bytes and notes spans. `base` is the offset of the first byte."""

    def __init__(self, data: bytes, base: int = 0, place: str = "") -> None:
        self.data = data
        self.base = base
        self.place = place
        self.p = 0
        self.spans: list[Span] = []

    def note(self, size: int, field: str, meaning: str, value: str, inside: tuple[Span, ...] = ()) -> bytes:
        """Note the next `size` bytes."""
        raw, end = read_raw(self.data, self.p, size)
        self.spans.append(Span(self.base + self.p, raw, field, meaning, value, self.place, inside))
        self.p = end
        return raw

    def length(self, field: str, meaning: str = "") -> int:
        """Note a length."""
        n, end = read_length(self.data, self.p)
        form = {1: "6-bit number", 2: "14-bit number", 5: "32-bit number", 9: "64-bit number"}[end - self.p]
        self.note(end - self.p, field, f"{meaning}, {form}" if meaning else form, str(n))
        return n

    def string(self, field: str, meaning: str = "", block: Block | None = None) -> bytes:
        """Note a string in any form; `block` notes what it contains."""
        text, end = read_string(self.data, self.p)
        first = self.data[self.p]
        if first < 0xC0:
            self.length(f"{field}: length", "bytes that follow")
            if block is not None:
                inner = _RdbWalk(text, self.base + self.p, self.place)
                block(inner, text, len(text))
                self.spans += inner.spans
                self.p = end
            elif text:
                self.note(len(text), field, meaning, show(text))
        elif first != LZF:
            bits = 8 * (end - self.p - 1)
            self.note(1, f"{field}: form", "no length: the string is the text of a number", f"{bits}-bit integer")
            self.note(end - self.p, field, meaning or "integer, little-endian", text.decode())
        else:
            self.note(1, f"{field}: form", "no length: the string is compressed", "LZF")
            self.length(f"{field}: packed", "compressed bytes")
            self.length(f"{field}: size", "bytes when decompressed")
            inside: tuple[Span, ...] = ()
            if block is not None:
                inner = _RdbWalk(text, 0, self.place)
                block(inner, text, len(text))
                inside = tuple(inner.spans)
            self.note(end - self.p, field, meaning or "compressed", show(text), inside)
        return text

    def milliseconds(self, field: str, meaning: str) -> int:
        """Note a time."""
        raw, _ = read_raw(self.data, self.p, 8)
        value: int = MILLISECONDS.unpack(raw)[0]
        self.note(8, field, f"{meaning}, Unix time in ms, little-endian", _when(value))
        return value


# --- blocks -----------------------------------------------------------------------------------------------------

_LISTPACK_FORMS = ((0x80, "7-bit number"), (0xC0, "short string"), (0xE0, "13-bit integer"), (0xF0, "string"))


def _listpack_form(first: int) -> str:
    for limit, form in _LISTPACK_FORMS:
        if first < limit:
            return form
    return {0xF0: "long string", 0xF1: "16-bit integer", 0xF2: "24-bit integer", 0xF3: "32-bit integer"}.get(
        first, "64-bit integer"
    )


def _listpack(names: Callable[[list[bytes]], list[str]]) -> Block:
    """Return what notes a listpack; `names` gives each element's name."""

    def note(walk: _RdbWalk, data: bytes, size: int) -> None:
        offsets: list[int] = []
        layouts.scan_listpack(data, offsets)
        items = layouts.read_listpack(data)
        walk.note(4, "listpack: bytes", "size of the whole listpack, little-endian", str(size))
        walk.note(2, "listpack: count", "elements, little-endian (65535: unknown)", str(len(items)))
        ends = [*offsets[1:], size - 1]
        for name, item, start, end in zip(names(items), items, offsets, ends):
            width = len(layouts.listpack_back(end - start))
            walk.note(end - start - width, name, _listpack_form(data[start]), show(item))
            walk.note(width, "backlen", "size of this element, for traversing backwards", str(end - start - width))
        walk.note(1, "listpack: end", "always", "FF")

    return note


def _numbered(name: str) -> Callable[[list[bytes]], list[str]]:
    return lambda items: [name] * len(items)


def _paired(first: str, second: str) -> Callable[[list[bytes]], list[str]]:
    return lambda items: [second if i & 1 else first for i in range(len(items))]


def _stream_names(items: list[bytes]) -> list[str]:
    """Name the elements of a stream's node: a master entry, then entries that refer to it."""
    names = ["live entries", "deleted entries", "number of fields"]
    try:
        fields = min(int(items[2]), len(items))
        names += ["field name"] * fields + ["end of the master entry"]
        while len(names) < len(items):
            flags = int(items[len(names)])
            names += ["flags", "ID: ms after the master's", "ID: sequence after the master's"]
            if flags & 2:
                names += ["value"] * fields
            else:
                own = min(int(items[len(names)]), len(items))
                names += ["number of fields", *["field name", "value"] * own]
            names.append("elements of this entry, for traversing backwards")
    except (ValueError, IndexError):
        pass
    return [*names, *["element"] * len(items)][: len(items)]


def _ziplist(names: Callable[[list[bytes]], list[str]]) -> Block:
    def note(walk: _RdbWalk, data: bytes, size: int) -> None:
        offsets: list[int] = []
        items = layouts.read_ziplist(data, offsets)
        walk.note(4, "ziplist: bytes", "size of the whole ziplist, little-endian", str(size))
        walk.note(4, "ziplist: tail", "offset of the last element", str(int.from_bytes(data[4:8], "little")))
        walk.note(2, "ziplist: count", "elements, little-endian (65535: unknown)", str(len(items)))
        ends = [*offsets[1:], size - 1]
        for name, item, start, end in zip(names(items), items, offsets, ends):
            width = 5 if data[start] == 254 else 1
            before = int.from_bytes(data[start + 1 : start + 5], "little") if width == 5 else data[start]
            walk.note(width, "prevlen", "size of the previous element, for traversing backwards", str(before))
            walk.note(end - start - width, name, "type and length, data", show(item))
        walk.note(1, "ziplist: end", "always", "FF")

    return note


def _zipmap(walk: _RdbWalk, data: bytes, size: int) -> None:
    items = layouts.read_zipmap(data)
    walk.note(1, "zipmap: count", "fields (254: unknown)", str(data[0]))
    for i, item in enumerate(items):
        width = 1 if data[walk.p] < 254 else 5
        walk.note(width, "length", "bytes that follow", str(len(item)))
        spare = 0
        if i & 1:
            spare = data[walk.p]
            walk.note(1, "spare", "unused bytes after the value", str(spare))
        walk.note(len(item) + spare, "value" if i & 1 else "field", "", show(item))
    walk.note(1, "zipmap: end", "always", "FF")


def _intset(walk: _RdbWalk, data: bytes, size: int) -> None:
    values, _ = layouts.read_intset(data)
    width = data[0]
    walk.note(4, "intset: width", "bytes of each integer, little-endian", str(width))
    walk.note(4, "intset: count", "members, little-endian", str(len(values)))
    for value in values:
        walk.note(width, "member", f"{8 * width}-bit integer, little-endian, in ascending order", str(value))


# --- values -----------------------------------------------------------------------------------------------------


def _strings(walk: _RdbWalk, count_name: str, *names: str) -> None:
    for _ in range(walk.length(count_name)):
        for name in names:
            walk.string(name)


def _zset(walk: _RdbWalk, kind: int) -> None:
    for _ in range(walk.length("members")):
        walk.string("member")
        if kind == objects.ZSET_2:
            score, _ = read_double(walk.data, walk.p)
            walk.note(DOUBLE.size, "score", "double, little-endian", repr(score))
        else:
            score, end = read_text_double(walk.data, walk.p)
            walk.note(end - walk.p, "score", "length and text (253 nan, 254 inf, 255 -inf)", repr(score))


def _quicklist(walk: _RdbWalk, kind: int) -> None:
    for _ in range(walk.length("nodes")):
        if kind == objects.LIST_QUICKLIST:
            walk.string("node", "a ziplist", _ziplist(_numbered("element")))
            continue
        container = walk.length("node: kind", "1: one big element, 2: a listpack")
        if container == objects.PLAIN:
            walk.string("element")
        else:
            walk.string("node", "a listpack", _listpack(_numbered("element")))


def _stream(walk: _RdbWalk, kind: int) -> None:
    for _ in range(walk.length("nodes", "listpacks that hold the entries")):
        key, _ = read_string(walk.data, walk.p)
        walk.string("node: master ID", f"128 bits, big-endian: {_id(key)}")
        walk.string("node", "a listpack of entries", _listpack(_stream_names))
    walk.length("entries", "length of the stream")
    for name in ("last ID", "first ID", "highest deleted ID") if kind != objects.STREAM_LISTPACKS else ("last ID",):
        walk.length(f"{name}: ms")
        walk.length(f"{name}: sequence")
    if kind != objects.STREAM_LISTPACKS:
        walk.length("entries ever added")
    place = walk.place
    for _ in range(walk.length("groups", "consumer groups")):
        group = walk.string("group", "name")
        walk.place = f"{place} · group {show(group)[1:-1]}"
        walk.length("last delivered ID: ms")
        walk.length("last delivered ID: sequence")
        if kind != objects.STREAM_LISTPACKS:
            walk.length("entries read")
        for _ in range(walk.length("pending", "entries delivered and not acknowledged")):
            raw, _ = read_raw(walk.data, walk.p, 16)
            walk.note(16, "pending ID", "128 bits, big-endian", _id(raw))
            walk.milliseconds("delivered at", "last delivery")
            walk.length("deliveries", "times")
        for _ in range(walk.length("consumers")):
            walk.string("consumer", "name")
            walk.milliseconds("seen at", "last attempt")
            if kind == objects.STREAM_LISTPACKS_3:
                walk.milliseconds("active at", "last success")
            for _ in range(walk.length("consumer's pending", "IDs")):
                raw, _ = read_raw(walk.data, walk.p, 16)
                walk.note(16, "pending ID", "128 bits, big-endian", _id(raw))
        walk.place = place


def _module(walk: _RdbWalk, kind: int) -> None:
    identity, _ = read_length(walk.data, walk.p)
    walk.length("module", f"type {module_name(identity).decode()!r}, version {identity & 1023}")
    _module_values(walk)


def _module_values(walk: _RdbWalk) -> None:
    while True:
        opcode = walk.length("module: opcode", "0 end, 1 and 2 integers, 3 float, 4 double, 5 string")
        if opcode == 0:
            return
        if opcode in (1, 2):
            walk.length("module: integer")
        elif opcode in (3, 4):
            walk.note(4 * (opcode - 2), "module: number", "floating point, little-endian", "")
        elif opcode == 5:
            walk.string("module: string")
        else:
            raise CorruptRdbError(f"Unknown module opcode {opcode}", walk.p)


_VALUES: dict[int, Callable[[_RdbWalk, int], object]] = {
    objects.STRING: lambda walk, kind: walk.string("value"),
    objects.LIST: lambda walk, kind: _strings(walk, "elements", "element"),
    objects.SET: lambda walk, kind: _strings(walk, "members", "member"),
    objects.HASH: lambda walk, kind: _strings(walk, "fields", "field", "value"),
    objects.ZSET: _zset,
    objects.ZSET_2: _zset,
    objects.MODULE_2: _module,
    objects.HASH_ZIPMAP: lambda walk, kind: walk.string("hash", "a zipmap", _zipmap),
    objects.LIST_ZIPLIST: lambda walk, kind: walk.string("list", "a ziplist", _ziplist(_numbered("element"))),
    objects.SET_INTSET: lambda walk, kind: walk.string("set", "an intset", _intset),
    objects.ZSET_ZIPLIST: lambda walk, kind: walk.string("zset", "a ziplist", _ziplist(_paired("member", "score"))),
    objects.HASH_ZIPLIST: lambda walk, kind: walk.string("hash", "a ziplist", _ziplist(_paired("field", "value"))),
    objects.LIST_QUICKLIST: _quicklist,
    objects.LIST_QUICKLIST_2: _quicklist,
    objects.HASH_LISTPACK: lambda walk, kind: walk.string("hash", "a listpack", _listpack(_paired("field", "value"))),
    objects.ZSET_LISTPACK: lambda walk, kind: walk.string(
        "zset", "a listpack", _listpack(_paired("member", "score"))
    ),
    objects.SET_LISTPACK: lambda walk, kind: walk.string("set", "a listpack", _listpack(_numbered("member"))),
    objects.STREAM_LISTPACKS: _stream,
    objects.STREAM_LISTPACKS_2: _stream,
    objects.STREAM_LISTPACKS_3: _stream,
}


# --- files ------------------------------------------------------------------------------------------------------

_AUX_MEANINGS = {
    b"redis-ver": "the version that wrote the file",
    b"redis-bits": "32 or 64: the word size of the server that wrote it",
    b"ctime": "when the file was written, Unix time in seconds",
    b"used-mem": "bytes of memory that the server used",
    b"repl-stream-db": "the database selected in the replication stream",
    b"repl-id": "the replication ID",
    b"repl-offset": "the replication offset",
    b"aof-base": "1: this file is the base of an append-only file",
    b"aof-preamble": "1: an append-only file follows",
}


def _auxiliary(walk: _RdbWalk) -> None:
    walk.note(1, "opcode", "an auxiliary field: name and value", "AUX")
    name = walk.string("aux: name")
    walk.string("aux: value", _AUX_MEANINGS.get(name, ""))


def _expiry(walk: _RdbWalk, kind: int) -> None:
    if kind == EXPIRETIME_MS:
        walk.note(1, "opcode", "the next key expires", "EXPIRETIME_MS")
        walk.milliseconds("expires at", "expiration time")
        return
    walk.note(1, "opcode", "the next key expires (old form)", "EXPIRETIME")
    raw, _ = read_raw(walk.data, walk.p, 4)
    seconds = int.from_bytes(raw, "little", signed=True)
    walk.note(4, "expires at", "Unix time in seconds, little-endian", _when(seconds * 1000))


def _select(walk: _RdbWalk) -> int:
    walk.note(1, "opcode", "keys of another database follow", "SELECTDB")
    return walk.length("database", "its number")


def _sizes(walk: _RdbWalk) -> None:
    walk.note(1, "opcode", "the number of keys, to size the hash tables", "RESIZEDB")
    walk.length("keys")
    walk.length("keys with an expiration")


def _module_aux(walk: _RdbWalk) -> None:
    walk.note(1, "opcode", "data of a module", "MODULE_AUX")
    identity, _ = read_length(walk.data, walk.p)
    walk.length("module", f"type {module_name(identity).decode()!r}")
    walk.length("module: opcode", "2: an integer follows")
    walk.length("module: when", "1: before, 2: after the keys")
    _module_values(walk)


def explain(data: bytes, base: int = 0) -> Iterator[Span]:
    """Yield the spans of an RDB file; they cover every byte. What follows its end is one span, `"after the end"`.

    `base` is added to offsets: where the file begins in a larger one.
    """
    walk = _RdbWalk(data, base)
    try:
        yield from _file(walk)
    except CorruptRdbError as error:
        yield from walk.spans
        short = isinstance(error, TruncatedRdbError)
        what = "ends in the middle" if short else f"damaged: {error.reason}"
        start = walk.spans[-1].offset + len(walk.spans[-1].data) - base if walk.spans else walk.p
        if data[start:]:
            yield Span(base + start, data[start:], "not readable", what, show(data[start:]), walk.place)


def _file(walk: _RdbWalk) -> Iterator[Span]:
    data = walk.data
    magic, _ = read_raw(data, 0, 9)
    if magic[:5] != b"REDIS" or not magic[5:].isdigit():
        raise CorruptRdbError("this is not an RDB file")
    walk.note(5, "magic", "every RDB file begins with it", "REDIS")
    version = int(walk.note(4, "version", "of the format, four digits", magic[5:].decode()))
    db = 0
    while True:
        yield from walk.spans
        walk.spans.clear()
        raw, _ = read_raw(data, walk.p, 1)
        kind = raw[0]
        if kind == AUX:
            _auxiliary(walk)
        elif kind == SELECTDB:
            db = _select(walk)
            walk.place = f"db {db}"
        elif kind == RESIZEDB:
            _sizes(walk)
        elif kind in (EXPIRETIME_MS, EXPIRETIME):
            _expiry(walk, kind)
        elif kind == IDLE:
            walk.note(1, "opcode", "how long the next key has not been used", "IDLE")
            walk.length("idle", "seconds")
        elif kind == FREQ:
            walk.note(1, "opcode", "how often the next key is used", "FREQ")
            counter, _ = read_raw(data, walk.p, 1)
            walk.note(1, "frequency", "logarithmic counter, 0 to 255", str(counter[0]))
        elif kind == FUNCTION2:
            walk.note(1, "opcode", "a library of functions", "FUNCTION2")
            walk.string("function library", "its source")
        elif kind == MODULE_AUX:
            _module_aux(walk)
        elif kind == EOF:
            break
        else:
            _key(walk, kind, db)
    walk.place = ""
    checked = walk.p + 1
    walk.note(1, "opcode", "the end", "EOF")
    if version >= 5:
        raw, _ = read_raw(data, walk.p, 8)
        stored = int.from_bytes(raw, "little")
        right = crc64(data[:checked])
        verdict = "not used" if not stored else "correct" if stored == right else f"wrong, expected {right:016x}"
        walk.note(8, "checksum", f"CRC-64 of all previous bytes, little-endian: {verdict}", f"{stored:016x}")
    if walk.p < len(data):
        walk.note(len(data) - walk.p, "after the end", "not part of the RDB file", show(data[walk.p :]))
    yield from walk.spans
    walk.spans.clear()


def _key(walk: _RdbWalk, kind: int, db: int) -> None:
    """Note a key with its value."""
    name = TYPE_NAMES.get(kind)
    values = _VALUES.get(kind)
    if name is None or values is None:
        raise CorruptRdbError(f"unknown type or opcode {kind}", walk.p)
    key, _ = read_string(walk.data, walk.p + 1)
    walk.place = f"db {db} · {show(key)[1:-1]}"
    walk.note(1, "type", "of the value", name)
    walk.string("key")
    values(walk, kind)
    walk.place = f"db {db}"
