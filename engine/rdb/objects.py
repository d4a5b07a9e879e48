"""Values to RDB bytes and back.

Every type has had several forms over the years; which one is used says a byte before the key. Version 11 writes one
form for each encoding of a value, so a value comes back in the encoding that it had:

    string  0                                       hash  4 pairs · 16 listpack      (9 zipmap, 13 ziplist)
    list    18 nodes: listpacks, or plain           zset  5 pairs · 17 listpack      (3 text scores, 12 ziplist)
            (1 elements, 10 ziplist, 14 ziplists)   stream 21 (15, 19): engine.rdb.streams
    set     2 members · 11 intset · 20 listpack     module 7 (6): refused, there are no modules here

Loading follows Redis where the limits in the configuration have changed since: collections written as listpacks
become hash tables when they have too many elements, but are not searched for elements that are too long.

Everything that can be wrong with a value is checked while it is read, as Redis does when sanitize-dump-payload asks
for a deep check. Where it does not ask, Redis takes listpacks, intsets and streams of which only the frame is right,
and may fall over them later; with `Limits.lenient` they are taken here too, as far as they make sense.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from engine.arguments import parse_float
from engine.arguments import parse_integer as _parse_integer
from engine.rdb import layouts
from engine.rdb.errors import CorruptRdbError
from engine.rdb.primitives import (
    DOUBLE,
    length,
    read_double,
    read_length,
    read_string,
    read_text_double,
    string,
)
from engine.rdb.stream_values import load_stream, save_stream
from engine.resp import format_double
from engine.values import set as values_set
from engine.values.hash import HashValue
from engine.values.list import ListValue, QuicklistNode
from engine.values.set import SetLimits, SetValue
from engine.values.stream import StreamValue
from engine.values.zset import ZSetValue

STRING = 0
LIST = 1
SET = 2
ZSET = 3
HASH = 4
ZSET_2 = 5
MODULE_PRE_GA = 6
MODULE_2 = 7
HASH_ZIPMAP = 9
LIST_ZIPLIST = 10
SET_INTSET = 11
ZSET_ZIPLIST = 12
HASH_ZIPLIST = 13
LIST_QUICKLIST = 14
STREAM_LISTPACKS = 15
HASH_LISTPACK = 16
ZSET_LISTPACK = 17
LIST_QUICKLIST_2 = 18
STREAM_LISTPACKS_2 = 19
SET_LISTPACK = 20
STREAM_LISTPACKS_3 = 21

PLAIN, PACKED = 1, 2  # what a list's node holds: one huge element, or a listpack

_ANY_SIZE = 1 << 62
_EXACT = float(2**62)  # integral scores up to here are kept as integers in a listpack


class Limits(NamedTuple):
    """The configuration's limits on small encodings, which decide the encodings of what is loaded."""

    hash_entries: int = 512
    hash_value: int = 64
    set_intset_entries: int = 512
    set_entries: int = 128
    set_value: int = 64
    zset_entries: int = 128
    zset_value: int = 64
    list_size: int = -2
    lenient: bool = False  # make the best of damage that Redis would not look for

    @classmethod
    def of(cls, config: Any, lenient: bool = False) -> "Limits":
        """Return the limits that a node's configuration has."""
        return cls(
            config.hash_max_listpack_entries,
            config.hash_max_listpack_value,
            config.set_max_intset_entries,
            config.set_max_listpack_entries,
            config.set_max_listpack_value,
            config.zset_max_listpack_entries,
            config.zset_max_listpack_value,
            config.list_max_listpack_size,
            lenient,
        )

    @property
    def read_listpack(self) -> Callable[[bytes], list[bytes]]:
        """Return what reads a listpack."""
        return layouts.salvage_listpack if self.lenient else layouts.read_listpack

    @property
    def sets(self) -> SetLimits:
        """Return those for sets."""
        return SetLimits(self.set_intset_entries, self.set_entries, self.set_value)


# --- writing ----------------------------------------------------------------------------------------------------

Saver = Callable[[Any, bool], bytes]


