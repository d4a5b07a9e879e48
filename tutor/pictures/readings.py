"""What a picture is drawn from: a key as it is at one moment, read without a trace.

A reading is bounded, however large the key is: it holds the first and the last elements, those that the last command
named, and the counts of all. It takes at most three rounds of looks, and each look asks for at most `WINDOW` elements
or `BYTES` bytes (a HyperLogLog is read whole: it has 12 kB at most). A key that Redis keeps in one small block, such
as a listpack, is read whole by the SCAN commands.

`before` is the reading that the next one is compared with; from it a reading takes over what no command tells, namely
how long a time to live was when it was set.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.protocol.errors import ReplyError

Argv = Sequence[bytes]
Look = tuple[Sequence[bytes], int]  # a command, and the database in which it looks
Inspections = Callable[[Sequence[Look]], list[Any]]  # several looks at one moment -> their replies

WINDOW = 12  # elements of each end
BYTES = 64  # of a string, and so many around what a command named
NAMED = 8  # elements that a command named and that are looked up
GROUPS = 4  # of a stream
HLL_BYTES = 16 + 12288
COUNTED_BYTES = 1 << 16  # strings up to so long have their bits counted


@dataclass(frozen=True, slots=True)
class StringExcerpt:
    """Bytes from 0 on, and those around the place that the last command named."""

    head: bytes
    near_at: int = 0
    near: bytes = b""
    bits_set: int | None = None
    hll: bytes = b""  # all bytes of a HyperLogLog


@dataclass(frozen=True, slots=True)
class ListExcerpt:
    """Elements from both ends and around the index that the last command named; they may overlap."""

    head: tuple[bytes, ...]
    tail: tuple[bytes, ...] = ()
    near_at: int = 0
    near: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class HashExcerpt:
    """Some fields with values, in the order in which Redis gives them; `named` were looked up (None: no field)."""

    fields: tuple[tuple[bytes, bytes], ...]
    named: tuple[tuple[bytes, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class SetExcerpt:
    """Some members; `named` were looked up (False: no member)."""

    members: tuple[bytes, ...]
    named: tuple[tuple[bytes, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Ranked:
    """A member of a sorted set."""

    rank: int
    member: bytes
    score: float


@dataclass(frozen=True, slots=True)
class SortedSetExcerpt:
    """Members by rank: the first, the last, and those around what the last command named."""

    rows: tuple[Ranked, ...]
    sought: tuple[tuple[bytes, int | None], ...] = ()  # members that were looked up; their rank, None: no member
    positions: tuple[tuple[bytes, float, float], ...] = ()  # longitude, latitude; of a geo index

    def find(self, member: bytes) -> Ranked | None:
        """Return the place of a member, if it was read."""
        return next((each for each in self.rows if each.member == member), None)


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """An entry of a stream."""

    id: bytes
    fields: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """An entry that was delivered and not acknowledged."""

    id: bytes
    consumer: bytes
    idle_ms: int = field(compare=False)
    deliveries: int


@dataclass(frozen=True, slots=True)
class ConsumerGroup:
    """A consumer group."""

    name: bytes
    last_id: bytes
    pending_count: int
    lag: int | None
    consumers: tuple[tuple[bytes, int], ...] = ()  # name, how many are pending
    pending: tuple[PendingEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamExcerpt:
    """The last entries, and the groups."""

    entries: tuple[StreamEntry, ...]
    added: int = 0  # ever
    last_id: bytes = b"0-0"
    first_id: bytes = b""
    groups: tuple[ConsumerGroup, ...] = ()
    groups_count: int = 0


Value = StringExcerpt | ListExcerpt | HashExcerpt | SetExcerpt | SortedSetExcerpt | StreamExcerpt


@dataclass(frozen=True, slots=True)
class Key:
    """A key at one moment. `kind` is `none` when it is not there."""

    db: int
    name: bytes
    kind: str = "none"
    encoding: str = ""
    size: int = 0  # bytes of a string, elements of everything else
    ttl_ms: int = -1
    expires_at_ms: int = -1
    ttl_full_ms: int = -1  # what the time to live was when it was set, as far as it was seen
    value: Value | None = None

    @property
    def exists(self) -> bool:
        """Whether the key is there."""
        return self.kind != "none"


# --- reading -----------------------------------------------------------------------------------------------------


def read_key(inspect_all: Inspections, db: int, name: bytes, cause: Argv = (), before: Key | None = None) -> Key:
    """Read a key, and in it what the command `cause` names."""
    kind, encoding, ttl, at = inspect_all(
        [
            (argv, db)
            for argv in ((b"TYPE", name), (b"OBJECT", b"ENCODING", name), (b"PTTL", name), (b"PEXPIRETIME", name))
        ]
    )
    key = Key(db, name, text(kind) or "none", text(encoding), ttl_ms=_whole(ttl, -1), expires_at_ms=_whole(at, -1))
    if not key.exists or key.kind not in READERS:
        return key if key.exists else Key(db, name)
    known = before is not None and before.expires_at_ms == key.expires_at_ms and before.ttl_full_ms > 0
    full = before.ttl_full_ms if known and before is not None else key.ttl_ms
    earlier = before.value if before is not None else None
    geo = isinstance(earlier, SortedSetExcerpt) and bool(earlier.positions)
    return READERS[key.kind](
        _Looks(inspect_all, db, name, geo), replace(key, ttl_full_ms=max(full, key.ttl_ms)), cause
    )


class _Looks:
    """Looks at one key."""

    def __init__(self, inspect_all: Inspections, db: int, name: bytes, geo: bool) -> None:
        self.inspect_all = inspect_all
        self.db = db
        self.name = name
        self.geo = geo  # a sorted set has been used for places

    def __call__(self, *requests: Sequence[bytes]) -> list[Any]:
        """Look several times at once; the key's name goes behind each command's, or its subcommand's."""
        wanted: list[Look] = []
        for words in requests:
            name = 2 if words[0] == b"XINFO" else 1
            wanted.append(((*words[:name], self.name, *words[name:]), self.db))
        return self.inspect_all(wanted) if wanted else []


