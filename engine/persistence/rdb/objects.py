"""Conversion between values and RDB bytes.

Every type has had several formats over the years; a byte before the key identifies the format. Version 11 has one
format for each encoding, so a value keeps its encoding:

    string  0                                       hash  4 pairs · 16 listpack      (9 zipmap, 13 ziplist)
    list    18 nodes: listpacks, or plain           zset  5 pairs · 17 listpack      (3 text scores, 12 ziplist)
            (1 elements, 10 ziplist, 14 ziplists)   stream 21 (15, 19): engine.persistence.rdb.streams
    set     2 members · 11 intset · 20 listpack     module 7 (6): refused, there are no modules here

If the limits in the configuration have changed since, loading follows Redis: listpacks with too many elements become
hash tables, but elements that are too long are not searched for.

Only what Redis checks is checked, because any other check would keep users from their data. With a deep check
(`sanitize-dump-payload`), every byte of a value must be valid. Otherwise (the default) Redis checks only the header
and end of listpacks, intsets and stream nodes; with `RdbLimits.lenient` their elements are accepted here, too, up to
the first invalid one. Ziplists and zipmaps are always checked, because they are converted.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from engine.persistence.rdb import layouts
from engine.persistence.rdb.errors import CorruptRdbError
from engine.persistence.rdb.primitives import (
    DOUBLE,
    leading_float,
    length,
    read_double,
    read_length,
    read_string,
    read_text_double,
    string,
)
from engine.persistence.rdb.stream_values import load_stream, save_stream
from engine.protocol.numbers import parse_integer as _parse_integer
from engine.protocol.resp import format_double
from engine.values import set as values_set
from engine.values.hash import HASHTABLE, HashValue
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

PLAIN, PACKED = 1, 2  # contents of a list's node: one huge element, or a listpack

_ANY_SIZE = 1 << 62
_EXACT = float(2**62)  # integral scores up to here are stored as integers in a listpack


class RdbLimits(NamedTuple):
    """The configured limits of small encodings, which determine the encodings of loaded values."""

    hash_entries: int = 512
    hash_value: int = 64
    set_intset_entries: int = 512
    set_entries: int = 128
    set_value: int = 64
    zset_entries: int = 128
    zset_value: int = 64
    list_size: int = -2
    lenient: bool = False  # accept damage that Redis would not detect

    @classmethod
    def of(cls, config: Any, trusted: bool = True) -> "RdbLimits":
        """Return the limits of a node's configuration.

        Files and masters are `trusted`, clients are not: this matters for `sanitize-dump-payload clients`.
        """
        sanitize = config.sanitize_dump_payload
        return cls(
            config.hash_max_listpack_entries,
            config.hash_max_listpack_value,
            config.set_max_intset_entries,
            config.set_max_listpack_entries,
            config.set_max_listpack_value,
            config.zset_max_listpack_entries,
            config.zset_max_listpack_value,
            config.list_max_listpack_size,
            sanitize == "no" or (sanitize == "clients" and trusted),
        )

    def read_listpack(self, most: int) -> Callable[[bytes], list[bytes]]:
        """Return the reader for a listpack, which becomes a hash table or skiplist if it has more than `most`
        elements.

        In this case Redis reads every element, even without a deep check.
        """
        if not self.lenient:
            return layouts.read_listpack

        def read(data: bytes) -> list[bytes]:
            if most < layouts.claimed_count(data):
                return layouts.read_listpack(data, counted=False)
            return layouts.salvage_listpack(data)

        return read

    @property
    def sets(self) -> SetLimits:
        """Return the limits for sets."""
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
        return string(layouts.write_listpack(value.in_order()), compressed)
    return length(len(value)) + b"".join([string(member, compressed) for member in value.in_order()])


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
    # From the highest score to the lowest: Redis inserts fastest at the head of a skiplist.
    for score, member in reversed(value.ordered):
        parts.append(string(member, compressed))
        parts.append(DOUBLE.pack(score))
    return b"".join(parts)


def score_text(score: float) -> bytes | int:
    """Encode a score for a listpack."""
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
    """Return the type byte for writing a value."""
    types = _TYPES.get(type(value))
    return STRING if types is None else types[value.encoding]


def save(value: Any, compressed: bool = True) -> bytes:
    """Encode a value as written after its key (in a DUMP payload, after its type)."""
    return _SAVERS[type(value)](value, compressed)


# --- reading ----------------------------------------------------------------------------------------------------

Loader = Callable[[int, bytes, int, RdbLimits], tuple[Any, int]]


def native_string(text: bytes) -> bytes | int:
    """Convert a string to the form in which the keyspace stores it: the text of an integer becomes an `int`."""
    if len(text) < 21:
        value = _parse_integer(text)
        if value is not None:
            return value
    return text


def _load_string(kind: int, data: bytes, p: int, limits: RdbLimits) -> tuple[Any, int]:
    text, p = read_string(data, p)
    return native_string(text), p


def _read_strings(data: bytes, p: int, count: int) -> tuple[list[bytes], int]:
    items: list[bytes] = []
    for _ in range(count):
        item, p = read_string(data, p)
        items.append(item)
    return items, p


def _load_list(kind: int, data: bytes, p: int, limits: RdbLimits) -> tuple[Any, int]:
    if kind == LIST:
        count, p = read_length(data, p)
        items, p = _read_strings(data, p, count)
        return (ListValue.from_items(items, limits.list_size) if items else None), p
    if kind == LIST_ZIPLIST:
        items, p = _read_block(layouts.read_ziplist, data, p, "List")
        return (ListValue.from_items(items, limits.list_size, settle=False) if items else None), p
    count, p = read_length(data, p)
    read = limits.read_listpack(_ANY_SIZE) if kind == LIST_QUICKLIST_2 else layouts.read_ziplist
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
        items, p = _read_block(read, data, p)
        if items:
            nodes.append(QuicklistNode(items))
    return (ListValue.from_nodes(nodes, limits.list_size) if nodes else None), p


def _read_block(read: Callable[[bytes], list[Any]], data: bytes, p: int, what: str = "") -> tuple[list[Any], int]:
    """Read a string that contains a listpack or a similar block; error messages start with `what`, its contents."""
    block, end = read_string(data, p)
    try:
        return read(block), end
    except CorruptRdbError as error:
        reason = f"{what} {error.reason[0].lower()}{error.reason[1:]}" if what else error.reason
        raise CorruptRdbError(reason, p) from None


def _load_set(kind: int, data: bytes, p: int, limits: RdbLimits) -> tuple[Any, int]:
    start = p
    value: SetValue
    if kind == SET_INTSET:
        block, end = read_string(data, p)
        try:
            ints, width = layouts.read_intset(block, limits.lenient)
        except CorruptRdbError as error:
            raise CorruptRdbError(error.reason, p) from None
        return SetValue.of_integers(ints, width, limits.sets), end
    if kind == SET_LISTPACK:
        members, p = _read_block(limits.read_listpack(limits.set_entries), data, p, "Set")
        small = len(members) <= limits.set_entries
        value = SetValue.of_members(members, values_set.LISTPACK if small else values_set.HASHTABLE)
        if limits.lenient and small:
            return (value if members else None), p
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


def _load_hash(kind: int, data: bytes, p: int, limits: RdbLimits) -> tuple[Any, int]:
    start = p
    max_value = _ANY_SIZE
    block = "listpack"
    lenient = limits.lenient
    if kind == HASH:
        count, p = read_length(data, p)
        items, p = _read_strings(data, p, 2 * count)
        max_value = limits.hash_value
    elif kind == HASH_LISTPACK:
        items, p = _read_block(limits.read_listpack(2 * limits.hash_entries + 1), data, p, "Hash")
    elif kind == HASH_ZIPLIST:
        block = "ziplist"
        items, p = _read_block(layouts.read_ziplist, data, p, "Hash")
        lenient = False
    else:
        items, p = _read_block(layouts.read_zipmap, data, p)
        max_value = limits.hash_value
        lenient = False
    if len(items) & 1:
        if not lenient:
            raise CorruptRdbError(f"Hash {block} integrity check failed: a field without a value", start)
        items.pop()
    value = HashValue.of(items[::2], items[1::2], limits.hash_entries, max_value)
    # Without a deep check a listpack may contain duplicate fields; Redis finds them on conversion to a hash table.
    if 2 * len(value) != len(items) and (not lenient or value.encoding == HASHTABLE):
        raise CorruptRdbError(
            "Hash listpack with dup elements" if lenient and kind != HASH else _REPEATED_FIELDS[kind], start
        )
    return (value if items else None), p


_REPEATED_FIELDS = {
    HASH: "Duplicate hash fields detected",
    HASH_ZIPMAP: "Hash zipmap with dup elements, or big length",
    HASH_ZIPLIST: "Hash ziplist integrity check failed: repeated fields",
    HASH_LISTPACK: "Hash listpack integrity check failed: repeated fields",
}


def _load_zset(kind: int, data: bytes, p: int, limits: RdbLimits) -> tuple[Any, int]:
    start = p
    max_value = limits.zset_value
    scores: dict[bytes, float] = {}
    if kind in (ZSET, ZSET_2):
        read_score = read_double if kind == ZSET_2 else read_text_double
        count, p = read_length(data, p)
        for _ in range(count):
            member, p = read_string(data, p)
            scores[member], p = read_score(data, p)
        if len(scores) != count:
            raise CorruptRdbError("Duplicate zset fields detected", start)
        if any(score != score for score in scores.values()):
            raise CorruptRdbError("Zset with NAN score detected", start)
    else:
        block = "ziplist" if kind == ZSET_ZIPLIST else "listpack"
        most = 2 * limits.zset_entries + 1
        read = layouts.read_ziplist if kind == ZSET_ZIPLIST else limits.read_listpack(most)
        items, p = _read_block(read, data, p, "Zset")
        max_value = _ANY_SIZE
        lenient = limits.lenient and kind == ZSET_LISTPACK
        if len(items) & 1:
            if not lenient:
                raise CorruptRdbError(f"Zset {block} integrity check failed: a member without a score", start)
            items.pop()
        for member, text in zip(items[::2], items[1::2]):
            score = leading_float(text)
            # Redis does not check these scores. NaN cannot be ordered: it is treated as invalid, and so as 0.
            scores.setdefault(member, 0.0 if score is None or score != score else score)
        if 2 * len(scores) != len(items) and (not lenient or len(items) > 2 * limits.zset_entries):
            raise CorruptRdbError(f"Zset {block} integrity check failed: repeated members", start)
    return (ZSetValue.of(scores, limits.zset_entries, max_value) if scores else None), p


def _load_stream(kind: int, data: bytes, p: int, limits: RdbLimits) -> tuple[Any, int]:
    return load_stream(kind, data, p, limits.lenient)


def _refuse_module(kind: int, data: bytes, p: int, limits: RdbLimits) -> tuple[Any, int]:
    if kind == MODULE_PRE_GA:
        raise CorruptRdbError("Pre-release module format not supported", p)
    identity, _ = read_length(data, p)
    raise CorruptRdbError(
        f"The RDB file contains module data I can't load: no matching module type '{module_name(identity).decode()}'",
        p,
    )


_MODULE_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def module_name(identity: int) -> bytes:
    """Return the nine-letter name in a module type ID, whose last ten bits are a version."""
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


def load(kind: int, data: bytes, p: int, limits: RdbLimits) -> tuple[Any, int]:
    """Read a value of type `kind`. Returns it (None for an empty collection, to be skipped) and its end."""
    loader = LOADERS.get(kind)
    if loader is None:
        raise CorruptRdbError(f"Unknown RDB encoding type {kind}", p)
    return loader(kind, data, p, limits)