def _save_list(value: ListValue, compressed: bool) -> bytes:
    parts = [length(len(value.nodes))]
    for node in value.nodes:
        if node.plain:
            parts.append(length(PLAIN))
            parts.append(string(node.items[0], compressed))
        else:
            parts.append(length(PACKED))
            parts.append(string(layouts.write_listpack(node.items), compressed))
    return b"".join(parts)


def _save_set(value: SetValue, compressed: bool) -> bytes:
    if value.encoding == b"intset":
        return string(layouts.write_intset(value.ints, value.width), compressed)
    if value.encoding == b"listpack":
        return string(layouts.write_listpack(value.members), compressed)
    return length(len(value)) + b"".join([string(member, compressed) for member in value.members])


def _save_hash(value: HashValue, compressed: bool) -> bytes:
    pairs = [item for pair in value.items() for item in pair]
    if value.encoding == b"listpack":
        return string(layouts.write_listpack(pairs), compressed)
    return length(len(value)) + b"".join([string(item, compressed) for item in pairs])


def _save_zset(value: ZSetValue, compressed: bool) -> bytes:
    if value.encoding == b"listpack":
        items: list[bytes | int] = []
        for score, member in value.ordered:
            items.append(member)
            items.append(score_text(score))
        return string(layouts.write_listpack(items), compressed)
    parts = [length(len(value))]
    # From the highest score down: Redis inserts at the head of a skiplist quickest.
    for score, member in reversed(value.ordered):
        parts.append(string(member, compressed))
        parts.append(DOUBLE.pack(score))
    return b"".join(parts)


def score_text(score: float) -> bytes | int:
    """Return a score as it stands in a listpack."""
    if -_EXACT <= score <= _EXACT and score == (whole := int(score)):
        return whole
    return format_double(score)


_LIST_TYPES = {b"listpack": LIST_QUICKLIST_2, b"quicklist": LIST_QUICKLIST_2}
_TYPES: dict[type, dict[bytes, int]] = {
    ListValue: _LIST_TYPES,
    SetValue: {b"intset": SET_INTSET, b"listpack": SET_LISTPACK, b"hashtable": SET},
    HashValue: {b"listpack": HASH_LISTPACK, b"hashtable": HASH},
    ZSetValue: {b"listpack": ZSET_LISTPACK, b"skiplist": ZSET_2},
    StreamValue: {b"stream": STREAM_LISTPACKS_3},
}
_SAVERS: dict[type, Saver] = {
    ListValue: _save_list,
    SetValue: _save_set,
    HashValue: _save_hash,
    ZSetValue: _save_zset,
    StreamValue: save_stream,
    int: string,
    bytes: string,
    bytearray: lambda value, compressed: string(bytes(value), compressed),
}


def type_of(value: Any) -> int:
    """Return the type byte with which a value is written."""
    types = _TYPES.get(type(value))
    return STRING if types is None else types[value.encoding]


def save(value: Any, compressed: bool = True) -> bytes:
    """Return a value as it is written after its key (or, in a DUMP payload, after its type)."""
    return _SAVERS[type(value)](value, compressed)


# --- reading ----------------------------------------------------------------------------------------------------

Loader = Callable[[int, bytes, int, Limits], tuple[Any, int]]


def native_string(text: bytes) -> bytes | int:
    """Return a string as the keyspace holds it: the text of an integer as the integer."""
    if len(text) < 21:
        value = _parse_integer(text)
        if value is not None:
            return value
    return text


def _load_string(kind: int, data: bytes, p: int, limits: Limits) -> tuple[Any, int]:
    text, p = read_string(data, p)
    return native_string(text), p


def _read_strings(data: bytes, p: int, count: int) -> tuple[list[bytes], int]:
    items: list[bytes] = []
    for _ in range(count):
        item, p = read_string(data, p)
        items.append(item)
    return items, p


