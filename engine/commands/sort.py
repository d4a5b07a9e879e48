"""SORT: the elements of a list, set or sorted set, sorted by themselves or by other keys.

https://redis.io/docs/latest/commands/sort/
"""

from typing import Final

from engine.keyspace.databases import NOTIFY_GENERIC, NOTIFY_LIST
from engine.protocol.errors import SYNTAX, WRONGTYPE, ReplyError
from engine.protocol.numbers import parse_float
from engine.protocol.resp import Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import DENYOOM, READONLY, WRITE, command
from engine.table.getkeys import sort_keys, sort_ro_keys
from engine.values.hash import HashValue
from engine.values.list import ListValue
from engine.values.set import SetValue
from engine.values.string import as_bytes
from engine.values.zset import SKIPLIST, ZSetValue

GROUP: Final = "generic"
NOT_A_DOUBLE: Final = b"ERR One or more scores can't be converted into double"


class _SortOptions:
    __slots__ = ("alpha", "by", "count", "descending", "gets", "start", "store", "unsorted")

    def __init__(self, ctx: Context, argv: Argv, may_store: bool) -> None:
        self.alpha = self.descending = self.unsorted = False
        self.by: bytes | None = None
        self.gets: list[bytes] = []
        self.start, self.count = 0, -1
        self.store: bytes | None = None
        i, size = 2, len(argv)
        while i < size:
            option, more = argv[i].lower(), size - 1 - i
            if option == b"asc":
                self.descending = False
            elif option == b"desc":
                self.descending = True
            elif option == b"alpha":
                self.alpha = True
            elif option == b"limit" and more >= 2:
                self.start, self.count = integer(argv[i + 1]), integer(argv[i + 2])
                i += 2
            elif option == b"store" and more and may_store:
                self.store = argv[i + 1]
                i += 1
            elif option == b"by" and more:
                self.by = argv[i + 1]
                if b"*" in self.by:
                    self._check_external(ctx, b"BY")
                else:
                    self.unsorted = True
                i += 1
            elif option == b"get" and more:
                self._check_external(ctx, b"GET")
                self.gets.append(argv[i + 1])
                i += 1
            else:
                raise ReplyError(SYNTAX)
            i += 1

    @staticmethod
    def _check_external(ctx: Context, option: bytes) -> None:
        """Refuse keys that are unknown in advance if all keys must be known."""
        if ctx.node.conditions.cluster_enabled:
            raise ReplyError(b"ERR %b option of SORT denied in Cluster mode." % option)
        if not ctx.node.acl.reads_every_key(ctx):
            raise ReplyError(b"ERR %b option of SORT denied due to insufficient ACL permissions." % option)


def _by_pattern(ctx: Context, pattern: bytes, element: bytes) -> bytes | None:
    """Return the string for an element and a pattern: a key, or a field of a hash (`key->field`)."""
    if pattern == b"#":
        return element
    star = pattern.find(b"*")
    if star < 0:
        return None
    arrow = pattern.find(b"->", star + 1)
    field = None
    if arrow >= 0 and arrow + 2 < len(pattern):
        field = pattern[arrow + 2 :]
        pattern = pattern[:arrow]
    value = ctx.db.lookup_read(pattern[:star] + element + pattern[star + 1 :])
    if field is not None:
        return value.get(field) if type(value) is HashValue else None
    return as_bytes(value) if isinstance(value, int | bytes | bytearray) else None


def _score(text: bytes | None) -> float:
    # As C's strtod: a zero byte ends the text, an empty text is 0, leading whitespace is allowed.
    text = text.split(b"\0", 1)[0] if text is not None else b""
    if not text:
        return 0.0
    score = parse_float(text.lstrip(b" \t\n\v\f\r"))
    if score is None:
        raise ReplyError(NOT_A_DOUBLE)
    return score