def text(reply: Any) -> str:
    """Return a reply as text; nothing for an error or a null."""
    if isinstance(reply, ReplyError) or reply is None:
        return ""
    found = getattr(reply, "text", reply)
    return bytes(found).decode(errors="surrogateescape") if isinstance(found, bytes | bytearray) else str(found)


def info(reply: Any) -> dict[str, str]:
    """Return the fields of a reply of INFO."""
    pairs = (each.partition(":") for each in text(reply).splitlines())
    return {name: value for name, colon, value in pairs if colon and not name.startswith("#")}


def is_sentinel(inspect_all: Inspections) -> bool:
    """Return whether a server is a Sentinel."""
    (reply,) = inspect_all([((b"INFO", b"server"), 0)])
    return info(reply).get("redis_mode") == "sentinel"


def _whole(reply: Any, default: int = 0) -> int:
    return reply if isinstance(reply, int) else default


def _bytes(reply: Any) -> bytes:
    return bytes(reply) if isinstance(reply, bytes | bytearray) else b""


def _all(reply: Any) -> list[Any]:
    return list(reply) if isinstance(reply, list | tuple) else []


def _scanned(reply: Any) -> list[bytes]:
    items = reply[1] if isinstance(reply, list) and len(reply) == 2 else []
    if isinstance(items, dict):
        items = [each for pair in items.items() for each in pair]
    return [_bytes(each) for each in items]


def _n(number: int) -> bytes:
    return b"%d" % number


def _index(word: bytes) -> int | None:
    digits = word[1:] if word[:1] in b"-+" else word
    return int(word) if digits.isdigit() and len(digits) < 19 else None


# --- what a command names ----------------------------------------------------------------------------------------

# Where the elements stand in the arguments of a command: from which place on, and one in how many.
_ELEMENTS: dict[bytes, tuple[int, int]] = {
    **dict.fromkeys((b"hset", b"hmset"), (2, 2)),
    **dict.fromkeys((b"hdel", b"hmget", b"sadd", b"srem", b"smismember", b"zrem", b"zmscore", b"geopos"), (2, 1)),
}
_FIRST = (
    b"hget",
    b"hsetnx",
    b"hincrby",
    b"hincrbyfloat",
    b"hexists",
    b"hstrlen",
    b"sismember",
    b"zscore",
    b"zrank",
    b"zrevrank",
)
_ZADD_WORDS = (b"nx", b"xx", b"gt", b"lt", b"ch", b"incr")