def _load_list(kind: int, data: bytes, p: int, limits: Limits) -> tuple[Any, int]:
    if kind == LIST:
        count, p = read_length(data, p)
        items, p = _read_strings(data, p, count)
        return (ListValue.from_items(items, limits.list_size) if items else None), p
    if kind == LIST_ZIPLIST:
        items, p = _read_block(layouts.read_ziplist, data, p, "List")
        return (ListValue.from_items(items, limits.list_size) if items else None), p
    count, p = read_length(data, p)
    nodes: list[QuicklistNode] = []
    for _ in range(count):
        container = PACKED
        start = p
        if kind == LIST_QUICKLIST_2:
            container, p = read_length(data, p)
            if container not in (PLAIN, PACKED):
                raise CorruptRdbError("Quicklist integrity check failed.", start)
        if container == PLAIN:
            item, p = read_string(data, p)
            if not item:
                raise CorruptRdbError("Quicklist integrity check failed.", start)
            nodes.append(QuicklistNode([item], plain=True))
            continue
        items, p = _read_block(limits.read_listpack if kind == LIST_QUICKLIST_2 else layouts.read_ziplist, data, p)
        if items:
            nodes.append(QuicklistNode(items))
    return (ListValue.from_nodes(nodes, limits.list_size) if nodes else None), p


def _read_block(read: Callable[[bytes], list[Any]], data: bytes, p: int, what: str = "") -> tuple[list[Any], int]:
    """Read a string that is a listpack or one of its kin; `what` it holds stands at the head of error texts."""
    block, end = read_string(data, p)
    try:
        return read(block), end
    except CorruptRdbError as error:
        reason = f"{what} {error.reason[0].lower()}{error.reason[1:]}" if what else error.reason
        raise CorruptRdbError(reason, p) from None


def _load_set(kind: int, data: bytes, p: int, limits: Limits) -> tuple[Any, int]:
    start = p
    value: SetValue
    if kind == SET_INTSET:
        ints, p = _read_block(lambda block: layouts.read_intset(block, limits.lenient), data, p)
        return SetValue.of_integers(ints, limits.sets), p
    if kind == SET_LISTPACK:
        members, p = _read_block(limits.read_listpack, data, p, "Set")
        if limits.lenient:
            members = list(dict.fromkeys(members))
        small = len(members) <= limits.set_entries
        value = SetValue.of_members(members, values_set.LISTPACK if small else values_set.HASHTABLE)
    else:
        count, p = read_length(data, p)
        members, p = _read_strings(data, p, count)
        if count > limits.set_intset_entries:
            value = SetValue.of_members(members, values_set.HASHTABLE)
        else:
            value = SetValue.of(members, limits.sets)
    if len(value) != len(members):
        blocks = "Set listpack integrity check failed: repeated members"
        raise CorruptRdbError(blocks if kind == SET_LISTPACK else "Duplicate set members detected", start)
    return (value if members else None), p


def _load_hash(kind: int, data: bytes, p: int, limits: Limits) -> tuple[Any, int]:
    start = p
    max_value = limits.hash_value
    lenient = limits.lenient and kind in (HASH, HASH_LISTPACK)
    if kind == HASH:
        count, p = read_length(data, p)
        items, p = _read_strings(data, p, 2 * count)
    elif kind == HASH_LISTPACK:
        items, p = _read_block(limits.read_listpack, data, p, "Hash")
        max_value = _ANY_SIZE
        if lenient and len(items) & 1:
            items.pop()
    elif kind == HASH_ZIPLIST:
        items, p = _read_block(layouts.read_ziplist, data, p, "Hash")
        max_value = _ANY_SIZE
    else:
        items, p = _read_block(layouts.read_zipmap, data, p)
    block = "ziplist" if kind == HASH_ZIPLIST else "listpack"
    if len(items) & 1:
        raise CorruptRdbError(f"Hash {block} integrity check failed: a field without a value", start)
    value = HashValue.of(items[::2], items[1::2], limits.hash_entries, max_value)
    if 2 * len(value) != len(items):
        # Redis finds repeated fields in any hash table, and in a listpack when it makes a hash table of it.
        if kind == HASH:
            if not lenient or len(items) // 2 > limits.hash_entries:
                raise CorruptRdbError("Duplicate hash fields detected", start)
        elif not lenient:
            raise CorruptRdbError(f"Hash {block} integrity check failed: repeated fields", start)
        elif len(items) // 2 > limits.hash_entries:
            raise CorruptRdbError("Hash listpack with dup elements", start)
    return (value if items else None), p