def _elements(value: ListValue | SetValue | ZSetValue | None, reverse: bool) -> list[bytes]:
    """Return the elements in their stored order, or in reverse if they have an order."""
    if value is None:
        return []
    if isinstance(value, ListValue):
        items = value.range(0, len(value) - 1)
        return items[::-1] if reverse else items
    if isinstance(value, SetValue):
        return value.to_list()
    return [member for _, member in value.range(0, len(value), reverse)]


def _sorted(ctx: Context, options: _SortOptions, elements: list[bytes], by: bytes | None, alpha: bool) -> list[bytes]:
    if alpha:
        if by is None:
            return sorted(elements, reverse=options.descending)
        texts = [_by_pattern(ctx, by, element) for element in elements]
        # Elements with a missing key come first.
        ranked = sorted(
            zip(texts, elements),
            key=lambda pair: (pair[0] is not None, pair[0] or b""),
            reverse=options.descending,
        )
        return [element for _, element in ranked]
    # All keys are looked up before any of them is parsed.
    weights = elements if by is None else [_by_pattern(ctx, by, element) for element in elements]
    scores = [_score(weight) for weight in weights]
    return [element for _, element in sorted(zip(scores, elements), reverse=options.descending)]


def _limits(options: _SortOptions, size: int) -> slice:
    start = max(0, options.start)
    if start >= size:
        return slice(0, 0)
    stop = size if options.count < 0 else min(size, start + options.count)
    return slice(start, stop)


def _sort(ctx: Context, argv: Argv, may_store: bool) -> Reply:
    options = _SortOptions(ctx, argv, may_store)
    db = ctx.db
    value = db.lookup_read(argv[1])
    if value is not None and type(value) not in (ListValue, SetValue, ZSetValue):
        raise ReplyError(WRONGTYPE)
    if type(value) is ZSetValue and value.encoding != SKIPLIST:
        value.convert()  # as in Redis, even if this is the only change that SORT_RO makes
        db.resized(argv[1])
    by, alpha = options.by, options.alpha
    in_own_order = options.unsorted
    if in_own_order and type(value) is SetValue and (options.store is not None or ctx.in_script):
        # A set has no order: a result that is stored or passed to a script must be deterministic.
        in_own_order, alpha, by = False, True, None
    elements = _elements(value, options.descending and in_own_order)
    if not in_own_order:
        elements = _sorted(ctx, options, elements, by, alpha)
    chosen = elements[_limits(options, len(elements))]
    if not options.gets:
        rows: list[bytes | None] = list(chosen)
    else:
        rows = [_by_pattern(ctx, pattern, element) for element in chosen for pattern in options.gets]
    if options.store is None:
        return rows
    if rows:
        stored = ListValue.from_items([row or b"" for row in rows], ctx.node.config.list_max_listpack_size)
        db.set(options.store, stored)
        db.modified(options.store, NOTIFY_LIST, b"sortstore", dirty=len(rows))
    elif db.exists(options.store) and db.delete(options.store):
        db.modified(options.store, NOTIFY_GENERIC, b"del")
    return len(rows)


@command(
    "SORT key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]",
    WRITE,
    DENYOOM,
    keys=(
        "1 RO access",
        "? RO access -- For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
        "? OW update -- For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
    ),
    acl=(
        "-keyspace",
        "set",
        "sortedset",
        "list",
        "dangerous",
    ),
    get_keys=sort_keys,
    since="1.0.0",
    complexity="O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).",
)
def sort(ctx: Context, argv: Argv) -> Reply:
    return _sort(ctx, argv, may_store=True)


@command(
    "SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
    READONLY,
    keys=(
        "1 RO access",
        "? RO access -- For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
    ),
    acl=(
        "-keyspace",
        "set",
        "sortedset",
        "list",
        "dangerous",
    ),
    get_keys=sort_ro_keys,
    since="7.0.0",
    complexity="O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).",
)
def sort_ro(ctx: Context, argv: Argv) -> Reply:
    return _sort(ctx, argv, may_store=False)