def elements(argv: Argv) -> list[bytes]:
    """Return the fields or members that a command names, at most `NAMED`."""
    name = argv[0].lower() if argv else b""
    if name in _ELEMENTS:
        start, step = _ELEMENTS[name]
        return list(argv[start::step][:NAMED])
    if name in _FIRST:
        return list(argv[2:3])
    if name in (b"zincrby", b"smove"):
        return list(argv[3:4])
    if name in (b"zadd", b"geoadd"):
        at = 2
        while at < len(argv) and argv[at].lower() in _ZADD_WORDS:
            at += 1
        step = 2 if name == b"zadd" else 3
        return list(argv[at + step - 1 :: step][:NAMED])
    return []


# --- the types ---------------------------------------------------------------------------------------------------


def _string(looks: _Looks, key: Key, cause: Argv) -> Key:
    name = cause[0].lower() if cause else b""
    near = _index(cause[2]) if len(cause) > 2 and name in (b"setrange", b"setbit", b"getbit", b"getrange") else None
    if near is not None and name in (b"setbit", b"getbit"):
        near //= 8
    length, head = looks((b"STRLEN",), (b"GETRANGE", b"0", _n(BYTES - 1)))
    key = replace(key, size=_whole(length))
    if name == b"append":
        near = key.size - 1
    more: list[Sequence[bytes]] = []
    near_at = 0
    if near is not None and near >= BYTES:
        near_at = max(0, near - BYTES // 2) // 8 * 8
        more.append((b"GETRANGE", _n(near_at), _n(near_at + BYTES - 1)))
    is_hll = _bytes(head)[:4] == b"HYLL" and key.size <= HLL_BYTES
    if is_hll:
        more.append((b"GETRANGE", b"0", _n(HLL_BYTES - 1)))
    if key.size <= COUNTED_BYTES:
        more.append((b"BITCOUNT",))
    found = iter(looks(*more))
    value = StringExcerpt(
        _bytes(head),
        near_at,
        _bytes(next(found)) if near_at else b"",
        None,
        _bytes(next(found)) if is_hll else b"",
    )
    return replace(key, value=replace(value, bits_set=_whole(next(found)) if key.size <= COUNTED_BYTES else None))


def _list(looks: _Looks, key: Key, cause: Argv) -> Key:
    name = cause[0].lower() if cause else b""
    requests: list[Sequence[bytes]] = [(b"LLEN",), (b"LRANGE", b"0", _n(WINDOW - 1)), (b"LRANGE", _n(-WINDOW), b"-1")]
    if name in (b"linsert", b"lrem") and len(cause) > 3:
        requests.append((b"LPOS", cause[3], b"MAXLEN", b"1000"))
    length, head, tail, *place = looks(*requests)
    key = replace(key, size=_whole(length))
    near = _whole(place[0], 0) if place else None
    if name in (b"lset", b"lindex") and len(cause) > 2:
        near = _index(cause[2])
    value = ListExcerpt(tuple(map(_bytes, _all(head))), tuple(map(_bytes, _all(tail))))
    if near is not None:
        near += key.size if near < 0 else 0
        if WINDOW <= near < key.size - WINDOW:
            near_at = near - 2
            (items,) = looks((b"LRANGE", _n(near_at), _n(near_at + 4)))
            value = replace(value, near_at=near_at, near=tuple(map(_bytes, _all(items))))
    return replace(key, value=value)


def _hash(looks: _Looks, key: Key, cause: Argv) -> Key:
    names = elements(cause)
    requests: list[Sequence[bytes]] = [(b"HLEN",), (b"HSCAN", b"0", b"COUNT", _n(2 * WINDOW))]
    if names:
        requests.append((b"HMGET", *names))
    length, scanned, *found = looks(*requests)
    flat = _scanned(scanned)
    values = [None if each is None else _bytes(each) for each in _all(found[0])] if found else []
    pairs = tuple(zip(flat[::2], flat[1::2]))[: 2 * WINDOW]
    return replace(key, size=_whole(length), value=HashExcerpt(pairs, tuple(zip(names, values))))


def _set(looks: _Looks, key: Key, cause: Argv) -> Key:
    names = elements(cause)
    requests: list[Sequence[bytes]] = [(b"SCARD",), (b"SSCAN", b"0", b"COUNT", _n(2 * WINDOW))]
    if names:
        requests.append((b"SMISMEMBER", *names))
    length, scanned, *found = looks(*requests)
    flags = tuple(bool(each) for each in _all(found[0])) if found else ()
    members = tuple(_scanned(scanned))[: 2 * WINDOW]
    return replace(key, size=_whole(length), value=SetExcerpt(members, tuple(zip(names, flags))))


def _sorted_set(looks: _Looks, key: Key, cause: Argv) -> Key:
    geo = (bool(cause) and cause[0].lower().startswith(b"geo")) or looks.geo
    names = elements(cause)
    length, first, last, *ranks = looks(
        (b"ZCARD",),
        (b"ZRANGE", b"0", _n(WINDOW - 1), b"WITHSCORES"),
        (b"ZRANGE", _n(-WINDOW), b"-1", b"WITHSCORES"),
        *((b"ZRANK", each) for each in names),
    )
    size = _whole(length)
    rows = dict([*_rows(first, 0), *_rows(last, max(0, size - WINDOW))])
    far = [rank for rank in ranks if isinstance(rank, int) and rank not in rows]
    found = looks(*((b"ZRANGE", _n(max(0, rank - 1)), _n(rank + 1), b"WITHSCORES") for rank in far))
    for rank, items in zip(far, found):
        rows.update(_rows(items, max(0, rank - 1)))
    value = SortedSetExcerpt(
        tuple(rows[at] for at in sorted(rows)),
        tuple((each, rank if isinstance(rank, int) else None) for each, rank in zip(names, ranks)),
    )
    if geo and value.rows:
        members = [each.member for each in value.rows]
        (places,) = looks((b"GEOPOS", *members))
        value = replace(
            value,
            positions=tuple(
                (member, float(place[0]), float(place[1])) for member, place in zip(members, _all(places)) if place
            ),
        )
    return replace(key, size=size, value=value)


def _rows(reply: Any, start: int) -> Iterator[tuple[int, Ranked]]:
    flat = [each for item in _all(reply) for each in (item if isinstance(item, list | tuple) else (item,))]
    for at, (member, score) in enumerate(zip(flat[::2], flat[1::2]), start):
        yield at, Ranked(at, _bytes(member), float(score))


def _stream(looks: _Looks, key: Key, cause: Argv) -> Key:
    length, facts, groups, last, first = looks(
        (b"XLEN",),
        (b"XINFO", b"STREAM"),
        (b"XINFO", b"GROUPS"),
        (b"XREVRANGE", b"+", b"-", b"COUNT", _n(WINDOW)),
        (b"XRANGE", b"-", b"+", b"COUNT", b"1"),
    )
    told, named = _pairs(facts), [_pairs(each) for each in _all(groups)]
    kept = named[:GROUPS]
    more = looks(
        *((b"XINFO", b"CONSUMERS", _bytes(each.get("name"))) for each in kept),
        *((b"XPENDING", _bytes(each.get("name")), b"-", b"+", _n(WINDOW)) for each in kept),
    )
    value = StreamExcerpt(
        tuple(_entry(each) for each in reversed(_all(last))),
        _whole(told.get("entries-added")),
        _bytes(told.get("last-generated-id")),
        _entry(_all(first)[0]).id if _all(first) else b"",
        tuple(_group(each, consumers, pending) for each, consumers, pending in zip(kept, more, more[len(kept) :])),
        len(named),
    )
    return replace(key, size=_whole(length), value=value)


def _pairs(reply: Any) -> dict[str, Any]:
    if isinstance(reply, dict):
        return {text(name): value for name, value in reply.items()}
    flat = _all(reply)
    return {text(name): value for name, value in zip(flat[::2], flat[1::2])}


def _entry(reply: Any) -> StreamEntry:
    return StreamEntry(_bytes(reply[0]), tuple(map(_bytes, _all(reply[1]))))


def _group(facts: dict[str, Any], consumers: Any, pending: Any) -> ConsumerGroup:
    told = [_pairs(each) for each in _all(consumers)][:WINDOW]
    lag = facts.get("lag")
    return ConsumerGroup(
        _bytes(facts.get("name")),
        _bytes(facts.get("last-delivered-id")),
        _whole(facts.get("pending")),
        lag if isinstance(lag, int) else None,
        tuple((_bytes(each.get("name")), _whole(each.get("pending"))) for each in told),
        tuple(
            PendingEntry(_bytes(each[0]), _bytes(each[1]), _whole(each[2]), _whole(each[3])) for each in _all(pending)
        ),
    )


READERS: dict[str, Callable[[_Looks, Key, Argv], Key]] = {
    "string": _string,
    "list": _list,
    "hash": _hash,
    "set": _set,
    "zset": _sorted_set,
    "stream": _stream,
}