def _load_zset(kind: int, data: bytes, p: int, limits: Limits) -> tuple[Any, int]:
    start = p
    max_value = limits.zset_value
    scores: dict[bytes, float] = {}
    if kind in (ZSET, ZSET_2):
        read_score = read_double if kind == ZSET_2 else read_text_double
        count, p = read_length(data, p)
        for _ in range(count):
            member, p = read_string(data, p)
            scores[member], p = read_score(data, p)
    else:
        block = "ziplist" if kind == ZSET_ZIPLIST else "listpack"
        read = layouts.read_ziplist if kind == ZSET_ZIPLIST else limits.read_listpack
        items, p = _read_block(read, data, p, "Zset")
        max_value = _ANY_SIZE
        lenient = limits.lenient and kind == ZSET_LISTPACK
        if lenient and len(items) & 1:
            items.pop()
        if len(items) & 1:
            raise CorruptRdbError(f"Zset {block} integrity check failed: a member without a score", start)
        count = len(items) // 2
        for i in range(0, len(items), 2):
            score = parse_float(items[i + 1])
            if score is None and lenient:
                score = 0.0  # strtod's answer to what is no number
            if score is None:
                raise CorruptRdbError(f"Zset {block} integrity check failed: score", start)
            scores[items[i]] = score
        if lenient:
            count = len(scores)
        elif len(scores) != count:
            raise CorruptRdbError(f"Zset {block} integrity check failed: repeated members", start)
    if len(scores) != count:
        raise CorruptRdbError("Duplicate zset fields detected", start)
    if any(score != score for score in scores.values()):
        raise CorruptRdbError("Zset with NAN score detected", start)
    return (ZSetValue.of(scores, limits.zset_entries, max_value) if scores else None), p


def _load_stream(kind: int, data: bytes, p: int, limits: Limits) -> tuple[Any, int]:
    return load_stream(kind, data, p, limits.lenient)


def _refuse_module(kind: int, data: bytes, p: int, limits: Limits) -> tuple[Any, int]:
    if kind == MODULE_PRE_GA:
        raise CorruptRdbError("Pre-release module format not supported", p)
    identity, _ = read_length(data, p)
    raise CorruptRdbError(
        f"The RDB file contains module data I can't load: no matching module type '{module_name(identity).decode()}'",
        p,
    )


_MODULE_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def module_name(identity: int) -> bytes:
    """Return the nine-letter name in a module type's number; its last ten bits are a version."""
    return bytes([_MODULE_LETTERS[identity >> shift & 63] for shift in range(58, 9, -6)])


LOADERS: dict[int, Loader] = {
    STRING: _load_string,
    LIST: _load_list,
    SET: _load_set,
    ZSET: _load_zset,
    HASH: _load_hash,
    ZSET_2: _load_zset,
    MODULE_PRE_GA: _refuse_module,
    MODULE_2: _refuse_module,
    HASH_ZIPMAP: _load_hash,
    LIST_ZIPLIST: _load_list,
    SET_INTSET: _load_set,
    ZSET_ZIPLIST: _load_zset,
    HASH_ZIPLIST: _load_hash,
    LIST_QUICKLIST: _load_list,
    HASH_LISTPACK: _load_hash,
    ZSET_LISTPACK: _load_zset,
    LIST_QUICKLIST_2: _load_list,
    SET_LISTPACK: _load_set,
    STREAM_LISTPACKS: _load_stream,
    STREAM_LISTPACKS_2: _load_stream,
    STREAM_LISTPACKS_3: _load_stream,
}


def load(kind: int, data: bytes, p: int, limits: Limits) -> tuple[Any, int]:
    """Read a value of a type; returns it and the position after it. None is an empty collection (a key to skip)."""
    loader = LOADERS.get(kind)
    if loader is None:
        raise CorruptRdbError(f"Unknown RDB encoding type {kind}", p)
    return loader(kind, data, p, limits)
